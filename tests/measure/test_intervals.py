from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel.core.errors import MeasureError
from aerogel.measure.intervals import least_values, median, median_interval, ratio_interval


def coverage(count: int, left_out: int) -> float:
    """The probability that the median lies within the order statistics, by the definition."""
    return 1 - 2 * sum(math.comb(count, i) for i in range(left_out + 1)) / 2**count


@pytest.mark.parametrize(("confidence", "least"), [(0.5, 2), (0.9, 5), (0.95, 6), (0.99, 8)])
def test_least_values_is_the_first_count_that_suffices(confidence: float, least: int) -> None:
    assert least_values(confidence) == least
    assert coverage(least, 0) >= confidence > coverage(least - 1, 0)


@given(st.integers(6, 60), st.sampled_from([0.8, 0.9, 0.95]))
def test_the_interval_is_the_narrowest_that_covers(count: int, confidence: float) -> None:
    low, high = median_interval(range(count), confidence)
    left_out = int(low)
    assert high == count - 1 - left_out
    assert coverage(count, left_out) >= confidence
    assert coverage(count, left_out + 1) < confidence


@given(st.lists(st.floats(0.1, 10), min_size=6, max_size=40))
def test_order_does_not_matter_and_the_median_is_inside(values: list[float]) -> None:
    low, high = median_interval(values, 0.95)
    assert (low, high) == median_interval(values[::-1], 0.95)
    assert low <= median(values) <= high


def test_intervals_hold_the_true_median_as_often_as_promised() -> None:
    draws = np.random.default_rng(0).lognormal(size=(2000, 9))
    held = [low <= 1.0 <= high for low, high in (median_interval(row.tolist(), 0.95) for row in draws)]
    assert 0.94 < np.mean(held) < 0.99


def test_paired_ratios_do_not_mistake_a_drifting_machine_for_a_difference() -> None:
    # The machine slows to half its speed: each side varies twofold, their ratio hardly.
    random = np.random.default_rng(1)
    drift = np.linspace(1, 2, 9)
    wrong = 0
    for _ in range(500):
        a, b = (drift * random.normal(1, 0.02, 9) for _ in range(2))
        value, low, high = ratio_interval(a.tolist(), b.tolist(), 0.95)
        assert 0.9 < value < 1.1 and high - low < 0.2
        wrong += not low <= 1 <= high
    assert wrong / 500 < 0.08


def test_ratio_and_its_widening() -> None:
    slow, fast = [4.0] * 6, [2.0] * 6
    assert ratio_interval(slow, fast, 0.95) == (2.0, 2.0, 2.0)
    value, low, high = ratio_interval(slow, fast, 0.95, resolution=0.25)
    assert (value, low, high) == (2.0, pytest.approx(1.6), pytest.approx(2.5))


@pytest.mark.parametrize(
    ("slow", "fast", "said"),
    [
        ([1.0] * 5, [1.0] * 5, "measure 6 or more"),
        ([1.0] * 6, [1.0] * 7, "cannot be paired"),
        ([1.0] * 6, [0.0] * 6, "too short for the clock"),
        ([], [], "0 values cannot give"),
    ],
)
def test_unusable_values_are_refused(slow: list[float], fast: list[float], said: str) -> None:
    with pytest.raises(MeasureError, match=said):
        ratio_interval(slow, fast, 0.95)
