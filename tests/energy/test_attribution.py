"""Whose energy it was: nothing is lost, nothing counted twice, and what is not known has bounds alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.energy.metered import measured, unmeasured

from aerogel.core.errors import InputError
from aerogel.energy.attribution import Span, attribute, machine_busy_s
from aerogel.energy.process_tree import Process
from aerogel.energy.source import Part as Counted

TRAIN, LOAD = Process(7, "python train.py", 6.0), Process(8, "loader", 2.0)


def parts(found) -> dict[str, tuple[float | None, float | None]]:
    return {part.what: (part.joules.value, part.cpu_seconds) for part in found.parts}


def test_idling_is_apart_and_the_load_is_shared_by_cpu_time() -> None:
    found = attribute(
        measured(100.0, seconds=10.0),
        (TRAIN, LOAD),
        tree_s=9.0,
        machine_s=12.0,
        idle_watts=Span(4.0, 4.0, 4.0),
    )
    assert found is not None
    assert parts(found) == {
        "idling": (40.0, None),
        "python train.py (7)": (30.0, 6.0),
        "loader (8)": (10.0, 2.0),
        "ended between two looks": (5.0, 1.0),
        "other processes of the machine": (15.0, 3.0),
    }
    assert found.own == Span(45.0, 45.0, 45.0)
    assert found.by == "by the machine's CPU time, idling apart"
    assert json.loads(json.dumps(found.to_json()))["parts"][1]["joules"]["value"] == 30.0


def test_without_idle_power_a_process_has_bounds_alone() -> None:
    found = attribute(measured(100.0), (TRAIN,), tree_s=6.0, machine_s=12.0)
    assert found is not None
    assert found.own == Span(None, 0.0, 50.0)
    assert [part.kind for part in found.parts] == ["process", "others"]
    assert found.by.endswith("idling not known, so bounds alone")


def test_bounds_hold_whatever_the_idle_power_really_was() -> None:
    found = attribute(
        measured(100.0, open_=0.1), (TRAIN,), tree_s=6.0, machine_s=6.0, idle_watts=Span(40.0, 30.0, 50.0)
    )
    assert found is not None
    assert found.own == Span(60.0, pytest.approx(90 - 50), pytest.approx(110 - 30))


def test_a_model_charges_the_tree_alone() -> None:
    reading = unmeasured(seconds=10.0, cpu_seconds=8.0)
    found = attribute(reading, (TRAIN, LOAD), tree_s=8.0, machine_s=None, idle_joules=Span(None, 2.0, 1000.0))
    assert found is not None
    assert [part.kind for part in found.parts] == ["idle", "process", "process"]
    assert found.own == Span(None, 0.0, 998.0)
    assert found.parts[1].joules == Span(None, 0.0, pytest.approx(998.0 * 0.75))


def test_idling_is_never_more_than_everything() -> None:
    found = attribute(measured(10.0), (TRAIN,), tree_s=6.0, machine_s=6.0, idle_watts=Span(99.0, 98.0, 100.0))
    assert found is not None
    assert (found.parts[0].joules, found.own.value) == (Span(10.0, 10.0, 10.0), 0.0)


def test_gpus_are_not_shared_out_by_cpu_time() -> None:
    summed = (
        Counted("rapl", "package-0", "cpu", 40.0, 39.0, 41.0),
        Counted("nvml", "GPU 0", "gpu:abc", 60.0, 59.0, 61.0),
        Counted("hwmon", "psu", "machine", 500.0, 400.0, 600.0, summed=False),
    )
    reading = replace(measured(100.0), low=98.0, high=102.0, parts=summed)
    found = attribute(reading, (TRAIN,), tree_s=6.0, machine_s=6.0, idle_watts=Span(10.0, 10.0, 10.0))
    assert found is not None
    assert parts(found) == {"idling": (10.0, None), "GPU 0": (60.0, None), "python train.py (7)": (30.0, 6.0)}


def test_a_process_that_was_seen_to_use_more_than_the_machine_has_all_of_it() -> None:
    # Clocks tick in hundredths, and the two are not read at once.
    found = attribute(measured(10.0), (TRAIN,), tree_s=5.9, machine_s=5.8, idle_watts=Span(0.0, 0.0, 0.0))
    assert found is not None
    assert parts(found)["python train.py (7)"] == (10.0, 6.0)


def test_no_bounds_give_no_shares() -> None:
    assert attribute(replace(unmeasured(), high=None), (), tree_s=1.0, machine_s=None) is None


def test_negative_time_is_refused() -> None:
    with pytest.raises(InputError, match="never negative"):
        attribute(measured(1.0), (), tree_s=-1.0, machine_s=None)


@given(
    joules=st.floats(1e-3, 1e9),
    used=st.lists(st.floats(0.01, 1e5), min_size=1, max_size=6),
    more_s=st.floats(0, 1e5),
    idle=st.floats(0, 2),
)
def test_parts_sum_to_the_whole(joules: float, used: list[float], more_s: float, idle: float) -> None:
    processes = [Process(i, "p", s) for i, s in enumerate(used)]
    watts = Span(joules * idle, joules * idle * 0.9, joules * idle * 1.1)
    found = attribute(
        measured(joules, open_=0.01),
        processes,
        tree_s=sum(used),
        machine_s=sum(used) + more_s,
        idle_watts=watts,
    )
    assert found is not None
    assert sum(part.joules.value or 0.0 for part in found.parts) == pytest.approx(joules)
    for part in found.parts:
        assert part.joules.value is not None
        assert part.joules.low <= part.joules.value * (1 + 1e-9)
        assert part.joules.value <= part.joules.high * (1 + 1e-9)


def test_the_machines_cpu_time_is_what_worked(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    stat = tmp_path / "proc/stat"
    stat.write_text("cpu  100 20 300 9000 800 10 5 77 60 1\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    assert machine_busy_s(tmp_path) == pytest.approx(4.35)
    stat.write_text("cpu 1 2 three\n")
    assert machine_busy_s(tmp_path) is None


def test_this_machine_has_worked() -> None:
    assert (machine_busy_s() or 0.0) > 0
