"""What each kind of block makes of small streams, worked out by hand; and of any, against a naive reading."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aerogel as ag
from aerogel.chip.graph.arithmetic import folded, function, operate
from aerogel.chip.graph.blocks import (
    WORD_SHIFT,
    Alu,
    AluConstant,
    AluFunction,
    Array,
    BitExpand,
    BitMerge,
    BitScan,
    Block,
    Buffer,
    Drop,
    Fill,
    Fork,
    Join,
    Locate,
    MatrixReduce,
    Merge,
    Parallelize,
    Reduce,
    Repeat,
    Scan,
    Serialize,
    Sift,
    Split,
    VectorReduce,
)
from aerogel.chip.graph.meaning import Stream, UnevenError, World, run_block
from aerogel.chip.graph.streams import Kind, text

MATRIX = np.array([[0, 5, 0, 6], [0, 0, 0, 0], [7, 0, 0, 8.0]])
WORLD = World({"A": ag.tensor(MATRIX, format="csr").storage}, word_bits=4)


def made(block: Block, *streams: tuple[Any, int]) -> list[Any]:
    return [s.nested for s in run_block(block, [Stream(whole, depth) for whole, depth in streams], WORLD)]


def test_scanners() -> None:
    assert made(Scan("A", 1), ([0, 1, None, 2], 1)) == [[[1, 3], [], [], [0, 3]], [[0, 1], [], [], [2, 3]]]
    assert made(Scan("A", 0, "dense", 3), (0, 0)) == [[0, 1, 2], [0, 1, 2]]
    assert made(Scan("A", 0, "dense", 3), ([2, None], 1)) == [[[0, 1, 2], []], [[6, 7, 8], []]]
    crd, ref = run_block(Scan("A", 1), [Stream([0, 1, 2], 1)], WORLD)
    assert text(crd.tokens()) == "1 3 S0 S0 0 3 S1 D"
    assert text(ref.tokens()) == "0 1 S0 S0 2 3 S1 D"


def test_bit_vectors() -> None:
    words, refs = made(BitScan("A", 1, 4), ([0, 2], 1))
    assert words == [[0b1010], [0b1001]]
    assert refs == [[0b1010 << WORD_SHIFT], [0b1001 << WORD_SHIFT | 2]]
    a, b = [(words[:1], 2), (refs[:1], 2)], [(words[1:], 2), (refs[1:], 2)]
    for op, crd, left, right in (
        ("intersect", [3], [1], [3]),
        ("union", [0, 1, 3], [None, 0, 1], [2, None, 3]),
    ):
        both = made(BitMerge(op), *a, *b)  # type: ignore[arg-type]
        assert made(BitExpand(2), *((part, 2) for part in both)) == [[crd], [left], [right]]


def test_repeat() -> None:
    assert made(Repeat(), ([[4, 5], [], [6]], 2), ([7, 8, None], 1)) == [[[7, 7], [], [None]]]
    with pytest.raises(UnevenError):
        made(Repeat(), ([[4, 5]], 2), ([7, 8], 1))
    with pytest.raises(UnevenError):
        made(Repeat(), ([4], 1), ([7], 1))


def test_merges() -> None:
    a, b = ([1, 3, 4], 1), ([3, 5], 1)
    assert made(Merge("intersect"), a, ([10, 11, 12], 1), b, ([20, 21], 1)) == [[3], [11], [20]]
    union = made(Merge("union"), a, ([10, 11, 12], 1), b, ([20, 21], 1))
    assert union == [[1, 3, 4, 5], [10, 11, 12, None], [None, 20, None, 21]]
    assert made(Merge("intersect", 0, 1), a, b, ([20, 21], 1)) == [[3], [20]]
    assert len(made(Merge("intersect", skip=True), a, ([10, 11, 12], 1), b, ([20, 21], 1))) == 5


@settings(max_examples=40)
@given(st.sets(st.integers(0, 15)), st.sets(st.integers(0, 15)))
def test_merges_are_those_of_sets(a: set[int], b: set[int]) -> None:
    streams = [
        (sorted(a), 1),
        ([c * 2 for c in sorted(a)], 1),
        (sorted(b), 1),
        ([c * 3 for c in sorted(b)], 1),
    ]
    assert made(Merge("intersect"), *streams)[0] == sorted(a & b)
    crd, left, right = made(Merge("union"), *streams)
    assert crd == sorted(a | b)
    assert left == [c * 2 if c in a else None for c in crd]
    assert right == [c * 3 if c in b else None for c in crd]


def test_locate_and_array() -> None:
    assert made(Locate("A", 0, 10), ([3, 4], 1), ([2, None], 1)) == [[3, 4], [23, None]]
    assert made(Array("A"), ([[0, 3], [None]], 2)) == [[[5.0, 8.0], [None]]]


def test_arithmetic() -> None:
    assert made(Alu("sub"), ([5.0, None], 1), ([None, 2.0], 1)) == [[5.0, -2.0]]
    assert made(AluConstant("sub", 1.0), ([5.0], 1)) == [[4.0]]
    assert made(AluConstant("sub", 1.0, reverse=True), ([5.0], 1)) == [[-4.0]]
    assert made(AluFunction("relu"), ([-1.0, 2.0], 1)) == [[0.0, 2.0]]
    assert (operate("div", 1.0, 0.0), function("reciprocal", 0.0)) == (math.inf, math.inf)
    assert math.isnan(operate("max", math.nan, 1.0))
    assert [operate(op, 2.0, 3.0) for op in ("lt", "ge", "pair", "and", "or", "min")] == [1, 0, 1, 1, 1, 2]
    assert [folded(op, []) for op in ("add", "mul", "min", "max")] == [0, 1, math.inf, -math.inf]


def test_what_is_absent_stays_absent() -> None:
    """As the einsum interpreter has it: of each operation and each function, on a value and on nothing."""
    assert made(Alu("div"), ([None, 1.0, None], 1), ([2.0, None, None], 1)) == [[None, math.inf, None]]
    assert made(Alu("mul"), ([None, 1.0], 1), ([2.0, None], 1)) == [[None, None]]
    assert made(Alu("add"), ([None, 1.0, None], 1), ([2.0, None, None], 1)) == [[2.0, 1.0, None]]
    assert made(AluConstant("gt", 0.5), ([None, 1.0], 1)) == [[None, 1.0]]
    assert made(AluConstant("lt", 0.5), ([None, 1.0], 1)) == [[1.0, 0.0]]
    assert made(AluConstant("div", 2.0, reverse=True), ([None, 1.0], 1)) == [[math.inf, 2.0]]
    assert made(AluFunction("sqrt"), ([None], 1)) == [[None]]
    assert made(AluFunction("exp"), ([None], 1)) == [[1.0]]
    assert made(Fill(math.inf), ([None, 1.0], 1)) == [[math.inf, 1.0]]
    assert made(Reduce(sparse=True), ([[None, 2.0], [None], []], 2)) == [[2.0, None, None]]
    assert made(Reduce("min"), ([[None, 2.0]], 2)) == [[0.0]]
    twice = ([[1, 2], [2]], 2)
    assert made(VectorReduce(3), twice, ([[None, 2.0], [None]], 2)) == [[2], [2.0]]
    assert made(VectorReduce(3, "min"), twice, ([[None, 2.0], [None]], 2)) == [[1, 2], [0.0, 0.0]]
    rows = ([[0, 1]], 2), ([[[2], [0]]], 3), ([[[None], [4.0]]], 3)
    assert made(MatrixReduce((3, 3)), *rows) == [[1], [[0]], [[4.0]]]


def test_reducers() -> None:
    assert made(Reduce(), ([[1.0, 2.0], [], [3.0]], 2)) == [[3.0, 0.0, 3.0]]
    assert made(Reduce("max"), ([[1.0, 2.0], []], 2)) == [[2.0, -math.inf]]
    crd, val = made(VectorReduce(4), ([[[1, 3], [0, 3]], []], 3), ([[[1.0, 2.0], [4.0, 8.0]], []], 3))
    assert (crd, val) == ([[0, 1, 3], []], [[4.0, 1.0, 10.0], []])
    outer, inner = ([[0, 1], [1]], 2), ([[[2], [0]], [[0, 1]]], 3)
    found = made(MatrixReduce((2, 3)), outer, inner, ([[[1.0], [2.0]], [[4.0, 8.0]]], 3))
    assert found == [[0, 1], [[2], [0, 1]], [[1.0], [6.0, 8.0]]]


def test_an_empty_fiber_of_fibers_owes_no_value() -> None:
    """What stops without levels cannot tell: reducing [] gives nothing, reducing [[]] a zero."""
    assert made(Reduce(), ([], 2)) == [[]]
    assert made(Reduce(), ([[]], 2)) == [[0.0]]


def test_levels_are_joined_and_split_again() -> None:
    outer, inner, vals = [[1, 4], []], [[[0, 2], [1]], []], [[[1.0, 2.0], [3.0]], []]
    crd, val = made(Join(3), (outer, 2), (inner, 3), (vals, 3))
    assert (crd, val) == ([[3, 5, 13], []], [[1.0, 2.0, 3.0], []])
    assert made(Split(3), (crd, 2), (val, 2)) == [outer, inner, vals]


def test_what_has_no_fiber_is_lost_where_levels_are_joined() -> None:
    assert made(Join(3), ([1, 4], 1), ([[], [2]], 2), ([[], [5.0]], 2)) == [[14], [5.0]]


def test_fibers_are_sifted_as_their_coordinates_met() -> None:
    own, other = [7, None, 8, 9], [None, 5, 8, 9]
    fibers = [[1.0], [2.0, 3.0], []]
    assert made(Sift("intersect", Kind.VALUE), (own, 1), (other, 1), (fibers, 2)) == [[[2.0, 3.0], []]]
    assert made(Sift("union", Kind.VALUE), (own, 1), (fibers, 2)) == [[[1.0], [], [2.0, 3.0], []]]
    with pytest.raises(UnevenError):
        made(Sift("union", Kind.VALUE), ([7, None], 1), (fibers, 2))


def test_drop() -> None:
    assert made(Drop(), ([4, 5, 6], 1), ([[1], [], [2]], 2)) == [[4, 6], [[1], [2]]]
    assert made(Drop(Kind.VALUE), ([4, 5, 6], 1), ([0.0, math.nan, 2.0], 1))[0] == [5, 6]


@settings(max_examples=40)
@given(st.lists(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=4), max_size=3), st.integers(1, 4))
def test_lanes_there_and_back(whole: list[list[list[int]]], ways: int) -> None:
    for level in (0, 1, 2):
        dealt = made(Parallelize(ways, Kind.VALUE, level), (whole, 3))
        assert made(Serialize(ways, Kind.VALUE, level), *((lane, 3) for lane in dealt)) == [whole]


def test_lanes_take_turns() -> None:
    assert made(Parallelize(2, Kind.VALUE), ([[1, 2, 3], [4]], 2)) == [[[1, 3], [4]], [[2], []]]
    assert made(Parallelize(2, Kind.VALUE, 1), ([[1, 2], [3]], 2)) == [[[1, 2]], [[3]]]


def test_forks_and_buffers() -> None:
    assert made(Fork(3, Kind.VALUE), ([1], 1)) == [[1]] * 3
    assert made(Buffer(4, Kind.VALUE), ([1], 1)) == [[1]]
