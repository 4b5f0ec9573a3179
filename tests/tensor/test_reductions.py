"""Sums and extremes are NumPy's, with what is not stored counted as what it is."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from tests.tensor.samples import array, same, tensors

from aerogel.core.errors import InputError
from aerogel.tensor.make import tensor
from aerogel.tensor.tensor import Tensor

HOW = ("sum", "prod", "max", "min", "any", "all", "mean")


@given(tensors(), st.sampled_from(HOW), st.data())
@settings(max_examples=400, deadline=None)
def test_reductions_are_numpys(pair: tuple[Tensor, NDArray[Any]], how: str, data: st.DataObject) -> None:
    t, x = pair
    axes = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1) | st.permutations(range(x.ndim)))
    if isinstance(axes, list):
        axes = tuple(axes[: data.draw(st.integers(1, len(axes)))])
    over = range(x.ndim) if axes is None else [axes] if isinstance(axes, int) else axes
    if how in ("max", "min", "mean") and not np.prod([x.shape[mode] for mode in over]):
        return
    keep = data.draw(st.booleans())
    wanted = getattr(np, how)(x, axis=axes, keepdims=keep)
    found = getattr(t, how)(axis=axes, keepdims=keep)
    if how == "mean":
        wide = found.to_numpy() if isinstance(found, Tensor) else np.asarray(found)
        assert wide.dtype == wanted.dtype
        np.testing.assert_allclose(wide, wanted, rtol=1e-6)
    else:
        same(found, wanted)
    if x.ndim - len(list(over)) == 0 and not keep:
        assert isinstance(found, np.generic)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("fill", [2.0, -3.0, np.inf])
def test_a_fill_counts_wherever_nothing_is_stored(how: str, axis: int | None, fill: float) -> None:
    x = array(np.random.default_rng(4), (4, 5), "float64")
    x[x == 0] = fill
    x[2] = 1.0
    t = tensor(x, "csr", fill=fill)
    assert t.nnz < x.size and t.fill == fill
    same(getattr(t, how)(axis=axis), getattr(np, how)(x, axis=axis))


def test_nothing_to_choose_from_is_told() -> None:
    t = tensor(np.zeros((0, 3)), "csr")
    with pytest.raises(InputError, match="nothing to choose from"):
        t.max()
    with pytest.raises(InputError, match="of nothing"):
        t.mean(axis=0)
    same(t.max(axis=1), np.zeros(0))
    with pytest.raises(InputError, match="axis 2 is outside the 2 modes"):
        t.sum(axis=2)
    with pytest.raises(InputError, match="name a mode twice"):
        t.sum(axis=(0, -2))


def test_a_tensor_too_large_to_be_numbered_is_summed() -> None:
    """2^90 places: no key of 64 bits tells them apart."""
    at = [0, 2**29, 2**29, 5]
    t = tensor(([1.0, 2.0, 4.0, 8.0], (at, at, [1, 2, 3, 4])), shape=(2**30, 2**30, 2**30))
    assert t.sum() == 15.0 and t.max() == 8.0 and t.min() == 0.0
    found = t.sum(axis=2)
    assert isinstance(found, Tensor) and found.nnz == 3 and found[2**29, 2**29] == 6.0
    kept = t.sum(axis=1, keepdims=True)
    assert kept.shape == (2**30, 1, 2**30) and kept[5, 0, 4] == 8.0
