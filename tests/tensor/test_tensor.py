"""What a tensor says of itself, what it turns into, and that nothing changes it."""

from __future__ import annotations

import copy
import pickle
import weakref
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.typing import NDArray
from scipy import sparse
from tests.tensor.samples import array, same, tensors

from aerogel.core.errors import AerogelError, FormatError, InputError, UnsupportedError
from aerogel.formats.storage import check
from aerogel.tensor.make import tensor
from aerogel.tensor.tensor import Tensor, restored

X = array(np.random.default_rng(8), (6, 9), "float64")
pytestmark = pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta state:UserWarning")


def test_what_it_says_of_itself() -> None:
    t = tensor(X, "csr")
    stored = np.count_nonzero(X)
    assert (t.shape, t.ndim, t.size, t.dtype, t.nnz) == ((6, 9), 2, 54, np.float64, stored)
    assert t.density == stored / 54 and t.fill == 0 and t.nbytes == 12 * stored + 28
    assert repr(t) == f"<Tensor 6 x 9, float64, csr, {stored} stored ({stored / 54:.3g}), {t.nbytes} bytes>"
    assert repr(tensor(X, "csr", fill=2.0)).endswith(
        f"fill 2.0, {12 * 54 + 28 - 12 * int((X == 2).sum())} bytes>"
    )
    assert repr(tensor(2.5)) == "<Tensor scalar, float64, dense, 1 stored (1), 8 bytes>"
    assert tensor(np.zeros((0, 3)), "csr").density == 0.0
    assert tensor(X, "dense,bitmap").nnz == stored


def test_nothing_changes_it() -> None:
    t = tensor(X, "csr")
    with pytest.raises((FrozenInstanceError, AttributeError)):
        t.storage = None  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        t.other = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        t[0, 0] = 1  # type: ignore[index]
    assert copy.copy(t) is t and copy.deepcopy(t) is t and t.copy() is t and np.copy(t) is t
    assert weakref.ref(t)() is t


@given(tensors())
@settings(max_examples=150, deadline=None)
def test_transposing_moves_nothing(pair: tuple[Tensor, NDArray[Any]]) -> None:
    t, x = pair
    for order in [None, *_orders(x.ndim)]:
        turned = t.transpose(order) if order else t.T
        same(turned, x.transpose(order))
        check(turned.storage, "t")
        assert turned.storage.values is t.storage.values and turned.storage.levels is t.storage.levels


def _orders(rank: int) -> list[tuple[int, ...]]:
    return [tuple(np.roll(range(rank), step).tolist()) for step in range(rank)]


def test_names_of_transposes() -> None:
    assert tensor(X, "csr").T.format.short == "csc" and tensor(X, "csc").T.format.short == "csr"
    blocked = tensor(X, "bsr:2x3")
    same(blocked.T, X.T)
    assert blocked.T.format.block == (3, 2) and blocked.T.format.short == "bsr:3x2@1,0"
    same(tensor(X.T, "bsr:3x2@1,0").T, X)
    same(blocked.T.T, X)
    with pytest.raises(InputError, match=r"axes \(0, 0\) do not name each of the 2 modes once"):
        blocked.transpose(0, 0)
    with pytest.raises(InputError, match="do not name"):
        blocked.transpose(0, 5)


@given(tensors())
@settings(max_examples=100, deadline=None)
def test_pickles_come_back(pair: tuple[Tensor, NDArray[Any]]) -> None:
    t, x = pair
    back = pickle.loads(pickle.dumps(t))
    same(back, x)
    assert back.format == t.format and back.fill == t.fill and not back.storage.values.flags.writeable


def test_a_pickle_is_checked() -> None:
    t = tensor(X, "csr")
    make, parts = t.__reduce__()
    assert make is restored
    spelt, shape, levels, values, fill, index = parts
    pos, crd = levels[1]
    for wrong in (
        (spelt, shape, ((), (pos, crd + 5)), values, fill, index),
        (spelt, shape, ((), (pos[:-1], crd)), values, fill, index),
        (spelt, shape, levels, values[1:], fill, index),
        (spelt, (6, 2), levels, values, fill, index),
        (spelt, shape, levels, values.astype(object), fill, index),
        (spelt, shape, levels, values, fill, "U8"),
        ((("dense", "other"), (0, 1), ()), shape, levels, values, fill, index),
    ):
        with pytest.raises(AerogelError):
            restored(*wrong)


@given(tensors(rank=2))
@settings(max_examples=100, deadline=None)
def test_scipy_has_the_same(pair: tuple[Tensor, NDArray[Any]]) -> None:
    t, x = pair
    for layout in (None, "csr", "csc", "coo", "bsr", "dia", "dok", "lil"):
        if layout == "bsr" and 0 in x.shape:
            continue
        found = t.to_scipy(layout)
        assert isinstance(found, sparse.sparray) and found.shape == x.shape and found.dtype == x.dtype
        assert layout in (None, found.format)
        np.testing.assert_array_equal(found.toarray(), x)


def test_other_libraries_get_their_own_copy() -> None:
    for name in ("csr", "csc", "coo", "bsr:2x3", "dcsr"):
        t = tensor(X, name)
        s = t.to_scipy()
        s.data[:] = 7
        s.data.setflags(write=True)
        same(t, X)
        u = t.to_torch()
        np.testing.assert_array_equal(u.to_dense().numpy(), X)
    assert tensor(X[0], "sv").to_scipy().format == "coo"
    assert tensor(X, "csr").to_numpy().flags.writeable
    with pytest.raises(UnsupportedError, match=r"SciPy has 0 where nothing is stored, this tensor 1"):
        tensor(X, "csr", fill=1.0).to_scipy()
    with pytest.raises(InputError, match="SciPy has no layout 'csx'"):
        tensor(X, "csr").to_scipy("csx")
    with pytest.raises(UnsupportedError, match="without modes"):
        tensor(1.0).to_scipy()


@pytest.mark.parametrize("name", ["csr", "csc", "coo", "dense", "dcsr"])
def test_torch_has_the_same(name: str) -> None:
    t = tensor(X, name)
    for layout in (None, "strided", "sparse_coo", "sparse_csr", "sparse_csc"):
        found = t.to_torch(layout)
        assert isinstance(found, torch.Tensor)
        assert layout is None or str(found.layout) == f"torch.{layout}"
        np.testing.assert_array_equal(found.to_dense().numpy(), X)
    assert str(t.to_torch().layout).removeprefix("torch.") == {
        "dense": "strided", "dcsr": "sparse_coo",
    }.get(name, f"sparse_{name}")  # fmt: skip


def test_torch_of_other_shapes() -> None:
    cube = array(np.random.default_rng(1), (3, 4, 5), "float32")
    np.testing.assert_array_equal(tensor(cube, "csf").to_torch().to_dense().numpy(), cube)
    blocked = tensor(X, "bsr:2x3")
    assert blocked.to_torch().layout is torch.sparse_bsr
    assert blocked.T.to_torch().layout is torch.sparse_bsc
    np.testing.assert_array_equal(blocked.T.to_torch("sparse_bsc").to_dense().numpy(), X.T)
    with pytest.raises(UnsupportedError, match="needs blocks"):
        tensor(X, "csr").to_torch("sparse_bsr")
    with pytest.raises(UnsupportedError, match="2 modes"):
        tensor(cube, "csf").to_torch("sparse_csr")
    with pytest.raises(UnsupportedError, match=r"use to_torch\('strided'\)"):
        tensor(X, "csr", fill=1.0).to_torch()
    with pytest.raises(InputError, match="torch has no layout 'sparse'"):
        tensor(X, "csr").to_torch("sparse")


@given(
    tensors(),
)
@settings(max_examples=60, deadline=None)
def test_numpy_takes_it_as_an_array(pair: tuple[Tensor, NDArray[Any]]) -> None:
    t, x = pair
    same(np.asarray(t), x)
    same(np.array(t, dtype=np.float32), x.astype(np.float32))
    if not t.format.dense:
        with pytest.raises(ValueError, match="copy=False"):
            np.array(t, copy=False)
    coords, values = t.coordinates()
    out = np.full(x.shape, t.fill, x.dtype)
    out[coords] = values
    same(out, x)


def test_a_dense_array_too_large_is_refused() -> None:
    t = tensor(([1.0], ([0], [1])), shape=(2**40, 2**40))
    with pytest.raises(InputError, match=r"has 1208925819614629174706176 elements: keep it sparse"):
        t.to_numpy()


@given(tensors())
@settings(max_examples=60, deadline=None)
def test_types(pair: tuple[Tensor, NDArray[Any]]) -> None:
    t, x = pair
    for dtype in ("float64", "float32", "int64", "int32", "bool"):
        same(t.astype(dtype), x.astype(dtype))
    assert t.astype(t.dtype) is t


def test_formats_and_types_that_there_are_not() -> None:
    t = tensor(X, "csr")
    assert t.asformat("csr") is t and t.to_format("coo").format.short == "coo"
    same(t.asformat(["compressed", "compressed"]), X)
    with pytest.raises(FormatError, match="unknown"):
        t.asformat("nope")
    with pytest.raises(InputError, match="int8 cannot be made"):
        t.astype(np.int8)


def test_single_numbers() -> None:
    one = tensor(np.array([[0.0]]), "csr")
    assert not one and float(one) == 0.0 and int(one) == 0 and one.item() == 0.0
    assert bool(tensor(3)) and tensor(True).item() is True
    two = tensor(np.array([0.0, 2.0]), "sv")
    assert len(two) == 2
    with pytest.raises(InputError, match=r"use \.any\(\) or \.all\(\)"):
        bool(two)
    with pytest.raises(InputError, match=r"shape \(2,\) is no single number"):
        float(two)
    with pytest.raises(TypeError, match="without modes has no length"):
        len(tensor(1.0))


def test_it_holds_no_more_than_it_says() -> None:
    t = tensor(X, "csr")
    with pytest.raises(FormatError):
        check(replace(t.storage, shape=(6, 1)), "t")
