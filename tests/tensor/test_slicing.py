"""Parts of tensors are the parts NumPy takes of the same array."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from tests.tensor.samples import FORMATS, array, same, spelt, tensors

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.formats.storage import check
from aerogel.tensor.make import tensor
from aerogel.tensor.slicing import cut
from aerogel.tensor.tensor import Tensor


@st.composite
def keys(draw: Any, shape: tuple[int, ...]) -> Any:
    """What NumPy and we understand alike: at most one array, not parted from a number by a slice."""
    parts: list[Any] = []
    array_at = draw(st.integers(-3, len(shape) - 1))
    for mode, size in enumerate(shape):
        if mode == array_at:
            if draw(st.booleans()) or not size:
                parts.append(np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)), np.bool_))
            else:
                parts.append(np.array(draw(st.lists(st.integers(-size, size - 1), max_size=7)), np.int64))
        elif size and array_at < 0 and draw(st.booleans()):
            parts.append(draw(st.integers(-size, size - 1)))
        else:
            parts.append(draw(st.slices(size)) if draw(st.booleans()) else slice(None))
    if draw(st.booleans()) and parts and isinstance(parts[-1], slice):
        parts[-1] = Ellipsis
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), None)
    return tuple(parts)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_parts_are_numpys(data: st.DataObject) -> None:
    t, x = data.draw(tensors())
    key = data.draw(keys(x.shape))
    found, wanted = t[key], x[key]
    same(found, wanted)
    if wanted.ndim == 0 and not any(part is Ellipsis for part in key):
        assert not isinstance(found, Tensor)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_every_format_is_cut_along_its_first_level(rank: int) -> None:
    rng = np.random.default_rng(5)
    x = array(rng, (6, 5, 4)[:rank], "float64")
    for name in FORMATS[rank]:
        t = tensor(x, spelt(name, rank))
        if t.format.block:
            continue
        mode = t.format.order[0]
        for low, high in [(0, 0), (1, 3), (0, x.shape[mode]), (2, 2), (3, x.shape[mode])]:
            same(Tensor(cut(t.storage, low, high)), np.take(x, range(low, high), axis=mode))


def test_a_row_of_csr_is_cut_out_without_a_copy() -> None:
    x = array(np.random.default_rng(1), (50, 40), "float64")
    t = tensor(x, "csr")
    assert np.shares_memory(cut(t.storage, 3, 9).values, t.storage.values)
    same(t[3:9], x[3:9])
    assert t[3:9].format.short == "csr" and t[3].format.short == "sv"


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (5, IndexError, r"index 5 is outside mode 0, which has 4"),
        ((0, -6), IndexError, r"index -6 is outside mode 1"),
        ((0, 0, 0), IndexError, r"3 indices for a tensor of 2 modes"),
        ((..., ...), IndexError, r"'\.\.\.' may stand once"),
        ([1, 9], IndexError, r"index 9 is outside mode 0"),
        (np.array([True, False]), IndexError, r"a mask of 2 for mode 0"),
        (np.array([[1]]), InputError, r"one array of numbers"),
        (1.5, InputError, r"mode 0 is asked for float"),
        ("a", InputError, r"mode 0 is asked for str"),
        (([0], [1]), UnsupportedError, r"one after the other"),
    ],
)
def test_what_is_outside_or_odd_is_told(key: Any, error: type[Exception], message: str) -> None:
    t = tensor(np.eye(4, 5), "csr")
    with pytest.raises(error, match=message):
        t[key]


def test_a_number_and_an_array_with_a_slice_between_are_refused() -> None:
    t = tensor(np.ones((2, 3, 4)), "csf")
    with pytest.raises(UnsupportedError, match="slice between"):
        t[0, :, [1]]


@given(tensors(rank=2), st.integers(-6, 6))
@settings(max_examples=100, deadline=None)
def test_diagonals(pair: tuple[Tensor, NDArray[Any]], offset: int) -> None:
    t, x = pair
    same(t.diagonal(offset), np.diagonal(x, offset))
    if -x.shape[0] <= offset <= x.shape[1]:
        same(t.trace(offset), np.trace(x, offset))


def test_steps_and_offsets_beyond_everything() -> None:
    x = array(np.random.default_rng(3), (4, 5), "float64")
    for name in ("csr", "csc", "coo"):
        t = tensor(x, name)
        same(t[:: 2**40, :: -(2**40)], x[:: 2**40, :: -(2**40)])
        same(t.diagonal(2**40), np.zeros(0))
        same(t.diagonal(-(2**40)), np.zeros(0))


def test_rows_in_any_order_and_often() -> None:
    rng = np.random.default_rng(3)
    for rank in (1, 2, 3):
        x = array(rng, (6, 5, 4)[:rank], "float64")
        for name in FORMATS[rank]:
            t = tensor(x, spelt(name, rank))
            same(t[[5, 0, 0, -2]], x[[5, 0, 0, -2]])
            same(t[::-2], x[::-2])
            same(t[np.array([True, False] * 3)], x[np.array([True, False] * 3)])
            check(t[[5, 0, 0]].storage, "t")


def test_diagonals_of_three_modes() -> None:
    x = array(np.random.default_rng(2), (3, 4, 5), "int64")
    same(tensor(x, "csf").diagonal(1, 2, 0), np.diagonal(x, 1, 2, 0))
    with pytest.raises(InputError, match="two modes"):
        tensor(x[0, 0], "sv").diagonal()
    with pytest.raises(InputError, match="with itself"):
        tensor(x, "csf").diagonal(0, 1, 1)


def test_tensors_are_walked_along_their_first_mode() -> None:
    x = array(np.random.default_rng(3), (3, 4), "float64")
    for row, wanted in zip(tensor(x, "csr"), x, strict=True):
        same(row, wanted)
