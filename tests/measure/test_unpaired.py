"""Two sets of values from two days: the interval of their ratio, by ranks."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from aerogel.core.errors import MeasureError
from aerogel.measure.unpaired import least_runs, rank_sums, unpaired_ratio


@pytest.mark.parametrize(("count", "other"), [(1, 1), (2, 3), (3, 2), (4, 4), (5, 3)])
def test_rank_sums_are_those_of_all_orders(count: int, other: int) -> None:
    found = [0] * (count * other + 1)
    for places in itertools.combinations(range(count + other), count):
        found[sum(place - i for i, place in enumerate(places))] += 1
    assert rank_sums(count, other) == found


def test_rank_sums_of_many_are_all_orders() -> None:
    assert sum(rank_sums(12, 15)) == math.comb(27, 12)


def test_equal_sets_have_a_ratio_of_one() -> None:
    value, low, high = unpaired_ratio([1.0, 1.1, 0.9, 1.05, 0.95], [1.0, 1.1, 0.9, 1.05, 0.95], 0.95)
    assert value == pytest.approx(1.0)
    assert low < 1 < high


def test_the_interval_is_that_of_the_tables() -> None:
    # Of 5 against 5 at 95 %, two-sided, the tables have a critical U of 2: the third smallest of 25 ratios.
    new, old = [10.0, 20.0, 30.0, 40.0, 50.0], [1.0, 1.01, 1.02, 1.03, 1.04]
    ratios = sorted(a / b for a in new for b in old)
    assert unpaired_ratio(new, old, 0.95)[1:] == (ratios[2], ratios[22])
    # With four of each only the extremes are left.
    ratios = sorted(a / b for a in new[:4] for b in old[:4])
    assert unpaired_ratio(new[:4], old[:4], 0.95)[1:] == (ratios[0], ratios[15])


def test_the_true_factor_is_within_as_often_as_it_says() -> None:
    rng = random.Random(7)
    hits = 0
    for _ in range(1000):
        old = [math.exp(rng.gauss(0, 0.05)) for _ in range(6)]
        new = [1.3 * math.exp(rng.gauss(0, 0.05)) for _ in range(6)]
        _, low, high = unpaired_ratio(new, old, 0.95)
        hits += low <= 1.3 <= high
    assert 0.94 <= hits / 1000 <= 0.985


def test_one_disturbed_run_does_not_decide() -> None:
    value, low, _ = unpaired_ratio([1.0, 1.01, 0.99, 1.02, 5.0], [1.0, 1.01, 0.99, 1.02, 0.98], 0.95)
    assert value == pytest.approx(1.01, abs=0.02)
    assert low < 1


def test_too_few_are_too_few() -> None:
    assert least_runs(0.95) == 4
    with pytest.raises(MeasureError, match="3 values against 3 cannot give 95 % confidence: measure 4"):
        unpaired_ratio([1.0] * 3, [1.0] * 3, 0.95)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_value_of_nothing_is_refused(value: float) -> None:
    with pytest.raises(MeasureError, match="too short"):
        unpaired_ratio([1.0, value, 1.0, 1.0], [1.0] * 4, 0.95)
