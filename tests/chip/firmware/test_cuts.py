"""Pieces of tensors: nothing is lost, nothing comes twice."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aerogel as ag
from aerogel.chip.firmware.cuts import Cuts, Pieces, balanced, by_weight, even
from aerogel.chip.firmware.entries import entries, stored
from aerogel.formats.storage import check
from aerogel.formats.tensor_format import named

FORMATS = ["csr", "csc", "dcsr", "dense", "compressed,dense"]


@st.composite
def bounds(draw: Any, extent: int) -> tuple[int, ...]:
    inner = draw(st.sets(st.integers(1, extent - 1), max_size=3)) if extent > 1 else set()
    return (0, *sorted(inner), extent)


@st.composite
def cases(draw: Any) -> tuple[np.ndarray[Any, Any], Cuts]:
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    values = draw(st.lists(st.sampled_from([0.0, 0.0, 1.0, 2.0, -3.0]), min_size=rows * columns, max_size=36))
    full = np.asarray(values[: rows * columns]).reshape(rows, columns)
    return full, Cuts({"i": draw(bounds(rows)), "j": draw(bounds(columns))})


@given(cases(), st.sampled_from(FORMATS))
@settings(max_examples=30, deadline=None)
def test_pieces_put_together_are_the_whole(case: tuple[Any, Cuts], form: str) -> None:
    full, cuts = case
    pieces = Pieces(stored(*_listed(full), full.shape, named(form, 2)), ("i", "j"), cuts)
    whole = np.zeros(full.shape)
    for numbers in cuts.numbers():
        piece = check(pieces.piece(numbers), "piece")
        assert piece.shape == (cuts.size("i"), cuts.size("j"))
        grid = ag.Tensor(piece).to_numpy()
        (top, bottom), (left, right) = (cuts.span(i, numbers[i]) for i in "ij")
        whole[top:bottom, left:right] += grid[: bottom - top, : right - left]
        assert not grid[bottom - top :].any() and not grid[:, right - left :].any()
        assert pieces.empty(numbers) == (not full[top:bottom, left:right].any())
    np.testing.assert_array_equal(whole, full)
    assert len(list(cuts.numbers())) == cuts.pieces
    assert not ag.Tensor(check(pieces.nothing(), "nothing")).to_numpy().any()


def _listed(full: Any) -> tuple[Any, Any]:
    places = np.nonzero(full)
    return tuple(p.astype(np.int64) for p in places), full[places]


@pytest.mark.parametrize("form", FORMATS)
def test_entries_come_back(form: str) -> None:
    full = np.asarray([[0.0, 2, 0], [0, 0, 0], [1, 0, 3], [0, 4, 0]])
    storage = check(stored(*_listed(full), full.shape, named(form, 2)), "A")
    np.testing.assert_array_equal(ag.Tensor(storage).to_numpy(), full)
    (rows, columns), values = entries(storage)
    again = np.zeros(full.shape)
    again[rows, columns] = values
    np.testing.assert_array_equal(again, full)


def test_entries_at_one_place_are_added() -> None:
    places = (np.asarray([1, 0, 1]), np.asarray([2, 0, 2]))
    for form in ("csr", "dense"):
        storage = stored(places, np.asarray([1.0, 5, 2]), (2, 3), named(form, 2))
        np.testing.assert_array_equal(ag.Tensor(storage).to_numpy(), [[5, 0, 0], [0, 0, 3]])


@given(st.integers(0, 50), st.integers(1, 60))
def test_even_parts(extent: int, parts: int) -> None:
    found = even(extent, parts)
    sizes = [b - a for a, b in pairwise(found)]
    assert found[0] == 0 and found[-1] == extent and len(sizes) == max(1, min(parts, extent))
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(1, 6))
def test_balanced_parts_are_no_worse_than_even_ones(weights: list[int], parts: int) -> None:
    def most(bounds: tuple[int, ...]) -> float:
        spans = list(pairwise(bounds))
        return max(sum(weights[a:b]) for a, b in spans) + 2 * max(b - a for a, b in spans)

    found = balanced(np.asarray(weights, np.float64), parts, 2.0)
    assert found[0] == 0 and found[-1] == len(weights) and list(found) == sorted(set(found))
    assert len(found) <= parts + 1
    assert most(found) <= most(even(len(weights), parts)) + 1e-6


def test_a_heavy_row_stands_alone() -> None:
    weights = np.asarray([1.0, 1, 50, 1, 1, 1, 1, 1])
    assert balanced(weights, 3, 0.1) == (0, 2, 3, 8)


def test_pieces_side_by_side_differ_in_one_index() -> None:
    cuts = Cuts({"i": (0, 1, 2), "j": (0, 3, 4)}, "i")
    assert [(n["i"], n["j"]) for n in cuts.numbers()] == [(0, 0), (1, 0), (0, 1), (1, 1)]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(1, 6))
def test_parts_by_weight(weights: list[int], parts: int) -> None:
    found = by_weight(np.asarray(weights), parts)
    assert found[0] == 0 and found[-1] == len(weights) and list(found) == sorted(set(found))
    assert len(found) <= parts + 1
    heaviest = max(sum(weights[a:b]) for a, b in pairwise(found))
    if sum(weights):
        assert heaviest <= sum(weights) / parts + max(weights) + 1e-9
