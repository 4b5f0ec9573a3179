"""Ratios of a comparison, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from aerogel.bench.chip.chip_side import OnChip, error_of
from aerogel.bench.chip.summary import (
    Gain,
    OnCpu,
    Row,
    by_kernel,
    case_table,
    off,
    overall,
    overall_table,
    published_table,
)
from aerogel.bench.einsum.entries import Entries
from aerogel.bench.einsum.problem import Wanted
from aerogel.core.errors import MeasureError

CHIP = OnChip(1000, 2e-6, 4e-6, 2e-6, 8e-6, 1e-6, 0.001, "chip and LPDDR4", {"clock": 1e-6})
FAST = OnCpu("fast", 8e-6, None, 16e-6, 64e-6, "not measured", "a model")
SAVING = OnCpu("saving", 16e-6, None, 8e-6, 32e-6, "not measured", "a model")
ROW = Row("ttv", "some", (4, 5, 6), 7, (FAST, SAVING), CHIP)


def test_gains_over_the_best_of_each_sort():
    assert ROW.gain("time") == Gain(4.0, 4.0, 4.0)
    # 8 to 32 uJ over 8 to 2 uJ.
    assert ROW.gain("energy") == Gain(None, 1.0, 16.0)
    # 16 uJ x 8 us = 8 uJ x 16 us, over 8 uJ x 2 us; 64 uJ x 8 us = 32 uJ x 16 us, over 2 uJ x 2 us.
    assert ROW.gain("product") == Gain(None, 8.0, 128.0)
    # A quarter of the joules is the chip's.
    assert ROW.gain("product", chip_alone=True) == Gain(None, 32.0, 512.0)


def test_a_meter_gives_a_value():
    measured = replace(ROW, cpu=(replace(FAST, joules=32e-6, low=31e-6, high=33e-6, method="measured"),))
    gain = measured.gain("energy")
    assert gain and gain.value == 8.0 and gain.low < 8.0 < gain.high
    # One contender without a value, and nobody knows which was best.
    assert replace(ROW, cpu=(*measured.cpu, SAVING)).gain("energy").value is None


def test_what_the_chip_cannot_do_has_no_gain_and_is_told():
    without = replace(ROW, chip=None, why="too large")
    assert without.gain("time") is None and by_kernel([without], "time") == {}
    assert "not on the chip" in case_table([without])
    assert without.to_json()["gains"]["time"] is None and without.to_json()["why_not"] == "too large"
    with pytest.raises(MeasureError, match="no kernel ran"):
        overall([], "time")


def test_means_of_kernels_are_of_geometric_means_of_cases():
    quick = replace(ROW, chip=replace(CHIP, seconds=0.5e-6))
    other = replace(ROW, kernel="ttm")
    gains = by_kernel([ROW, quick, other], "time")
    assert gains["ttv"].low == pytest.approx(8.0) and gains["ttm"].low == pytest.approx(4.0)
    found = overall(list(gains.values()), "time")
    assert found.mean.low == pytest.approx(6.0)
    assert found.geometric.low == pytest.approx(32**0.5)
    assert found.largest.low == pytest.approx(8.0)


def test_tables_say_what_was_published():
    table = overall_table([ROW])
    assert "138.4" in table and "39.9" in table and "564.6" in table and "560" in table
    assert "123.1" in published_table([ROW])
    assert off(Gain(None, 61.55, 246.2), "ttv") == "0.5 to 2, which holds it"
    assert off(Gain(None, 246.2, 492.4), "ttv") == "2 to 4"
    assert "TTV" in case_table([ROW]) and "8 uJ to 32 uJ" not in case_table([ROW])


def test_errors_of_results():
    exact = Entries((2, 3), (np.array([0, 1], np.int32), np.array([2, 0], np.int32)), np.array([4.0, 2.0]))
    bound = replace(exact, values=np.array([8.0, 2.0]))
    close = replace(exact, values=np.array([4.08, 2.0]))
    assert error_of(close, Wanted(exact, bound, 0.0)) == pytest.approx(0.01)
    for wrong in (
        replace(exact, values=np.array([5.0, 2.0])),
        replace(exact, coords=exact.coords[::-1], shape=(3, 2)),
    ):
        with pytest.raises(MeasureError, match="the chip's result"):
            error_of(wrong, Wanted(exact, bound, 0.0))
    # A place that should hold nothing.
    more = Entries(
        (2, 3), (np.array([0, 1, 1], np.int32), np.array([2, 0, 1], np.int32)), np.array([4.0, 2.0, 0.1])
    )
    with pytest.raises(MeasureError, match="is wrong"):
        error_of(more, Wanted(exact, bound, 0.0))
