"""How many values a product of matrices has, told beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import aerogel as ag
from aerogel.chip.fabric.read import load
from aerogel.chip.firmware.cuts import Cuts, even
from aerogel.chip.firmware.entries import Places
from aerogel.chip.firmware.foreseen import Foreseen, foreseen
from aerogel.einsum.parse import parse

EXTENTS = {"i": 40, "k": 30, "j": 50}


def _places(seed: int, *shape: int) -> Places:
    return np.nonzero(np.random.default_rng(seed).random(shape) < 0.1)


def _of(text: str, index: str, left: Places, right: Places) -> Foreseen | None:
    return foreseen(parse(text), {"A": left, "B": right}, EXTENTS, index)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("C(i,j) = A(i,k) * B(k,j)", "i"),
        ("C(j,i) = relu(A(i,k) * B(k,j))", "i"),
        ("C(i,j) = A(i,k) * B(k,j)", "j"),
    ],
)
def test_few_values_are_counted_exactly(text: str, index: str) -> None:
    left, right = _places(1, 40, 30), _places(2, 30, 50)
    a, b = np.zeros((40, 30)), np.zeros((30, 50))
    a[left], b[right] = 1, 1
    found = _of(text, index, left, right)
    assert found is not None
    axis = 1 if index == "i" else 0
    np.testing.assert_array_equal(found.products, (a @ b).sum(axis))
    assert found.values.sum() == pytest.approx(np.count_nonzero(a @ b), rel=0.1)
    whole = Cuts({"i": (0, 40), "k": (0, 30), "j": (0, 50)})
    assert found.entries(whole) == pytest.approx(1.1 * np.count_nonzero(a @ b), rel=0.1)
    halves = Cuts({"i": even(40, 2), "k": (0, 30), "j": even(50, 2)})
    most = max(np.count_nonzero((a @ b)[i : i + 20, j : j + 25]) for i in (0, 20) for j in (0, 25))
    assert most <= found.entries(halves) <= 2 * most


@pytest.mark.parametrize(
    "text", ["C(i,j) = A(i,j) * B(i,j)", "C(i,j) = A(i,k) + B(k,j)", "C(i,j) = 2 * A(i,k) * B(k,j)"]
)
def test_all_else_is_not_foreseen(text: str) -> None:
    assert _of(text, "i", _places(1, 30, 30), _places(2, 30, 30)) is None


def test_nothing_stored() -> None:
    none = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    found = _of("C(i,j) = A(i,k) * B(k,j)", "i", none, none)
    assert found is not None and found.entries(Cuts({"i": (0, 40), "k": (0, 30), "j": (0, 50)})) == 1


def test_a_product_with_more_values_than_room_is_cut_at_once() -> None:
    """No run fails and is begun again."""
    random = np.random.default_rng(0)
    operands: dict[str, Any] = {n: ag.tensor((random.random((60, 60)) < 0.3) * 1.0, "csr") for n in "AB"}
    small = replace(load("onyx-large"), values="f64", buffer_bytes=1 << 13)
    chip = ag.chip.compile("C(i,j) = A(i,k) * B(k,j)", copies=1, fabric=small, **operands)
    run = chip.simulate()
    assert run.cuts == chip.cuts and run.cuts.pieces > 1
    np.testing.assert_allclose(
        run.output.to_numpy(), np.asarray(ag.evaluate("C(i,j) = A(i,k) * B(k,j)", **operands))
    )
