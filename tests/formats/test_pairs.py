"""Words stored so that sums of two products fit 16 bits: nothing lost, nothing left that would saturate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aerogel.formats import packed as packed_module
from aerogel.formats.pairs import split
from aerogel.formats.panel import DENSE, MENDED, PARTS, RUN, WHOLE, Packed, pack, unpack, words

INTEGERS = st.one_of(st.sampled_from([-128, -127, -65, -64, -1, 0, 1, 64, 65, 127]), st.integers(-128, 127))
ROWS = st.tuples(st.integers(1, 40), st.integers(1, 30))


def largest(stored: np.ndarray) -> int:
    """The largest sum of two products that activations can make of these words, by size."""
    pairs = np.ascontiguousarray(stored).view(np.int8).reshape(-1, 2).astype(int)
    up, down = np.maximum(pairs, 0).sum(axis=1), np.minimum(pairs, 0).sum(axis=1)
    return 255 * int(max(up.max(initial=0), -down.min(initial=0)))


@given(arrays.arrays(np.int8, ROWS, elements=INTEGERS))
def test_what_is_split_fits_and_adds_up(integers: np.ndarray) -> None:
    matrix = words(integers)
    most, rest = split(matrix)
    np.testing.assert_array_equal(most | rest, matrix)
    assert not (most.view(np.int8).astype(bool) & rest.view(np.int8).astype(bool)).any()
    assert max(largest(most), largest(rest)) < 1 << 15


def test_any_order_in_memory_will_do() -> None:
    matrix = words(np.full((3, 8), 100, np.int8))
    for got, want in zip(split(np.asfortranarray(matrix)), split(matrix), strict=True):
        np.testing.assert_array_equal(got, want)


def test_only_what_does_not_fit_is_split() -> None:
    rows = np.array([[64, 64, 127, 1], [-64, -64, 127, -128], [-128, 0, 0, 127], [65, 64, -127, -2]], np.int8)
    most, rest = split(words(rows))
    assert rest.view(np.int8).reshape(4, 4).tolist() == [[0] * 4] * 3 + [[0, 64, 0, -2]]
    assert (most.view(np.int8).reshape(4, 4)[:3] == rows[:3]).all()


@given(
    integers=arrays.arrays(np.int8, ROWS, elements=INTEGERS),
    kind=st.sampled_from(["panel", "quad", "dense"]),
    block=st.integers(1, 9),
    zeros=st.sampled_from([0.0, 0.5, 0.9]),
)
def test_packed_and_unpacked(integers: np.ndarray, kind: Any, block: int, zeros: float) -> None:
    integers[np.random.default_rng(0).random(integers.shape) < zeros] = 0
    matrix, dense = words(integers), kind == "dense"
    packed = pack(matrix, "panel" if dense else kind, block, dense=dense, pairs=True)
    np.testing.assert_array_equal(unpack(packed), matrix)
    assert largest(packed.values) < 1 << 15
    assert packed.nonzeros == np.count_nonzero(matrix)


def kinds_of(packed: Packed) -> set[int]:
    return set(packed.runs.reshape(-1, RUN)[:, 0].tolist())


def whole(large: int) -> np.ndarray:
    """8 rows of 10 words, one of which has two integers of that size."""
    integers = np.full((8, 40), 30, np.int8)
    integers[5, 12:14] = large
    return words(integers)


def test_a_dense_panel_keeps_its_order_and_gets_one_column_more() -> None:
    packed = pack(whole(100), "panel", 10, dense=True, pairs=True)
    runs = packed.runs.reshape(-1, RUN)
    assert runs[:, 0].tolist() == [DENSE, MENDED]
    assert runs[1].tolist() == [MENDED, 0, 1, *[0] * 12, 10]
    assert packed.indices.tolist() == [3] and packed.values.size == 8 * 10 + 1
    assert (packed.loads, packed.starts[-1].tolist()) == (21, [81, 1, 32])


def test_whole_columns_stay_whole() -> None:
    matrix = whole(100)
    matrix[:, ::2] = 0
    assert kinds_of(pack(matrix, "panel", 10, pairs=True)) == {WHOLE, PARTS}


@pytest.mark.parametrize("kind", ["panel", "quad"])
def test_where_all_fits_nothing_changes(kind: Any) -> None:
    for matrix in (whole(64), np.ones((4, 5), np.float32)):
        plain, paired = (pack(matrix, kind, 10, pairs=pairs) for pairs in (False, True))
        for name in ("values", "indices", "runs", "starts", "work"):
            np.testing.assert_array_equal(getattr(plain, name), getattr(paired, name))


@pytest.mark.parametrize("kind", ["panel", "quad"])
def test_how_much_is_packed_at_a_time_changes_nothing(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    integers = np.random.default_rng(1).integers(-128, 128, (150, 60)).astype(np.int8)
    matrix = words(np.where(np.arange(60) // 4 % 3 == 0, np.int8(0), integers))
    whole_matrix = pack(matrix, kind, 7, pairs=True)
    monkeypatch.setattr(packed_module, "AT_ONCE", 1)
    by_groups = pack(matrix, kind, 7, pairs=True)
    for name in ("values", "indices", "runs", "starts", "work"):
        np.testing.assert_array_equal(getattr(whole_matrix, name), getattr(by_groups, name))
