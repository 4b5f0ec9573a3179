"""``@`` and its kin are NumPy's."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import sparse
from tests.tensor.samples import array, same

from aerogel.core.errors import AerogelError, UnsupportedError
from aerogel.tensor.make import tensor
from aerogel.tensor.tensor import Tensor

DTYPES = ("float64", "float32", "int64", "bool")


@st.composite
def pairs(draw: Any) -> tuple[Any, Any]:
    """Two arrays whose shapes suit ``@``, of one type or of two."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    i, j, k = (draw(st.integers(0, 5)) for _ in range(3))
    shapes = draw(st.sampled_from([((i, k), (k, j)), ((i, k), (k,)), ((k,), (k, j)), ((k,), (k,))]))
    left = draw(st.sampled_from(DTYPES))
    right = draw(st.sampled_from((left, "float64")))
    return array(rng, shapes[0], left), array(rng, shapes[1], right)


@given(
    pairs(), st.sampled_from(["csr", "csc", "coo", "dense"]), st.sampled_from(["csr", "csc", "dcsr", "dense"])
)
@settings(max_examples=40, deadline=None)
def test_matmul(pair: tuple[Any, Any], left: str, right: str) -> None:
    x, y = pair
    t = tensor(x, left if x.ndim == 2 else "sv" if left != "dense" else "dense")
    u = tensor(y, right if y.ndim == 2 else "sv" if right != "dense" else "dense")
    wanted = x @ y
    found = t @ u
    same(found, wanted)
    both = not t.format.dense and not u.format.dense
    assert isinstance(found, Tensor) == (both and wanted.ndim > 0)
    if wanted.ndim:
        same(t @ y, wanted)
        same(x @ u, wanted)


def test_the_result_is_stored_as_its_operands_are() -> None:
    x = array(np.random.default_rng(1), (4, 4), "float64")
    assert (tensor(x, "csr") @ tensor(x, "csr")).format.short == "csr"
    assert (tensor(x, "csc") @ tensor(x, "csc")).format.short == "csc"
    s = sparse.csr_array(x)
    same(tensor(x, "csr") @ s, x @ x)


def test_stacks_dot_and_tensordot() -> None:
    rng = np.random.default_rng(2)
    x, y = array(rng, (2, 3, 4), "float64"), array(rng, (2, 4, 5), "float64")
    same(tensor(x, "csf") @ tensor(y, "csf"), x @ y)
    same(tensor(x, "csf") @ y[0], x @ y[0])
    same(np.dot(tensor(x, "csf"), tensor(y[0], "csr")), np.dot(x, y[0]))
    same(tensor(x[0], "csr").dot(y[0]), x[0].dot(y[0]))
    same(
        np.tensordot(tensor(x, "csf"), tensor(y, "csf"), axes=([2, 0], [1, 0])),
        np.tensordot(x, y, ([2, 0], [1, 0])),
    )
    same(np.tensordot(tensor(x[0], "csr"), tensor(y[0], "csr"), axes=1), np.tensordot(x[0], y[0], 1))
    same(np.matmul(tensor(x[0], "csr"), y[0]), x[0] @ y[0])
    same(np.einsum("ij,jk->ik", tensor(x[0], "csr"), y[0]), x[0] @ y[0])
    same(np.einsum("ij->j", tensor(x[0], "csr"), optimize=True), x[0].sum(0))


def test_what_does_not_fit_is_told() -> None:
    t = tensor(np.eye(3), "csr")
    with pytest.raises(AerogelError, match=r"@ of shapes \(3, 3\) and \(4,\): 3 does not meet 4"):
        t @ np.ones(4)
    with pytest.raises(AerogelError, match="use \\* with a number"):
        t @ 3
    with pytest.raises(UnsupportedError, match="the stacks differ"):
        tensor(np.ones((2, 3, 3)), "csf") @ np.ones((2, 2, 3, 3))
    with pytest.raises(AerogelError, match="too many"):
        np.tensordot(t, t, 3)
    with pytest.raises(UnsupportedError, match=r"einsum of tensors takes no out="):
        np.einsum("ij->i", t, out=np.zeros(3))
