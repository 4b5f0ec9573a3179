"""Readings one after another, added up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.energy.metered import measured, unmeasured

from aerogel.core.errors import MeasureError
from aerogel.energy.series import Series


def series(*readings) -> Series:
    made = Series()
    for reading in readings:
        made.add(reading)
    return made


def test_measured_blocks_add_up_with_their_bounds() -> None:
    found = series(measured(10.0, 1.0, 2.0, 0.1), measured(30.0, 2.0, 3.0, 0.1))
    whole = found.reading
    assert found.blocks == 2
    assert (whole.joules, whole.low, whole.high) == pytest.approx((40.0, 36.0, 44.0))
    assert (whole.seconds, whole.cpu_seconds) == (3.0, 5.0)
    assert (whole.method, whole.source) == ("measured", "RAPL package-0")


@pytest.mark.parametrize("order", [0, 1])
def test_one_block_that_was_not_measured_makes_the_sum_unknown(order: int) -> None:
    readings = [measured(10.0), unmeasured()]
    whole = series(*(readings if order == 0 else reversed(readings))).reading
    assert whole.joules is None and whole.method == "not measured"
    assert whole.low == pytest.approx(10.6)
    assert (whole.model, whole.obstacle) == ("watts-per-thread", "no RAPL counters here")
    assert set(whole.source.split("; or ")) == {"RAPL package-0", "0.1 W to 50 W"}


def test_a_missing_bound_stays_missing_and_the_weakest_method_counts() -> None:
    estimated = replace(unmeasured(), joules=3.0, method="estimated")
    assert series(measured(1.0), estimated, measured(1.0)).reading.method == "estimated"
    assert series(measured(1.0), replace(unmeasured(), high=None)).reading.high is None


def test_a_source_is_named_once() -> None:
    assert series(*[measured(1.0)] * 3, unmeasured(), unmeasured()).reading.source.count("0.1 W") == 1


def test_nothing_added_is_no_energy() -> None:
    with pytest.raises(MeasureError, match="nothing has been metered"):
        assert Series().reading
