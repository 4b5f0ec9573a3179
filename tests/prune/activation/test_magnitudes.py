"""Quantiles of |x| against sorting all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aerogel.prune.activation.magnitudes import Magnitudes

NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def counted(*parts: np.ndarray) -> Magnitudes:
    magnitudes = Magnitudes()
    for part in parts:
        magnitudes.add(torch.from_numpy(part))
    return magnitudes


@given(arrays(np.float32, st.integers(1, 40), elements=NUMBERS), st.floats(0, 1))
def test_a_quantile_has_its_share_below_but_for_one_bin(x: np.ndarray, share: float) -> None:
    t = counted(x).quantile(share)
    sizes = np.abs(x).astype(np.float64)
    wanted = share * len(x)
    assert np.count_nonzero(sizes <= t * (1 + 2**-7) + 2.0**-126) >= wanted - 1e-6
    assert np.count_nonzero(sizes < t * (1 - 2**-7) - 2.0**-126) <= max(wanted, np.count_nonzero(x == 0))


def test_of_many_values_it_is_the_quantile() -> None:
    x = np.random.default_rng(0).standard_normal((200, 100)).astype(np.float32)
    for share in (0.1, 0.5, 0.9):
        t = counted(x[:50], x[50:]).quantile(share)
        assert np.mean(np.abs(x) <= t) == pytest.approx(share, abs=5e-4)


def test_zeros_of_either_sign_are_counted_and_need_no_threshold() -> None:
    magnitudes = counted(np.array([0.0, -0.0, 1e-42, 1.0], np.float32))
    assert magnitudes.zero_share == 0.5 and magnitudes.quantile(0.5) == 0.0
    assert magnitudes.quantile(1.0) >= 1.0


def test_the_largest_float_and_no_value_at_all() -> None:
    largest = np.finfo(np.float32).max
    assert counted(np.array([largest], np.float32)).quantile(1.0) == pytest.approx(float(largest))
    assert Magnitudes().quantile(0.5) == 0.0 and Magnitudes().zero_share is None
