"""Layers of few columns as contenders: what they compute, and that their floors are floors of something."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aerogel.bench.few_layer import CHECKED, activations, few_layer, rows_of, torch_few
from aerogel.core.errors import InputError

ROWS, INPUTS = 70, 200


def exact(number: Any, sparsity: float, columns: int) -> np.ndarray:
    _, weight = next(rows_of(ROWS, INPUTS, sparsity, number))
    return activations(INPUTS, columns).astype(np.float64) @ weight.T


@pytest.mark.parametrize(("number", "error"), [("fp32", 1e-6), ("bf16", 5e-3), ("int8", 2e-2)])
@pytest.mark.parametrize(("form", "sparsity"), [("dense", 0.0), ("bitmap", 0.7)])
def test_it_computes_the_product(number: Any, form: Any, sparsity: float, error: float) -> None:
    layer = few_layer(number, form, sparsity, ROWS, INPUTS, 1)
    for columns in (2, 1):
        layer.prepare({"columns": columns})
        wanted = exact(number, sparsity, columns)
        found = layer.result()
        assert found.shape == (columns, CHECKED)
        assert np.abs(found - wanted).max() <= error * np.abs(wanted).max()


def test_the_weight_has_the_zeros_it_should_and_is_always_the_same() -> None:
    rows = [some for _, some in rows_of(ROWS, INPUTS, 0.9, "int8")]
    assert [len(some) for some in rows] == [CHECKED, ROWS - CHECKED]
    assert np.mean(np.concatenate(rows) == 0) == pytest.approx(0.9, abs=0.02)
    again = [some for _, some in rows_of(ROWS, INPUTS, 0.9, "int8")]
    np.testing.assert_array_equal(np.concatenate(rows), np.concatenate(again))


def test_its_floors() -> None:
    facts = few_layer("int8", "bitmap", 0.5, ROWS, INPUTS, 1).facts()
    assert facts["weights"] == ROWS * INPUTS
    assert facts["memory_floor_s"] == pytest.approx(facts["bytes"] / facts["bytes_per_second"])
    assert 0 < facts["operations_floor_s"] < 1e-3


def test_torch_computes_it_too() -> None:
    pytest.importorskip("torch")
    layer = torch_few("fp32", ROWS, INPUTS, 1)
    layer.prepare({"columns": 3})
    np.testing.assert_allclose(layer.result(), exact("fp32", 0.0, 3), rtol=1e-4, atol=1e-4)
    assert layer.facts()["threads"] == 1


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="form 'csr' is unknown"):
        few_layer("fp32", "csr", 0.5, ROWS, INPUTS, 1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="int8 by itself"):
        torch_few("int8", ROWS, INPUTS, 1)
