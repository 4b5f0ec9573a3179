"""``aerogel.tensor``: what is made, what is owned, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from scipy import sparse
from tests.tensor.samples import FORMATS, array, arrays, same, spelt

from aerogel.core.dtypes import DType
from aerogel.core.errors import AerogelError, InputError
from aerogel.formats.storage import check
from aerogel.tensor.make import tensor
from aerogel.tensor.tensor import Tensor

X = array(np.random.default_rng(8), (6, 9), "float64")


@given(arrays())
@settings(max_examples=100, deadline=None)
def test_every_format_holds_the_array(x: NDArray[Any]) -> None:
    for name in FORMATS[x.ndim]:
        t = tensor(x, spelt(name, x.ndim))
        same(t, x)
        check(t.storage, "t")
        assert (
            t.format.dense
            or t.format.block
            or name == "compressed,dense"
            or t.nnz == np.count_nonzero(x)
            or ("dense" in name.split("@")[0].split(",")[-1:])
        )


def test_the_format_is_what_it_has() -> None:
    assert tensor(X).format.short == "dense"
    assert tensor(sparse.csr_array(X)).format.short == "csr"
    assert tensor(sparse.csc_matrix(X)).format.short == "csc"
    assert tensor(sparse.dia_array(X)).format.short == "coo"
    assert tensor(tensor(X, "csr")).format.short == "csr"
    assert tensor(sparse.csr_array(X), "csc").format.short == "csc"
    assert tensor(3.5).shape == ()


def test_it_owns_and_freezes_what_it_holds() -> None:
    x, s = X.copy(), sparse.csr_array(X)
    t, u = tensor(x), tensor(s)
    x[:] = 0
    s.data[:] = 0
    s.indices[:] = 10**6
    same(t, X)
    same(u, X)
    for array_ in (t.storage.values, u.storage.values, *u.storage.levels[1]):
        with pytest.raises(ValueError, match="read-only"):
            array_[0] = 1
    assert x.flags.writeable and s.data.flags.writeable


def test_indices_are_as_small_as_they_can_be() -> None:
    s = sparse.csr_array(X)
    s.indptr, s.indices = s.indptr.astype(np.int64), s.indices.astype(np.int64)
    t = tensor(s)
    assert t.storage.index is DType.I32 and t.storage.levels[1][0].dtype == np.int32
    assert tensor(([1.0], ([0], [1])), shape=(2**40, 2**40)).storage.index is DType.I64


def test_coordinates_in_any_order() -> None:
    coords = ([2, 0, 2, 1], [1, 0, 1, 2])
    for name in ("coo", "csr", "csf", "dense", "csc"):
        same(tensor(([1.0, 2.0, 4.0, 3.0], coords), name), np.array([[2.0, 0, 0], [0, 0, 3], [0, 5, 0]]))
    t = tensor(([1.0, 2.0, 4.0, 3.0], np.array(coords)), shape=(4, 5))
    assert t.shape == (4, 5) and t.format.short == "coo"
    same(tensor(([True, True], ([0, 0],)), shape=(2,)), np.array([True, False]))
    same(tensor((np.zeros(0), ([], [])), shape=(2, 3)), np.zeros((2, 3)))
    assert tensor(([2.5], ()), shape=()).item() == 2.5
    # No pair of values and coordinates, but the rows of a matrix.
    same(tensor(([1, 2], [3, 4])), np.array([[1, 2], [3, 4]]))


@pytest.mark.parametrize(
    ("how", "wanted"),
    [("add", 10.0), ("min", -1.0), ("max", 8.0), ("mul", -24.0), ("last", 8.0), ("or", 1.0)],
)
def test_duplicates(how: Any, wanted: float) -> None:
    assert tensor(([3.0, -1.0, 8.0], ([1, 1, 1],)), duplicates=how)[1] == wanted


def test_duplicates_may_be_refused() -> None:
    with pytest.raises(AerogelError, match=r"1, 2"):
        tensor(([3.0, 4.0], ([1, 1], [2, 2])), duplicates="refuse")
    s = sparse.csr_array((np.array([1.0, 2.0]), np.array([1, 1]), np.array([0, 2])), shape=(1, 3))
    assert tensor(s)[0, 1] == 3.0 and tensor(s, duplicates="max")[0, 1] == 2.0
    with pytest.raises(InputError, match=r"^x: .*stand twice"):
        tensor(s, duplicates="refuse")


def test_types_and_fills() -> None:
    same(tensor(X, "csr", dtype=np.float32), X.astype(np.float32))
    assert tensor(([1, 2], ([0, 1],)), dtype="float64").dtype == np.float64
    far = tensor(sparse.csr_array(X), fill=np.inf)
    assert far.fill == np.inf and far.to_numpy().max() == np.inf and far.nnz == np.count_nonzero(X)
    x = np.where(X == 0, np.inf, X)
    t = tensor(x, "csr", fill=np.inf)
    assert t.nnz == np.count_nonzero(X)
    same(t, x)
    assert tensor(X, "csr", dtype="bool", fill=0).fill is False


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tensor(X, "csx"), r"format 'csx' is unknown: did you mean 'csr'"),
        (lambda: tensor(X[0], "csr"), r"format 'csr' is for 2 modes, but the tensor has 1"),
        (lambda: tensor(X, dtype="float16"), r"a tensor of float16 cannot be made"),
        (lambda: tensor(X, shape=(9, 6)), r"x has shape \(6, 9\), not \(9, 6\)"),
        (lambda: tensor(X.astype(int), fill=0.5), r"fill 0\.5 cannot be a int64"),
        (lambda: tensor(X, fill="a"), r"fill 'a' "),  # type: ignore[arg-type]
        (lambda: tensor(([1.0], ([0, 1],))), r"x: 1 values, but 2 coordinates"),
        (lambda: tensor(([1.0], ([0.5],))), r"coordinates and positions are integers"),
        (lambda: tensor(([1.0], ([3],)), shape=(3,)), r"3"),
        (lambda: tensor(([1.0], ([-1],)), shape=(3,)), r"-1"),
        (lambda: tensor(([1.0], ([1],)), shape=(3, 3)), r"modes|coordinates"),
        (lambda: tensor(([1.0], ([1],)), shape=(-3,)), r"mode 0 has size -3"),
        (lambda: tensor(X, "bsr:4x4"), r"no multiple|multiple"),
        (lambda: tensor(X, duplicates="sum"), r"duplicates 'sum' is unknown: choose from add"),  # type: ignore[arg-type]
        (lambda: tensor("text"), r"x is a str: give"),
    ],
)
def test_what_cannot_be_made_is_told(call: Any, message: str) -> None:
    with pytest.raises(AerogelError, match=message):
        call()


def test_an_own_tensor_is_not_copied() -> None:
    t = tensor(X, "csr")
    assert tensor(t).storage is t.storage
    assert isinstance(tensor(t, "csc"), Tensor)
    with pytest.raises(InputError):
        tensor(t, shape=(1, 1))
