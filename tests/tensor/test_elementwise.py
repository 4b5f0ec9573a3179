"""Arithmetic means what NumPy means on the same arrays, except that 0 times anything is 0."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from scipy import sparse
from tests.tensor.samples import DTYPES, FORMATS, array, same, spelt, tensors

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.tensor.elementwise import broadcast_shape
from aerogel.tensor.make import tensor
from aerogel.tensor.tensor import Tensor

# Sparse with sparse, these are compiled, once for each pair of formats and types; all others are not.
COMPILED = (np.add, np.subtract, np.multiply)
UFUNCS = (
    np.maximum, np.minimum, np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
    np.logical_and, np.logical_or, np.logical_xor, np.hypot, np.arctan2,
)  # fmt: skip
NUMBERS = (0, 1, -2, 2.5, True, np.float32(1.5), np.int64(3), np.inf)


def numpys(ufunc: np.ufunc, *operands: Any) -> Any:
    """What NumPy says, its half precision widened; None where it has no such function."""
    try:
        with np.errstate(all="ignore"):
            found = ufunc(*operands)
    except TypeError:
        return None
    return wide(found)


def wide(found: Any) -> Any:
    """Half precision, which tensors do not have, as float32."""
    return found.astype(np.float32) if found.dtype == np.float16 else found


@given(st.data(), st.sampled_from(UFUNCS))
@settings(max_examples=400, deadline=None)
def test_two_tensors(data: st.DataObject, ufunc: np.ufunc) -> None:
    t, x = data.draw(tensors())
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    y = array(rng, x.shape, data.draw(st.sampled_from(DTYPES)))
    u = tensor(y, spelt(data.draw(st.sampled_from(FORMATS[y.ndim])), y.ndim))
    wanted = numpys(ufunc, x, y)
    if wanted is None:
        with pytest.raises(TypeError):
            ufunc(t, u)
        return
    found = ufunc(t, u)
    same(wide(found), wanted)
    sparse_result = not (t.format.dense and u.format.dense) and ufunc is np.logical_and
    both = not t.format.dense and not u.format.dense
    assert isinstance(found, Tensor) == (sparse_result or both)


@pytest.mark.parametrize("ufunc", COMPILED)
@pytest.mark.parametrize("pair", [("csr", "csr"), ("csc", "csr"), ("coo", "dcsr")])
def test_two_matrices_are_compiled(ufunc: np.ufunc, pair: tuple[str, str]) -> None:
    rng = np.random.default_rng(6)
    for shape in ((5, 7), (0, 7), (1, 1)):
        for left, right in (("float64", "float64"), ("int32", "float64")):
            x, y = array(rng, shape, left), array(rng, shape, right)
            found = ufunc(tensor(x, pair[0]), tensor(y, pair[1]))
            same(found, ufunc(x, y))
            assert isinstance(found, Tensor) and found.format.short == pair[0]


@pytest.mark.parametrize("ufunc", COMPILED)
def test_two_tensors_of_three_modes(ufunc: np.ufunc) -> None:
    rng = np.random.default_rng(6)
    x, y = array(rng, (3, 4, 5), "int64"), array(rng, (3, 4, 5), "int64")
    same(ufunc(tensor(x, "csf"), tensor(y, "coo")), ufunc(x, y))


@given(st.data(), st.sampled_from((*UFUNCS, *COMPILED)))
@settings(max_examples=300, deadline=None)
def test_with_numbers(data: st.DataObject, ufunc: np.ufunc) -> None:
    t, x = data.draw(tensors())
    number = data.draw(st.sampled_from(NUMBERS))
    left = data.draw(st.booleans())
    pair, own = ((number, x), (number, t)) if left else ((x, number), (t, number))
    wanted = numpys(ufunc, *pair)
    if wanted is None:
        return
    with np.errstate(all="ignore"):
        found = wide(ufunc(*own))
    if ufunc is np.multiply and np.isinf(number) and not t.format.dense:
        wanted = np.where(x == 0, 0, wanted).astype(wanted.dtype)
    same(found, wanted)
    assert isinstance(found, Tensor) == (not t.format.dense)


@given(st.data(), st.sampled_from((*UFUNCS, *COMPILED)))
@settings(max_examples=200, deadline=None)
def test_with_arrays_on_either_side(data: st.DataObject, ufunc: np.ufunc) -> None:
    t, x = data.draw(tensors(dtypes=("float64", "int32")))
    y = array(np.random.default_rng(7), x.shape, "float64", 0.6)
    cut = data.draw(st.integers(0, x.ndim))
    y = y[(0,) * cut] if x.size else y
    same(ufunc(t, y), ufunc(x, y))
    same(ufunc(y, t), ufunc(y, x))


def test_signs_are_ufuncs() -> None:
    rng = np.random.default_rng(3)
    x, y = array(rng, (4, 5), "int64"), array(rng, (4, 5), "int64", 1.0) * 2 + 1
    t, u = tensor(x, "csr"), tensor(y, "csc")
    same(t + u, x + y)
    same(t - u, x - y)
    same(t * u, x * y)
    same(t / u, x / y)
    same(t // u, x // y)
    same(t % u, x % y)
    same(t**2, x**2)
    same(2 ** u.astype("float64"), 2.0**y)
    same(-t, -x)
    same(abs(t), abs(x))
    same(~t, ~x)
    same(t & u, x & y)
    same(t | u, x | y)
    same(t ^ u, x ^ y)
    same(t < u, x < y)
    same(t == u, x == y)
    same(t != u, x != y)
    same(t >= 1, x >= 1)
    same(10 - t, 10 - x)
    same(10 * t, 10 * x)
    same(t.to_numpy() - u, x - y)
    assert +t is t


def test_other_libraries_may_stand_on_either_side() -> None:
    rng = np.random.default_rng(3)
    x, y = array(rng, (4, 5), "float64"), array(rng, (4, 5), "float64")
    t, s = tensor(x, "csr"), sparse.csr_array(y)
    for found in (t + s, s + t):
        same(found, x + y)
    same(t * s, x * y)
    same(s - t, y - x)


def test_what_is_not_stored_annihilates() -> None:
    t = tensor(np.array([0.0, 2.0, 0.0]), "sv")
    with np.errstate(all="ignore"):
        same(t * np.array([np.inf, 3.0, np.nan]), np.array([0.0, 6.0, 0.0]))
        same(t / np.array([0.0, 0.0, 1.0]), np.array([0.0, np.inf, 0.0]))
        same(t * np.nan, np.array([0.0, np.nan, 0.0]))
        same(t / tensor(np.array([0.0, 4.0, 5.0]), "sv"), np.array([0.0, 0.5, 0.0]))
    assert (t * np.nan).nnz == 1


def test_a_number_moves_the_fill_and_nothing_else() -> None:
    x = array(np.random.default_rng(1), (6, 7), "float64")
    t = tensor(x, "csr")
    shifted = t + 2
    assert shifted.fill == 2 and shifted.nnz == t.nnz and shifted.storage.levels is t.storage.levels
    same(shifted, x + 2)
    same(shifted * t, (x + 2) * x)
    same(shifted + shifted, 2 * x + 4)
    same(np.exp(t), np.exp(x))
    equal = t == 0
    assert equal.fill is True and equal.dtype == np.bool_


@given(tensors(dtypes=("float64", "int32", "bool")), st.sampled_from([np.negative, np.sqrt, np.exp, np.sign]))
@settings(max_examples=100, deadline=None)
def test_one_tensor(pair: tuple[Tensor, NDArray[Any]], ufunc: np.ufunc) -> None:
    t, x = pair
    if ufunc is np.sqrt:
        t, x = t * t, x * x
        t = tensor(t)
    wanted = numpys(ufunc, x)
    if wanted is not None:
        same(wide(ufunc(t)), wanted)


def test_modes_of_extent_one_are_repeated() -> None:
    rng = np.random.default_rng(5)
    x, row, column = (array(rng, shape, "int64") for shape in ((4, 5), (5,), (4, 1)))
    t, r, c = tensor(x, "csr"), tensor(row, "sv"), tensor(column, "csr")
    same(t + r, x + row)
    same(t * c, x * column)
    same(r + c, row + column)
    same(t * row, x * row)
    same(t * column, x * column)
    same(r * x, row * x)
    assert broadcast_shape((3, 1), (1, 4)) == (3, 4)
    with pytest.raises(InputError, match=r"\(4, 5\) and \(4,\) do not go together"):
        t + tensor(np.ones(4), "sv")
    flat, tall = (tensor(([1.0], ([0], [0])), shape=shape) for shape in ((1, 2**40), (2**41, 1)))
    with pytest.raises(UnsupportedError, match="too many"):
        flat + tall


def test_nobody_is_surprised_by_what_cannot_be_done() -> None:
    t = tensor(np.eye(3), "csr")
    with pytest.raises(TypeError):
        t + None
    with pytest.raises(TypeError):
        t * "a"
    assert (t == None) is False  # noqa: E711
    with pytest.raises(UnsupportedError, match=r"takes no out=: pass t\.to_numpy\(\)"):
        np.add(t, t, out=np.zeros((3, 3)))
    with pytest.raises(UnsupportedError, match=r"numpy\.modf\.__call__"):
        np.modf(t)
    with pytest.raises(UnsupportedError, match=r"numpy\.add\.accumulate"):
        np.add.accumulate(t)
    with pytest.raises(TypeError, match="unhashable"):
        hash(t)
