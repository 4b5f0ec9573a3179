from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.report.scale import scale

MEASURES = st.floats(-1e15, 1e15)
POSITIVE = st.floats(1e-15, 1e15)


@settings(deadline=None)
@given(MEASURES, MEASURES)
def test_even_scales_show_all_with_round_ticks_inside(a: float, b: float) -> None:
    low, high = sorted((a, b))
    made = scale(low, high, 10, 300, log=False)
    assert made.low < low <= high < made.high
    assert 10 < made.at(low) <= made.at(high) < 300
    ticks = made.ticks()
    assert 2 <= len(ticks) <= 8
    assert all(made.low <= tick <= made.high for tick in ticks)
    assert all(x < y for x, y in pairwise(ticks))


@settings(deadline=None)
@given(POSITIVE, POSITIVE)
def test_logarithmic_scales_show_all_with_round_ticks_inside(a: float, b: float) -> None:
    low, high = sorted((a, b))
    made = scale(low, high, 300, 10, log=True)
    assert 300 > made.at(low) >= made.at(high) > 10
    ticks = made.ticks()
    assert 2 <= len(ticks) <= 8
    assert all(made.low * 0.999 <= tick <= made.high * 1.001 for tick in ticks)
    assert all(x < y for x, y in pairwise(ticks))


def test_equal_ratios_are_equally_far_apart_on_a_logarithmic_scale() -> None:
    made = scale(0.5, 8, 0, 100, log=True)
    assert math.isclose(made.at(1) - made.at(0.5), made.at(8) - made.at(4))
    assert math.isclose(made.at(2), (made.at(1) + made.at(4)) / 2)


@pytest.mark.parametrize(
    ("low", "high", "log", "wanted"),
    [
        (0.28, 1.0, False, (0.4, 0.6, 0.8, 1.0)),
        (0.36, 7.5, True, (0.5, 1, 2, 5)),
        (0.001, 1000, True, (0.001, 0.01, 0.1, 1, 10, 100, 1000)),
        (1.0, 1.5, True, (1.0, 1.1, 1.2, 1.3, 1.4, 1.5)),
        (0, 103, False, (0, 20, 40, 60, 80, 100)),
    ],
)
def test_ticks_are_the_numbers_a_person_would_choose(
    low: float, high: float, log: bool, wanted: tuple[float, ...]
) -> None:
    assert scale(low, high, 0, 100, log=log).ticks() == wanted


def test_what_lies_outside_is_drawn_at_the_nearer_end() -> None:
    made = scale(1, 2, 0, 100, log=False)
    assert (made.at(-5), made.at(99)) == (0, 100)
