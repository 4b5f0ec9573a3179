"""The chip on real matrices and tensors, cut where they must be, against the einsum interpreter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.differential.chip_cases import EXPRESSIONS, array_of, by_graph, on_chip, orders, wanted

from aerogel.chip.fabric.read import load
from aerogel.chip.graph.build import build
from aerogel.convert.pack import pack
from aerogel.convert.unpack import coordinates
from aerogel.einsum.nodes import accesses
from aerogel.einsum.parse import parse
from aerogel.tensor.files import read
from aerogel.tensor.tensor import Tensor

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not DATA.exists(), reason="the matrices are not there: ../shared/data"),
]
MATRICES = ("cage5", "karate", "west0067", "bfwa62", "LFAT5")
TENSORS = ("umls", "kinship")
FABRICS = {
    "roomy": replace(load("onyx-like"), name="roomy", values="f64"),
    # Pieces of up to 255 positions: nearly everything is cut.
    "narrow": replace(
        load("onyx-like"), name="narrow", values="f64", word_bits=8, memory_words=256, buffer_bytes=1 << 14
    ),
}


def tensors_of(name: str, first: Tensor) -> dict[str, Any]:
    """``first`` for every operand of its rank; for the others whole numbers, dense."""
    rng = np.random.default_rng(1)
    size = dict.fromkeys("ijkl", first.shape[0])
    if name == "MTTKRP":
        # The rank of a factorisation is small.
        size["j"] = 8
    found: dict[str, Any] = {}
    for access in accesses(parse(EXPRESSIONS[name]).expr):
        shape = tuple(size[index] for index in access.indices)
        found[access.tensor] = first if shape == first.shape else rng.integers(-3, 4, shape) * 1.0
    return found


def square(tensor: Tensor) -> Tensor:
    """With every extent the longest of them, so that it can stand for every operand."""
    places, values = coordinates(tensor.storage)
    shape = (max(tensor.shape),) * len(tensor.shape)
    return Tensor(pack(places, values.astype(np.float64), shape, tensor.format))


def check(name: str, tensor: Tensor, order: tuple[str, ...] | None, **options: Any) -> int:
    """The number of pieces it took."""
    text = EXPRESSIONS[name]
    operands = tensors_of(name, tensor)
    plan = build(text, operands, order)
    want = wanted(text, operands, plan)
    scale = float(abs(want).max(initial=0.0)) or 1.0
    for got in (by_graph(plan, operands), array_of(run := on_chip(text, operands, order, **options))):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12 * scale)
    return run.work.run + run.work.skipped


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("name", ["SpMV", "SpM*SpM", "ElemMult", "MMAdd", "Plus3", "Residual", "transposed"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_matrices(matrix: str, name: str, fabric: str) -> None:
    tensor = square(read(DATA / "suitesparse" / f"{matrix}.mtx"))
    pieces = check(name, tensor, None, fabric=FABRICS[fabric], copies=None)
    assert pieces >= (1 if fabric == "roomy" or matrix == "LFAT5" else 2)


@pytest.mark.parametrize("name", ["SpM*SpM", "SDDMM"])
def test_a_matrix_in_every_order(name: str) -> None:
    tensor = square(read(DATA / "suitesparse" / "karate.mtx"))
    for order in orders(name):
        check(name, tensor, order)


@pytest.mark.parametrize("name", ["TTV", "MTTKRP", "InnerProd", "Plus2"])
@pytest.mark.parametrize("tensor", TENSORS)
def test_tensors(tensor: str, name: str) -> None:
    found = square(read(DATA / "tensors" / f"{tensor}.tns"))
    check(name, found, None, fabric=FABRICS["roomy"], copies=None)
