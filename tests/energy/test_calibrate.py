"""Calibrating: the loads that are run, what is asked of the meter, and what it comes to."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.energy.servers import GUEST, METAL
from tests.energy.test_hwmon import chip
from tests.energy.trees import Tree

from aerogel.core.errors import InputError, MeasureError
from aerogel.energy import calibrate as module
from aerogel.energy.calibrate import (
    Phase,
    Power,
    by_meter,
    by_reading,
    calibrate,
    calibrate_from,
    keep_busy,
)
from aerogel.energy.host import Host

SMALL = replace(METAL, threads=2, reserved=2.0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)


class Loads:
    """Instead of processes: what would have run."""

    def __init__(self) -> None:
        self.ran: list[int] = []
        self.now: int | None = None

    @contextlib.contextmanager
    def __call__(self, threads: int) -> Iterator[None]:
        self.ran.append(threads)
        self.now = threads
        yield
        self.now = None


def server(loads: Loads, host: Host) -> object:
    """A meter of a computer of 100 W idle and 5 W for each busy thread."""

    def read(phase: Phase) -> Power:
        assert loads.now == phase.busy == round(phase.load * host.threads)
        return Power(100 + 5 * phase.busy, 0.01 * (1 + phase.load), "the whole computer", "a fake meter")

    return read


def test_idle_a_tenth_half_and_all_for_a_quarter_each() -> None:
    loads = Loads()
    found = calibrate(server(loads, METAL), host=METAL, load=loads)  # pyright: ignore[reportArgumentType]
    assert loads.ran == [0, 16, 80, 160]
    assert [(point.load, point.watts) for point in found.points] == [
        (0, 100),
        (0.1, 180),
        (0.5, 500),
        (1, 900),
    ]
    assert (found.threads, found.covers, found.source) == (160, "the whole computer", "a fake meter")
    assert found.error == pytest.approx(0.02)
    assert "100 W idle, 900 W busy" in found.about and found.at.endswith("Z")


@pytest.mark.parametrize(("threads", "counts"), [(1, [0, 1]), (2, [0, 1, 2]), (8, [0, 1, 4, 8])])
def test_small_computers_have_fewer_loads(threads: int, counts: list[int]) -> None:
    loads = Loads()
    host = replace(METAL, threads=threads, reserved=float(threads))
    seconds: list[float] = []

    def read(phase: Phase) -> Power:
        seconds.append(phase.seconds)
        return Power(10.0 + phase.busy, 0.0, "", "")

    found = calibrate(read, seconds=60, host=host, load=loads)
    assert loads.ran == counts and sum(seconds) == pytest.approx(60)
    assert [point.load for point in found.points] == [count / threads for count in counts]


def test_readings_are_asked_for_while_the_load_runs() -> None:
    loads = Loads()
    asked: list[tuple[float, int | None]] = []

    def ask(phase: Phase) -> float:
        asked.append((phase.load, loads.now))
        return 20.0 + 50 * phase.load

    found = calibrate(by_reading(ask), host=SMALL, load=loads)
    assert asked == [(0.0, 0), (0.5, 1), (1.0, 2)]
    assert [point.watts for point in found.points] == [20, 45, 70]
    assert found.error == 0.05 and "read by the user" in found.source


def test_readings_of_before_need_no_load() -> None:
    found = calibrate_from(idle_watts=21.5, busy_watts=84, host=METAL)
    assert [(point.load, point.watts) for point in found.points] == [(0, 21.5), (1, 84)]
    found = calibrate_from(idle_watts=21.5, busy_watts=84, half_watts=50, host=METAL)
    assert [point.load for point in found.points] == [0, 0.5, 1]
    with pytest.raises(InputError, match="more busy than idle"):
        calibrate_from(idle_watts=84, busy_watts=21.5, host=METAL)


def test_a_part_of_a_computer_cannot_be_calibrated() -> None:
    with pytest.raises(InputError, match="virtual machine"):
        calibrate_from(idle_watts=20, busy_watts=80, host=GUEST)
    with pytest.raises(InputError, match="40 of 160 threads"):
        calibrate_from(idle_watts=20, busy_watts=80, host=replace(METAL, reserved=40.0))
    with pytest.raises(InputError, match="settle"):
        calibrate(by_reading(lambda phase: 1.0), seconds=1, host=METAL, load=Loads())


def test_without_a_meter_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match=r"no meter to calibrate with .*--idle-watts"):
        calibrate(by_meter(tmp_path), host=SMALL, load=Loads())


def test_a_meter_is_read_in_each_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(tmp_path).cpu(virtual=False)
    energy = tree.zone("intel-rapl:0", "package-0")
    loads = Loads()
    monkeypatch.undo()  # real time
    sleep = time.sleep

    def work(seconds: float) -> None:
        """A tenth of a second, in which 10 W idle and 100 W more for each busy thread are counted."""
        sleep(0.1)
        tree.add(energy, 1 + 10 * (loads.now or 0))

    monkeypatch.setattr(module.time, "sleep", work)
    found = calibrate(by_meter(tmp_path), seconds=4, host=SMALL, load=loads)
    idle, half, busy = (point.watts for point in found.points)
    assert 0 < 4 * idle < half < busy
    assert "package" in found.source and found.covers == "CPU packages"


@pytest.fixture
def gpu(tmp_path: Path) -> Path:
    """An AMD card that draws 20 W, 30 W at most."""
    shown = {"power1_input": 20_000_000, "power1_cap": 30_000_000}
    chip(tmp_path, 0, "amdgpu", "0000:03:00.0", **shown)
    return tmp_path


def test_what_gpus_draw_is_not_in_a_calibration(gpu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted by their own meters, so it would count twice."""
    monkeypatch.undo()  # real time, a little of it
    monkeypatch.setattr(module, "_NOW_S", 0.3)
    found = calibrate_from(idle_watts=50, busy_watts=120, host=SMALL, root=gpu)
    assert [point.watts for point in found.points] == pytest.approx([30, 100], rel=0.05)
    assert found.covers == "the whole computer at the wall, without GPUs" and found.error > 0.05
    with pytest.raises(InputError, match="leaves nothing for the rest"):
        calibrate_from(idle_watts=15, busy_watts=120, host=SMALL, root=gpu)


def test_gpus_are_read_while_somebody_reads_the_meter(gpu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    def ask(phase: Phase) -> float:
        time.sleep(0.3)
        return 50.0

    assert by_reading(ask, root=gpu)(Phase(0.0, 0, 1.0)).watts == pytest.approx(30.0, rel=0.05)


def test_a_meter_of_the_computer_is_read_without_its_gpus(gpu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    chip(gpu, 1, "power_meter", "ACPI000D:00", power1_average=90_000_000)
    power = by_meter(gpu)(Phase(0.0, 0, 0.4))
    assert power.watts == pytest.approx(70.0, rel=0.05)
    assert power.covers == "whole computer, without GPUs"


def test_a_gpu_that_could_be_read_must_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MeasureError, match=r"told from the rest.*aerogel\[meters\]"):
        calibrate_from(idle_watts=50, busy_watts=120, host=SMALL, root=tmp_path)


def test_a_busy_computer_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = iter([100.0, 101.5, 0.0, 0.0])
    now = iter([0.0, 10.0])
    monkeypatch.setattr(module, "machine_busy_s", lambda: next(busy))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(now))
    with pytest.raises(InputError, match="15% busy, so its idle"):
        calibrate(lambda phase: Power(10.0, 0.0, "", ""), host=replace(SMALL, threads=1), load=Loads())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="counts the processes of POSIX")
def test_so_many_threads_are_kept_busy_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # real time
    before = os.times().children_user
    with keep_busy(1):
        time.sleep(0.5)
    assert os.times().children_user > before  # it has ended, and has worked


def test_a_load_that_ends_spoils_the_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # real time
    monkeypatch.setattr(module, "_BUSY", "pass")
    with pytest.raises(MeasureError, match="1 of 1 loads ended"), keep_busy(1):
        time.sleep(0.5)
