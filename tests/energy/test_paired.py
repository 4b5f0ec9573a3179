"""The saving of zeros: proven by a meter, or not claimed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.energy.metered import measured, unmeasured

from aerogel.core.errors import MeasureError
from aerogel.energy.paired import PairedSaving, paired_saving
from aerogel.energy.reading import Reading
from aerogel.measure import Ratio

DRIFT = (1.0, 1.2, 0.9, 1.5, 1.1, 0.8, 1.3, 1.05, 0.95)
"""What the machine does to both of a pair."""
NOISE = (1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01, 0.99)
SPEED = Ratio("sparse", "dense", 1.54, 1.5, 1.6, 0.95)


def paired(factor: float, *, open_: float = 0.0, resolution: float = 0.0) -> PairedSaving:
    dense = [measured(100 * drift, 2.0 * drift, open_=open_) for drift in DRIFT]
    sparse = [
        measured(100 * factor * d * n, 1.3 * d * n, open_=open_) for d, n in zip(DRIFT, NOISE, strict=True)
    ]
    return paired_saving(dense, sparse, SPEED, resolution)


def test_a_saving_is_proven_from_pairs_whatever_drifts() -> None:
    found = paired(0.6)
    assert found.energy is not None and found.verdict == "less"
    assert (found.energy.value, found.energy.low, found.energy.high) == pytest.approx(
        (0.6, 0.594, 0.606), rel=0.01
    )
    assert str(found) == (
        "energy -40 % [-41 %, -39 %]: dense 105 J [105 J, 105 J], sparse 63.6 J [63.6 J, 63.6 J] per run, "
        "measured by RAPL package-0; time -35 % [-38 %, -33 %]"
    )


def test_what_may_be_noise_is_not_proven() -> None:
    found = paired(1.0)
    assert found.verdict == "not proven"
    assert "(not proven): dense" in str(found)
    assert paired(1.2).verdict == "more"


def test_two_processes_of_one_program_differ_so_the_interval_is_wider() -> None:
    close, wide = paired(0.97), paired(0.97, resolution=0.05)
    assert (close.verdict, wide.verdict) == ("less", "not proven")


def test_what_readings_leave_open_is_open() -> None:
    found = paired(0.97, open_=0.05)
    assert found.verdict == "not proven"
    assert found.energy is not None
    assert found.energy.low < 0.97 * 0.95 / 1.05 * 1.02 and found.energy.high > 0.97 * 1.05 / 0.95 * 0.98


def test_without_a_meter_time_has_an_interval_and_energy_the_bounds_of_a_model() -> None:
    dense = [unmeasured(2.0 * d, 4.0 * d) for d in DRIFT]
    sparse = [unmeasured(1.3 * d, 2.6 * d) for d in DRIFT]
    found = paired_saving(dense, sparse, SPEED, 0.02)
    assert (found.energy, found.verdict) == (None, "not measured")
    assert str(found) == (
        "energy not measured; time -35 % [-38 %, -33 %]; under power model watts-per-thread, "
        "dense 2.1 J to 210 J, sparse 1.37 J to 137 J per run"
    )
    assert "proven" not in json.dumps(found.to_json())


@pytest.mark.parametrize("method", ["estimated", "calibrated"])
def test_an_estimate_proves_nothing_however_large_the_difference(method: str) -> None:
    def estimated(joules: float) -> Reading:
        return replace(unmeasured(), joules=joules, low=joules * 0.9, high=joules * 1.1, method=method)

    found = paired_saving([estimated(100.0)] * 9, [estimated(10.0)] * 9, SPEED, 0.0)
    assert found.verdict == "not measured"
    assert str(found).startswith("energy not measured; time -35 % [-38 %, -33 %]; under power model")


def test_one_block_without_a_meter_proves_nothing() -> None:
    dense, sparse = [measured(100.0)] * 9, [measured(10.0)] * 8
    found = paired_saving(dense, [*sparse, unmeasured()], SPEED, 0.0)
    assert found.verdict == "not measured"
    other = replace(measured(10.0), source="RAPL package-0 + package-1")
    assert paired_saving(dense, [*sparse, other], SPEED, 0.0).energy is None


def test_blocks_of_nothing_are_divided_by_nothing() -> None:
    assert paired_saving([measured(0.0)] * 9, [measured(1.0)] * 9, SPEED, 0.0).energy is None
    open_ended = replace(measured(1.0), low=0.0)
    assert paired_saving([open_ended] * 9, [measured(1.0)] * 9, SPEED, 0.0).energy is None
    found = paired_saving([measured(1.0)] * 9, [open_ended] * 9, SPEED, 0.0)
    assert found.energy is not None and found.energy.low == 0.0


def test_rounds_must_be_pairs_and_enough() -> None:
    with pytest.raises(MeasureError, match="9 readings cannot be paired with 8"):
        paired_saving([measured(1.0)] * 9, [measured(1.0)] * 8, SPEED, 0.0)
    with pytest.raises(MeasureError, match="cannot be paired"):
        paired_saving([], [], SPEED, 0.0)
    with pytest.raises(MeasureError, match="confidence"):
        paired_saving([measured(1.0)] * 3, [measured(1.0)] * 3, SPEED, 0.0)


def test_json_has_the_sentence_and_the_readings() -> None:
    said = json.loads(json.dumps(paired(0.6).to_json()))
    assert said["text"] == str(paired(0.6))
    assert (said["verdict"], said["rounds"], said["dense"]["joules"]) == ("less", 9, 105.0)
    assert said["speedup"]["verdict"] == "faster"
