"""One layer in onnxruntime: it computes what NumPy computes, exactly enough in fp32, nearly in int8."""

from __future__ import annotations

import numpy as np
import pytest

from aerogel.bench.int8_layer import onnx_layer
from aerogel.bench.layers import activations, weight
from aerogel.core.errors import InputError
from aerogel.core.target import cpu_flags

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

CASE = {"outputs": 24, "inputs": 40, "columns": 7}


def wanted() -> np.ndarray:
    return weight(24, 40, 0.0, "unstructured") @ activations(40, 7)


@pytest.mark.parametrize(("precision", "least", "most"), [("fp32", 0.0, 1e-5), ("int8", 1e-4, 0.05)])
def test_it_computes_the_product(precision: str, least: float, most: float) -> None:
    layer = onnx_layer(precision)  # type: ignore[arg-type]
    layer.prepare(CASE)
    found = layer.result()
    assert found.shape == (24, 7)
    error = float(np.abs(found - wanted()).max() / np.abs(wanted()).max())
    if not cpu_flags() & {"avx512_vnni", "avx_vnni"}:
        # Without the dot product of bytes the other runtime lets sums of two products saturate.
        most = max(most, 0.5 if precision == "int8" else 0.0)
    assert least <= error <= most
    assert layer.facts()["threads"] == 1


def test_another_case_replaces_the_first() -> None:
    layer = onnx_layer("fp32")
    layer.prepare(CASE)
    layer.prepare(CASE | {"columns": 3})
    assert layer.result().shape == (24, 3)


def test_an_unknown_precision() -> None:
    with pytest.raises(InputError, match="'int4' is unknown"):
        onnx_layer("int4")  # type: ignore[arg-type]
