"""Zeros are counted exactly, whatever their sign and wherever the parts are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aerogel.core.errors import InputError
from aerogel.find import zeros as module
from aerogel.find.zeros import DEFINITION, count_zeros, together


def test_a_hand_made_array() -> None:
    values = np.array([[0.0, -0.0, 10.0, -0.05], [0.099, 0.1, -0.1, 0.0]], np.float32)
    found = count_zeros(values, "it")
    assert (found.count, found.zeros) == (8, 3), "-0.0 is a zero"
    # Below 0.1 in size: -0.05 and 0.099. Below 1 % of the root mean square, 3.54: none.
    assert (found.near_max, found.near_rms) == (2, 0)
    assert found.largest == 10
    assert found.rms == pytest.approx(np.sqrt((100 + 0.05**2 + 0.099**2 + 0.02) / 8))
    assert (found.share, found.near_max_share, found.near_rms_share) == (3 / 8, 2 / 8, 0)


@pytest.mark.parametrize("size", [0, 1, 5])
def test_nothing_but_zeros(size: int) -> None:
    found = count_zeros(np.zeros(size, np.float32), "it")
    assert (found.count, found.zeros, found.near_max, found.near_rms) == (size, size, 0, 0)
    assert (found.largest, found.rms) == (0, 0)
    assert found.share == (1 if size else 0)


def test_the_smallest_numbers_are_not_zeros() -> None:
    found = count_zeros(np.array([1e-45, 0.0, -1e-45], np.float32), "it")
    assert (found.zeros, found.near_max, found.near_rms) == (1, 0, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_by_name(bad: float) -> None:
    with pytest.raises(InputError, match="weight 'a' holds 2 NaN or infinite"):
        count_zeros(np.array([1, bad, 0, bad], np.float32), "weight 'a'")


@settings(deadline=None, max_examples=50)
@given(arrays.arrays(np.float32, st.integers(0, 40), elements=st.floats(-4, 4, width=32)))
def test_counts_do_not_depend_on_the_parts(values: np.ndarray) -> None:
    whole = count_zeros(values, "it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PART", 3)
        parts = count_zeros(values, "it")
    assert whole.zeros == parts.zeros == int((values == 0).sum())
    assert (whole.near_max, whole.near_rms) == (parts.near_max, parts.near_rms)
    assert whole.zeros + whole.near_max <= whole.count
    assert whole.near_rms <= whole.near_max, "the root mean square is no larger than the largest"


def test_the_sum_of_counts() -> None:
    a = count_zeros(np.array([0, 3, 4], np.float32), "a")
    b = count_zeros(np.array([0, 0, 0.001, 1], np.float32), "b")
    both = together([a, b])
    assert (both.count, both.zeros, both.near_max, both.largest) == (7, 3, 1, 4)
    assert both.rms == pytest.approx(np.sqrt((9 + 16 + 1 + 1e-6) / 7))
    assert together([]).count == 0


def test_the_definition_says_near_what() -> None:
    assert "1 % of the layer's largest" in DEFINITION
    assert "root mean square" in DEFINITION
