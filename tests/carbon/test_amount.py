from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.carbon.amount import Amount
from aerogel.core.errors import InputError

_FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def _amounts(draw: st.DrawFn, low: float = -1e6) -> tuple[Amount, float]:
    """An amount, and what it might truly be."""
    ends = sorted(draw(st.lists(st.floats(low, 1e6, allow_nan=False), min_size=2, max_size=2)))
    truth = draw(st.floats(ends[0], ends[1]))
    value = draw(st.one_of(st.none(), st.floats(ends[0], ends[1])))
    return Amount(value, ends[0], ends[1], "u"), truth


def _holds(amount: Amount, truth: float) -> bool:
    slack = 1e-9 * max(1.0, abs(truth))
    return amount.low - slack <= truth <= amount.high + slack


@settings(max_examples=40)
@given(_amounts(), _amounts())
def test_what_is_true_of_parts_lies_within_bounds_of_the_whole(
    a: tuple[Amount, float], b: tuple[Amount, float]
) -> None:
    assert _holds(a[0] + b[0], a[1] + b[1])
    assert _holds(a[0] - b[0], a[1] - b[1])
    assert _holds(a[0].times(b[0], "uu"), a[1] * b[1])


@settings(max_examples=40)
@given(_amounts(), _amounts(low=0.5))
def test_a_quotient_holds_what_is_true(a: tuple[Amount, float], b: tuple[Amount, float]) -> None:
    assert _holds(a[0].over(b[0], "u/u"), a[1] / b[1])


@settings(max_examples=40)
@given(_amounts(), _FINITE)
def test_scaling_by_a_negative_number_turns_bounds_about(a: tuple[Amount, float], by: float) -> None:
    assert _holds(a[0].scaled(by), a[1] * by)


def test_bounds_of_a_product_are_its_extremes_and_those_of_a_sum_their_sums() -> None:
    energy, grid = Amount(10.0, 9.0, 12.0, "kWh"), Amount(50.0, 40.0, 60.0, "g/kWh")
    assert energy.times(grid, "g") == Amount(500.0, 360.0, 720.0, "g")
    assert energy + energy == Amount(20.0, 18.0, 24.0, "kWh")
    assert Amount(1.0, -1.0, 2.0, "").times(Amount(1.0, -3.0, 1.0, ""), "") == Amount(1.0, -6.0, 3.0, "")


def test_what_is_unknown_is_never_zero() -> None:
    unknown = Amount.unknown("kWh")
    assert (unknown.value, unknown.low, unknown.high) == (None, 0.0, math.inf)
    assert (unknown + Amount.exact(3.0, "kWh")).value is None
    assert unknown.scaled(2.0) == unknown
    whole = Amount.total([Amount.exact(3.0, "kWh"), unknown], "kWh")
    assert (whole.value, whole.low, whole.high) == (None, 3.0, math.inf)
    assert not whole.bounded


def test_nothing_times_anything_is_nothing() -> None:
    assert Amount.exact(0.0, "h").times(Amount(None, 0.0, math.inf, "W"), "Wh") == Amount(
        None, 0.0, 0.0, "Wh"
    )


def test_infinite_bounds_survive_differences() -> None:
    open_ended = Amount.unknown("g")
    assert open_ended - open_ended == Amount(None, -math.inf, math.inf, "g")


def test_units_are_not_mixed() -> None:
    with pytest.raises(InputError, match="kWh"):
        _ = Amount.exact(1.0, "kWh") + Amount.exact(1.0, "J")


@pytest.mark.parametrize(("value", "low", "high"), [(1.0, 2.0, 3.0), (None, 3.0, 2.0), (math.nan, 0.0, 1.0)])
def test_impossible_bounds_are_refused(value: float | None, low: float, high: float) -> None:
    with pytest.raises(InputError):
        Amount(value, low, high, "kWh")


def test_a_quotient_by_what_may_be_zero_is_refused() -> None:
    with pytest.raises(InputError, match="divisor"):
        Amount.exact(1.0, "g").over(Amount(1.0, 0.0, 2.0, "token"), "g/token")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Amount(12.34, 12.0, 13.0, "kWh"), "12.3 kWh [12, 13]"),
        (Amount.exact(1287000.0, "kWh"), "1,290,000 kWh"),
        (Amount(None, 1.2, 75.0, "kWh"), "1.2 to 75 kWh"),
        (Amount(None, 3.0, math.inf, "kWh"), "at least 3 kWh"),
        (Amount.unknown("kWh"), "unknown"),
    ],
)
def test_amounts_in_words(amount: Amount, text: str) -> None:
    assert str(amount) == text


def test_json_has_no_infinities() -> None:
    assert Amount.unknown("L").to_json() == {"value": None, "low": 0.0, "high": None, "unit": "L"}
