"""NumPy's functions take tensors where they have a meaning, and are refused by name where not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from tests.tensor.samples import array, same, tensors

from aerogel.core.errors import AerogelError, UnsupportedError
from aerogel.tensor.make import tensor
from aerogel.tensor.tensor import Tensor

X = array(np.random.default_rng(8), (4, 6), "float64")
CALLS: list[Callable[[Any], Any]] = [
    np.sum, np.prod, np.mean, np.max, np.amax, np.min, np.any, np.all, np.transpose, np.count_nonzero,
    np.trace, np.diagonal, np.shape, np.ndim, np.size, np.abs, np.sin, np.isnan, np.sign,
    lambda a: np.sum(a, axis=1), lambda a: np.max(a, axis=0, keepdims=True),
    lambda a: np.swapaxes(a, 0, 1),
    lambda a: np.moveaxis(a, 0, 1), lambda a: np.transpose(a, (1, 0)),
    lambda a: np.concatenate([a, a], axis=1),
    lambda a: np.vstack([a, a]), lambda a: np.hstack([a, a]), lambda a: np.stack([a, a], axis=1),
    lambda a: np.count_nonzero(a, axis=0), np.add.reduce, lambda a: np.maximum.reduce(a, axis=None),
    lambda a: np.where(np.asarray(a) > 0, 1, 0),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["csr", "csc", "coo", "dense"])
def test_functions_are_numpys(call: Callable[[Any], Any], name: str) -> None:
    found, wanted = call(tensor(X, name)), call(X)
    if isinstance(wanted, tuple | int):
        assert found == wanted
    elif call is np.mean:
        np.testing.assert_allclose(found, wanted)
    else:
        same(found, wanted)


@given(tensors())
@settings(max_examples=60, deadline=None)
def test_where_it_is_not_zero(pair: tuple[Tensor, NDArray[Any]]) -> None:
    t, x = pair
    for found, wanted in zip(np.nonzero(t), np.nonzero(x), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert np.count_nonzero(t) == np.count_nonzero(x)


def test_equal_or_not() -> None:
    t = tensor(X, "csr")
    assert np.array_equal(t, X) and np.array_equal(t, t.asformat("csc")) and np.array_equal(X, t)
    assert not np.array_equal(t, X + 1) and not np.array_equal(t, X[:2]) and not np.array_equal(t, t * 2)


def test_concatenating() -> None:
    rng = np.random.default_rng(1)
    x, y, z = (array(rng, shape, "float64") for shape in ((2, 3), (4, 3), (0, 3)))
    found = np.concatenate([tensor(x, "csr"), y, tensor(z, "csc")])
    same(found, np.concatenate([x, y, z]))
    assert isinstance(found, Tensor) and found.format.short == "csr"
    same(np.hstack([tensor(x[0], "sv"), tensor(y[0], "sv")]), np.hstack([x[0], y[0]]))
    same(np.vstack([tensor(x[0], "sv"), tensor(y[0], "sv")]), np.vstack([x[0], y[0]]))
    with pytest.raises(AerogelError, match=r"\(2, 3\) and \(3, 2\) differ beside mode 0"):
        np.concatenate([tensor(x, "csr"), x.T])
    with pytest.raises(UnsupportedError, match="different fills"):
        np.concatenate([tensor(x, "csr"), tensor(x, "csr", fill=1.0)])
    with pytest.raises(AerogelError, match="different shapes"):
        np.stack([tensor(x, "csr"), y])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (np.linalg.svd, r"numpy\.linalg\.svd"),
        (lambda a: np.where(a, 1, 0), r"numpy\.where"),
        (np.sort, r"numpy\.sort"),
        (np.cumsum, r"numpy\.cumsum"),
        (lambda a: np.sum(a, dtype=np.float32), r"numpy\.sum .* takes neither dtype= nor out="),
    ],
)
def test_what_has_no_meaning_is_refused_by_name(call: Callable[[Any], Any], name: str) -> None:
    with pytest.raises(UnsupportedError, match=name):
        call(tensor(X, "csr"))
