"""Packing and unpacking: nothing lost, nothing invented, every stream as long as the others say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aerogel.core.errors import FormatError, InputError
from aerogel.formats.panel import (
    DENSE,
    GENERAL,
    GROUP,
    HALVES,
    MAX_COLUMNS,
    MAX_WORDS,
    PANEL,
    RUN,
    WHOLE,
    Packed,
    pack,
    unpack,
)

KINDS = ("panel", "quad")


def weight(rows: int, columns: int, density: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.where(rng.random((rows, columns)) < density, dense, np.float32(0))


def kinds_of(packed: Packed) -> list[int]:
    """The kind of every (panel, block), in stream order."""
    return packed.runs.reshape(-1, RUN)[:, 0].tolist()


@st.composite
def matrices(draw: st.DrawFn) -> np.ndarray:
    """Small matrices with zeros, -0.0, denormals, and whole rows and columns of nothing."""
    rows, columns = draw(st.integers(1, 70)), draw(st.integers(1, 40))
    matrix = weight(
        rows, columns, draw(st.sampled_from([0.0, 0.05, 0.3, 0.9, 1.0])), draw(st.integers(0, 99))
    )
    if draw(st.booleans()):
        matrix[draw(st.integers(0, rows - 1))] = 0
    if draw(st.booleans()):
        matrix[:, draw(st.integers(0, columns - 1))] = 0
    matrix[draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))] = draw(
        st.sampled_from([-0.0, 1e-45, -3.4e38, 1.0])
    )
    return matrix


@given(matrix=matrices(), kind=st.sampled_from([*KINDS, "dense"]), block=st.integers(1, 41))
@example(matrix=np.zeros((1, 1), np.float32), kind="quad", block=1)
@example(matrix=np.full((1, 1), -0.0, np.float32), kind="panel", block=1)
@example(matrix=weight(1, 300, 0.2), kind="quad", block=128)
@example(matrix=weight(5, 300, 0.5), kind="panel", block=301)
@example(matrix=np.zeros((33, 7), np.float32), kind="panel", block=3)
@settings(max_examples=150, deadline=None)
def test_what_is_packed_comes_back(matrix: np.ndarray, kind: str, block: int) -> None:
    before = matrix.copy()
    packed = pack(matrix, "panel" if kind == "dense" else kind, block, dense=kind == "dense")  # type: ignore[arg-type]
    np.testing.assert_array_equal(unpack(packed), matrix)
    np.testing.assert_array_equal(matrix.view(np.uint32), before.view(np.uint32))
    assert packed.nonzeros == np.count_nonzero(matrix)
    assert packed.block == min(block, matrix.shape[1])
    check_streams(packed, matrix, dense=kind == "dense")


def check_streams(packed: Packed, matrix: np.ndarray, *, dense: bool) -> None:
    """What a kernel relies on: where groups begin, how much work they are, columns inside their block."""
    rows, columns = matrix.shape
    groups = -(-rows // GROUP)
    assert (
        packed.groups == groups
        and packed.starts.shape == (groups + 1, 3)
        and packed.work.shape == (groups + 1,)
    )
    assert packed.starts[0].tolist() == [0, 0, 0] and packed.work[0] == 0
    assert packed.starts[-1].tolist() == [packed.values.size, packed.indices.size, packed.runs.size]
    assert (np.diff(packed.starts, axis=0) >= 0).all()
    assert (np.diff(packed.work) > 0).all(), "a group without work would be lost when threads share by work"
    assert (packed.indices < columns).all()
    if dense:
        assert packed.values.size == matrix.size
    elif packed.kind == "panel":
        assert packed.values.size == packed.nonzeros
    for g in range(groups):
        part = matrix[g * GROUP : (g + 1) * GROUP]
        again = pack(np.ascontiguousarray(part), packed.kind, packed.block, dense=dense)
        stretch = packed.values[packed.starts[g, 0] : packed.starts[g + 1, 0]]
        np.testing.assert_array_equal(stretch, again.values)
        assert packed.work[g + 1] - packed.work[g] == again.work[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_arrays_cannot_be_changed(kind: Any) -> None:
    packed = pack(weight(40, 20, 0.5), kind, 8)
    for array in (packed.values, packed.indices, packed.runs, packed.starts, packed.work):
        assert not array.flags.writeable and array.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_weight_does_not_follow_its_source(kind: Any) -> None:
    matrix = weight(8, 8, 1.0)
    packed, before = pack(matrix, kind, 8), matrix.copy()
    matrix[:] = 7
    np.testing.assert_array_equal(unpack(packed), before)


# --- panel: which loop a (panel, block) takes ---------------------------------------------------


def test_without_zeros_there_is_no_index() -> None:
    packed = pack(weight(8, 10, 1.0), "panel", 4)
    assert kinds_of(packed) == [DENSE] * 6
    assert packed.indices.size == 0


def test_zeros_stored_densely_have_no_index() -> None:
    packed = pack(weight(8, 10, 0.3), "panel", 10, dense=True)
    assert kinds_of(packed) == [DENSE] * 2
    assert packed.indices.size == 0 and packed.values.size == 80


def test_blocks_of_four_rows_need_one_loop() -> None:
    matrix = weight(8, 10, 1.0)
    matrix[:4, 3] = matrix[4:, 7] = 0
    packed = pack(matrix, "panel", 10)
    assert kinds_of(packed) == [WHOLE] * 2
    np.testing.assert_array_equal(packed.indices[:9], [0, 1, 2, 4, 5, 6, 7, 8, 9])


def test_blocks_of_two_rows_need_three_loops() -> None:
    matrix = weight(4, 6, 1.0)
    matrix[:2, 1] = matrix[2:, 4] = 0
    packed = pack(matrix, "panel", 6)
    assert kinds_of(packed) == [HALVES]
    counts = packed.runs[1:]
    assert (counts[3 - 1], counts[12 - 1], counts[15 - 1]) == (1, 1, 4)
    # By mask, each in order: the upper pair's column, the lower pair's, the four whole ones.
    np.testing.assert_array_equal(packed.indices, [4, 1, 0, 2, 3, 5])


def test_any_other_mask_is_general_and_an_empty_panel_is_no_work() -> None:
    matrix = np.zeros((8, 3), np.float32)
    matrix[1, 2] = 5
    packed = pack(matrix, "panel", 3)
    assert kinds_of(packed) == [GENERAL, WHOLE]
    assert packed.runs[2] == 1 and packed.runs[RUN + 1 :].sum() == 0
    np.testing.assert_array_equal(packed.values, [5])
    np.testing.assert_array_equal(packed.indices, [2])


def test_blocks_have_kinds_of_their_own() -> None:
    matrix = weight(4, 6, 1.0)
    matrix[0, 4] = 0
    assert kinds_of(pack(matrix, "panel", 3)) == [DENSE, GENERAL]


# --- quad: padding -----------------------------------------------------------------------------


@given(seed=st.integers(0, 999), rows=st.integers(1, 40), block=st.integers(1, 13))
@settings(max_examples=50, deadline=None)
def test_a_quad_pads_with_zeros_at_the_rows_own_columns(seed: int, rows: int, block: int) -> None:
    matrix = weight(rows, 12, 0.2, seed)
    packed = pack(matrix, "quad", block)
    r = v = 0
    seen = np.zeros((rows, packed.blocks), int)
    for g in range(packed.groups):
        for b in range(packed.blocks):
            quads = int(packed.runs[r])
            r += 1
            for _ in range(quads):
                steps, *places = packed.runs[r : r + 5].tolist()
                r += 5
                for step in range(steps):
                    for place, at in enumerate(places):
                        value, column = (
                            packed.values[v + step * PANEL + place],
                            packed.indices[v + step * PANEL + place],
                        )
                        if at == GROUP:
                            assert value == 0
                        else:
                            assert matrix[g * GROUP + at, column] != 0
                            assert value in (0, matrix[g * GROUP + at, column])
                v += steps * PANEL
                for at in places:
                    if at < GROUP:
                        seen[g * GROUP + at, b] += 1
    # Every row has its place in every block, zeros or not: that is where its sums are kept.
    assert (seen == 1).all()


def test_quads_join_rows_of_like_length() -> None:
    matrix = np.zeros((8, 16), np.float32)
    for row, count in enumerate([1, 9, 1, 9, 1, 9, 1, 9]):
        matrix[row, :count] = 1
    packed = pack(matrix, "quad", 16)
    assert packed.values.size == 4 * (9 + 1)


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(kind: Any, number: float) -> None:
    matrix = weight(4, 4, 1.0)
    matrix[2, 3] = number
    with pytest.raises(InputError, match="NaN or infinity"):
        pack(matrix, kind, 4)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros(4, np.float32), r"a matrix of float32, or of int8 .*got float32 of shape \(4,\)"),
        (np.zeros((2, 2, 2), np.float32), "a matrix of float32"),
        (np.zeros((2, 2)), "got float64"),
        (np.zeros((2, 2), np.int64), "got int64"),
        (np.zeros((0, 3), np.float32), "empty"),
        (np.zeros((3, 0), np.float32), "empty"),
        (np.zeros((1, MAX_COLUMNS + 1), np.float32), "65537 columns: at most 65536"),
        (np.zeros((1, MAX_WORDS + 1), np.int32), "16385 words of 4 inputs: at most 16384"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_other_weights_are_refused(kind: Any, matrix: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pack(matrix, kind, 4)


def test_impossible_wishes_are_refused() -> None:
    matrix = weight(4, 4, 1.0)
    with pytest.raises(InputError, match="only panels"):
        pack(matrix, "quad", 4, dense=True)
    for block in (0, -1):
        with pytest.raises(InputError, match="at least 1 column"):
            pack(matrix, "panel", block)


@pytest.mark.parametrize("kind", KINDS)
def test_the_widest_weight_there_is(kind: Any) -> None:
    """A block as wide as the matrix counts to 65,536, one more than its 16 bits hold."""
    matrix = np.ones((5, MAX_COLUMNS), np.float32)
    matrix[0, -1], matrix[4, 0] = 3, 2
    packed = pack(matrix, kind, MAX_COLUMNS)
    np.testing.assert_array_equal(unpack(packed), matrix)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", ["values", "indices", "runs"])
@pytest.mark.parametrize("change", [-1, 1])
def test_streams_that_do_not_fit_each_other_are_told(kind: Any, stream: str, change: int) -> None:
    packed = pack(weight(9, 12, 0.5), kind, 5)
    array = getattr(packed, stream)
    other = array[:change] if change < 0 else np.append(array, array[-1:])
    with pytest.raises(FormatError):
        unpack(replace(packed, **{stream: other}))


def test_bytes_are_all_that_a_kernel_streams() -> None:
    packed = pack(weight(4, 4, 1.0), "panel", 4)
    assert packed.nbytes == 16 * 4 + 0 + RUN * 2 + 2 * 3 * 8 + 2 * 8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [3, 7, 12])
def test_loads_are_the_inputs_that_rows_do_not_share(kind: Any, block: int) -> None:
    matrix = weight(9, 12, 0.4)
    matrix[4:8] = 0
    packed = pack(matrix, kind, block)
    panels = [matrix[at : at + PANEL] for at in range(0, 9, PANEL)]
    alone = sum(int((panel != 0).any(axis=0).sum()) for panel in panels)
    assert packed.loads == (alone if kind == "panel" else packed.values.size)


def test_every_column_of_a_dense_panel_is_a_load() -> None:
    assert pack(weight(9, 12, 0.4), "panel", 12, dense=True).loads == 3 * 12
