"""Other shapes hold the same elements, in NumPy's order."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from tests.tensor.samples import array, same, tensors

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.tensor.make import tensor
from aerogel.tensor.tensor import Tensor


@given(tensors(), st.data())
@settings(max_examples=100, deadline=None)
def test_reshaping(pair: tuple[Tensor, NDArray[Any]], data: st.DataObject) -> None:
    t, x = pair
    same(t.ravel(), x.ravel())
    for size in (1, 2, 3, x.shape[0] or 1):
        if x.size and x.size % size == 0:
            shape = data.draw(st.permutations([size, -1, 1]))
            same(t.reshape(*shape), x.reshape(shape))
            same(np.reshape(t, shape), x.reshape(shape))
    assert t.reshape(t.shape).storage is t.storage


def test_modes_of_extent_one() -> None:
    x = array(np.random.default_rng(1), (4, 1, 3, 1), "int64")
    for name in ("csf", "coo", "dense"):
        t = tensor(x, name)
        same(t.squeeze(), x.squeeze())
        same(np.squeeze(t, axis=1), x.squeeze(1))
        same(t.squeeze((1, -1)), x.squeeze((1, 3)))
        same(t.expand_dims(0), np.expand_dims(x, 0))
        same(np.expand_dims(t, (0, -1)), np.expand_dims(x, (0, -1)))
    with pytest.raises(InputError, match=r"only those of extent 1 can be left out"):
        tensor(x, "csf").squeeze(0)


def test_shapes_that_do_not_hold_it() -> None:
    t = tensor(np.eye(3), "csr")
    for shape in ((2, 4), (-1, 2), (-1, -1), (-9,), (9, -1, 0)):
        with pytest.raises(InputError, match=r"has 9 elements: shape .* does not hold as many"):
            t.reshape(shape)
    wide = tensor(([1.0], ([5], [6])), shape=(2**40, 2**40))
    with pytest.raises(UnsupportedError, match="64 bits do not number them"):
        wide.reshape(2**20, 2**60)
    assert wide.expand_dims(0)[0, 5, 6] == 1.0


def test_zeros_that_are_stored_may_go() -> None:
    t = tensor(([0.0, 2.0, 0.0], ([0, 1, 2],)), shape=(4,))
    assert t.nnz == 3 and t.without_zeros().nnz == 1
    same(t.without_zeros(), t.to_numpy())
    same(np.outer(t, t), np.outer(t.to_numpy(), t.to_numpy()))
    with pytest.raises(UnsupportedError, match="takes vectors"):
        np.outer(tensor(np.eye(2), "csr"), t)
