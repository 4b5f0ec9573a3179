"""The energy roofline as a formula: what it predicts, with what bounds, and how parts are fitted to a
whole."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel.core.errors import MeasureError
from aerogel.energy.activity import Activity
from aerogel.energy.roofline import Coefficient, HeldOut, Predicted, Reconciled, Roofline, reconcile

PLAIN = Roofline(
    (
        Coefficient("static", 10.0, 9.5, 10.5),
        Coefficient("awake", 2.0, 1.5, 2.5),
        Coefficient("fp32 operation", 5e-12, 4e-12, 6e-12),
        Coefficient("byte of memory", 0.0, 0.0, 3e-12),
    ),
    ((0.04, 0.0, 0.0, 0.0), (0.0, 0.01, 0.0, 0.0), (0.0, 0.0, 1e-24, 0.0), (0.0, 0.0, 0.0, 2e-24)),
    HeldOut(4, 0.02, 0.05),
    30,
    "RAPL package-0",
    "a CPU, 2 thread(s), avx2",
    "2026-11-28",
)


def test_a_prediction_by_hand() -> None:
    """2 s on 3 thread seconds with 10^12 operations: 20 + 6 + 5 J."""
    found = PLAIN.predict(Activity(2.0, 3.0, {"fp32": 1e12}))
    assert found.joules == pytest.approx(31.0) and found.idle == pytest.approx(20.0)
    deviation = math.sqrt(0.04 * 4 + 0.01 * 9 + 1e-24 * 1e24)
    assert found.high - found.joules == pytest.approx(math.hypot(2 * deviation, 0.05 * 31.0))
    assert found.joules - found.low == pytest.approx(found.high - found.joules)


def test_what_was_not_fitted_is_not_predicted() -> None:
    with pytest.raises(MeasureError, match="has no joules for byte of L2 or int8 operation, only for static"):
        PLAIN.predict(Activity(1.0, 1.0, {"int8": 1.0}, {"L2": 4.0}))


def test_nothing_done_takes_nothing() -> None:
    assert PLAIN.predict(Activity(0.0, 0.0)) == Predicted(0.0, 0.0, 0.0, 0.0)


def test_it_says_what_it_is() -> None:
    lines = str(PLAIN).splitlines()
    assert lines[0] == ("energy roofline of a CPU, 2 thread(s), avx2, fitted 2026-11-28 to 30 metered loops:")
    assert lines[1] == "  10 W [9.5, 10.5] whatever is done"
    assert lines[2] == "  2 W [1.5, 2.5] a thread that is awake"
    assert lines[3] == "  5 pJ [4, 6] per fp32 operation"
    assert lines[4] == "  not told from 0, at most 3 pJ per byte of memory"
    assert "off by 2 % in the median, 5 % at worst for 4 loops" in lines[5] and "RAPL package-0" in lines[6]


def test_it_can_be_kept() -> None:
    assert Roofline.of_json(json.loads(json.dumps(PLAIN.to_json()))) == PLAIN


def _without(key: str) -> Any:
    return {k: v for k, v in PLAIN.to_json().items() if k != key}


@pytest.mark.parametrize(
    "read",
    [
        {},
        *map(_without, PLAIN.to_json()),
        PLAIN.to_json() | {"coefficients": []},
        PLAIN.to_json() | {"coefficients": 3},
        PLAIN.to_json() | {"covariance": [[1.0]]},
        PLAIN.to_json() | {"covariance": [[float("nan")] * 4] * 4},
        PLAIN.to_json() | {"runs": "many"},
        PLAIN.to_json() | {"coefficients": [{"term": "static", "joules": -1.0, "low": 0, "high": 1}] * 4},
    ],
)
def test_what_is_no_roofline_is_told(read: Any) -> None:
    with pytest.raises(MeasureError, match="no energy roofline that was kept"):
        Roofline.of_json(read)


def part(joules: float, off: float = 0.1, idle: float = 0.5) -> Predicted:
    return Predicted(joules, joules * (1 - off), joules * (1 + off), idle * joules)


@given(
    st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=30),
    st.floats(0.51, 1.99),
    st.floats(0.0, 0.3),
)
def test_parts_add_up_to_the_metered_whole(joules: list[float], factor: float, bound: float) -> None:
    total = factor * sum(joules)
    found = reconcile([part(j) for j in joules], total, total * (1 - bound), total * (1 + bound))
    assert sum(p.joules for p in found.parts) == pytest.approx(total, rel=1e-12)
    assert found.factor == pytest.approx(factor, rel=1e-12)
    for before, after in zip(joules, found.parts, strict=True):
        assert after.joules == pytest.approx(before * factor, rel=1e-12)
        assert 0 <= after.low <= after.joules <= after.high <= found.high * (1 + 1e-12)
        assert after.idle == pytest.approx(0.5 * after.joules)


def test_bounds_of_a_part_are_its_own_and_the_meters() -> None:
    found = reconcile([part(3.0), part(7.0)], 20.0, 19.0, 20.4).parts[0]
    off = math.hypot(0.1, 0.05) * 6.0
    assert (found.low, found.high) == pytest.approx((6.0 - off, 6.0 + off))


@pytest.mark.parametrize("total", [0.4, 2.1, math.inf])
def test_a_model_that_is_too_far_off_says_nothing_of_parts(total: float) -> None:
    with pytest.raises(MeasureError, match="no energy per layer: the meter counted"):
        reconcile([part(1.0)], total, total, total)
    with pytest.raises(MeasureError, match="no energy per layer"):
        reconcile([part(0.0)], 1.0, 1.0, 1.0)


def test_the_whole_in_words() -> None:
    found = reconcile([part(1.0), part(1.0)], 2.5, 2.4, 2.6)
    assert str(found).startswith("2.5 J [2.4 J, 2.6 J] measured, 80 % of it by the energy roofline")
    assert isinstance(found, Reconciled) and str(part(1.0)) == "1 J [900 mJ, 1.1 J]"


def test_activities_one_after_the_other() -> None:
    both = Activity(1.0, 2.0, {"fp32": 3.0}, {"L1": 4.0}) + Activity(1.0, 0.0, {"int8": 1.0}, {"L1": 1.0})
    assert both == Activity(2.0, 2.0, {"fp32": 3.0, "int8": 1.0}, {"L1": 5.0})
    assert both.amounts()["byte of L1"] == 5.0 and replace(both, seconds=0.0).amounts().get("static") is None
