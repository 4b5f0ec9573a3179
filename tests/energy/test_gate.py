"""A gate for CI: what lets pass, what closes it, and what cannot be compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.energy.metered import measured, unmeasured

from aerogel.core.errors import InputError, MeasureError
from aerogel.energy.gate import Baseline, baseline_of, judge, read_baseline, write_baseline
from aerogel.energy.reading import Reading

NOISE = (1.0, 1.01, 0.99, 1.005, 0.995, 1.02, 0.98)


def readings(factor: float = 1.0) -> tuple[Reading, ...]:
    return tuple(measured(100 * factor * n, n, 2 * n) for n in NOISE)


BEFORE = Baseline("serve", 50, "request", "Some CPU", 4, readings())


def now(factor: float, **changed) -> Baseline:
    return replace(BEFORE, readings=readings(factor), **changed)


def test_the_same_passes_and_says_how_much_would_not_be_noticed() -> None:
    found = judge(BEFORE, now(1.0))
    assert found.passed and found.by == "joules"
    assert found.ratio == pytest.approx(1.0)
    assert found.old == pytest.approx(2.0)
    assert 0.02 < found.resolution < 0.06
    assert "no rise beyond the noise (2 J -> 2 J per request; RAPL package-0)" in str(found)
    assert str(found).endswith(f"a rise of under {100 * found.resolution:.1f} % would not be noticed here")


def test_a_rise_beyond_the_noise_closes_the_gate() -> None:
    found = judge(BEFORE, now(1.2))
    assert not found.passed and found.low > 1.15
    assert str(found).startswith("energy +20.0 % [")
    assert "MORE than the baseline" in str(found)
    assert found.to_json()["passed"] is False


def test_a_rise_within_the_tolerance_passes() -> None:
    assert not judge(BEFORE, now(1.06)).passed
    assert judge(BEFORE, now(1.06), tolerance=0.1).passed


def test_less_is_said_to_be_less() -> None:
    found = judge(BEFORE, now(0.5))
    assert found.passed and "less than the baseline" in str(found)


def test_a_rise_as_large_as_what_would_be_noticed_is_noticed() -> None:
    found = judge(BEFORE, now(1.0))
    assert not judge(BEFORE, now(1.001 + found.resolution)).passed
    assert judge(BEFORE, now(0.999 + found.resolution)).passed


def test_items_are_what_counts() -> None:
    assert not judge(BEFORE, now(1.0, items=25)).passed
    assert judge(BEFORE, now(2.0, items=100)).passed


def test_without_a_meter_nothing_is_claimed_of_energy() -> None:
    plain = replace(BEFORE, readings=tuple(unmeasured(n, 2 * n) for n in NOISE))
    found = judge(plain, replace(plain, readings=tuple(unmeasured(n, 3 * n) for n in NOISE)))
    assert (found.by, found.measured, found.passed) == ("cpu", False, False)
    assert str(found).startswith("energy not measured, so nothing is claimed of it; CPU time +50.0 % [")
    assert "(40 ms -> 60 ms per request; Some CPU, 4 threads)" in str(found)
    with pytest.raises(MeasureError, match=r"not measured \(no RAPL counters here\): judge by CPU time"):
        judge(plain, plain, by="joules")


def test_measured_and_not_measured_are_not_compared_but_by_time() -> None:
    plain = replace(BEFORE, readings=tuple(unmeasured(n, 2 * n) for n in NOISE))
    with pytest.raises(MeasureError, match=r"was measured, and here it is not \(no RAPL counters here\)"):
        judge(BEFORE, plain)
    assert judge(BEFORE, plain, by="cpu").passed
    assert judge(BEFORE, plain, by="seconds").passed
    assert judge(plain, BEFORE).by == "cpu"
    with pytest.raises(MeasureError, match="was not measured, and here it is"):
        judge(plain, BEFORE, by="joules")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cpu": "Other CPU"}, "another CPU, 'Some CPU' and not 'Other CPU'"),
        ({"threads": 2}, "another number of threads, 4 and not 2"),
        ({"item": "token"}, "another item"),
        ({"readings": tuple(replace(r, source="NVML") for r in readings())}, "another meter"),
    ],
)
def test_what_was_taken_otherwise_is_not_compared(changed: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        judge(BEFORE, replace(BEFORE, **changed))


def test_too_few_runs_and_a_wrong_tolerance_are_said() -> None:
    with pytest.raises(MeasureError, match="measure 4 or more"):
        judge(replace(BEFORE, readings=readings()[:3]), replace(BEFORE, readings=readings()[:3]))
    with pytest.raises(InputError, match="tolerance"):
        judge(BEFORE, BEFORE, tolerance=-0.1)


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "energy.json"
    write_baseline(BEFORE, path)
    assert read_baseline(path) == BEFORE
    said = json.loads(path.read_text())
    said["readings"][0]["told_by_a_later_version"] = 3
    path.write_text(json.dumps(said))
    assert read_baseline(path) == BEFORE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "other"}, "no baseline: write one with"),
        ({"version": 9}, "of version 1, but of 9"),
        ({"readings": []}, "no runs"),
        ({"items": 0}, "no runs, or runs of nothing"),
        ({"readings": [{"joules": 1.0}]}, "that can be read"),
        ({"readings": 3}, "that can be read"),
        ({"items": None}, "runs of nothing"),
    ],
)
def test_what_is_no_baseline_is_named(change: dict, said: str, tmp_path: Path) -> None:
    path = tmp_path / "energy.json"
    path.write_text(json.dumps({**BEFORE.to_json(), **change}))
    with pytest.raises(InputError, match=said) as caught:
        read_baseline(path)
    assert "energy.json" in str(caught.value)


@pytest.mark.parametrize("name", ["seconds", "cpu_seconds", "joules"])
@pytest.mark.parametrize("value", [0, -1, "1", True])
def test_readings_of_nothing_are_no_baseline(name: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "energy.json"
    said = BEFORE.to_json()
    said["readings"][2][name] = value
    path.write_text(json.dumps(said))
    with pytest.raises(InputError, match=f"{name} is"):
        read_baseline(path)


def test_a_baseline_is_of_this_machine() -> None:
    made = baseline_of(readings(), label="x", items=1, item="item")
    assert made.cpu and made.threads >= 1
    with pytest.raises(InputError, match="items"):
        baseline_of(readings(), label="x", items=0, item="item")
    with pytest.raises(InputError, match="there are none"):
        baseline_of((), label="x", items=1, item="item")
