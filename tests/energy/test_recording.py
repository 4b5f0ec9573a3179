"""RAPL followed through a block: wraps, mirrors, long blocks, and counters that fail or go on the way."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from tests.energy.trees import RANGE_UJ, Tree, laptop

from aerogel.core.errors import MeasureError
from aerogel.energy import rapl, source, zones
from aerogel.energy.counter import Look
from aerogel.energy.recording import Recording, pause_s
from aerogel.energy.source import Counted, Where, asleep_s
from aerogel.energy.zones import Zones, survey


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rapl, "perf_counter", clock)
    return clock


class Run:
    """RAPL alone, recorded as a block does it."""

    def __init__(self, root: Path) -> None:
        self.recording = Recording((survey(Where(root)),))
        assert not self.recording.failed

    def finish(self) -> Counted:
        counted = self.recording.finish()
        if self.recording.failed:
            raise MeasureError(self.recording.failed["rapl"])
        return counted["rapl"]

    def joules(self) -> float:
        return sum(part.joules or 0.0 for part in self.finish().parts)


def record(root: Path) -> Run:
    return Run(root)


def bounds(counted: Counted) -> tuple[float, float]:
    return sum(part.low for part in counted.parts), sum(part.high for part in counted.parts)


def joules(counted: Counted) -> float:
    return sum(part.joules or 0.0 for part in counted.parts)


def test_packages_and_memory_are_summed_and_nothing_else(tmp_path: Path, clock: Clock) -> None:
    tree, package, dram = laptop(tmp_path)
    running = record(tmp_path)
    clock.now_s += 2.0
    tree.add(package, 80.0)
    tree.add(dram, 6.0)
    counted = running.finish()
    assert joules(counted) == pytest.approx(86.0)
    # At most one update of a millisecond is missing or too much, at up to ten times the mean power.
    assert bounds(counted) == pytest.approx((86 * 0.995, 86 * 1.005))
    assert [part.label for part in counted.parts] == ["package-0", "package-0 dram"]
    assert [part.covers for part in counted.parts] == ["cpu", "memory"]
    assert counted.notes == ()


def test_two_packages_are_added(tmp_path: Path, clock: Clock) -> None:
    tree = Tree(tmp_path)
    zones = [tree.zone(f"intel-rapl:{n}", f"package-{n}", uj=(n + 1) * 10**9) for n in range(2)]
    running = record(tmp_path)
    clock.now_s += 1.0
    tree.add(zones[0], 100.0)
    tree.add(zones[1], 30.0)
    assert running.joules() == pytest.approx(130.0)


@pytest.mark.parametrize("name", ["package-0-die-{}", "package-0"])
def test_mirrored_dies_count_once(tmp_path: Path, clock: Clock, name: str) -> None:
    """Some kernels show one counter of a package for each of its dies, under one name or several."""
    tree = Tree(tmp_path)
    zones = [tree.zone(f"intel-rapl:{die}", name.format(die), uj=7 * 10**9 + die) for die in range(4)]
    running = record(tmp_path)
    clock.now_s += 1.0
    for zone in zones:
        tree.add(zone, 50.0)
    counted = running.finish()
    assert joules(counted) == pytest.approx(50.0)
    assert (len(counted.parts), len(counted.notes)) == (1, 3)
    assert all(" mirrors intel-rapl:0 (package-0" in note for note in counted.notes)


@pytest.mark.parametrize("name", ["package-0-die-{}", "package-0"])
def test_dies_with_their_own_counters_are_added(tmp_path: Path, clock: Clock, name: str) -> None:
    tree = Tree(tmp_path)
    zones = [tree.zone(f"intel-rapl:{die}", name.format(die), uj=(die + 7) * 10**9) for die in range(4)]
    running = record(tmp_path)
    clock.now_s += 1.0
    for zone in zones:
        tree.add(zone, 50.0)
    counted = running.finish()
    assert joules(counted) == pytest.approx(200.0)
    assert len(counted.parts) == 4


def test_packages_with_equal_counters_are_no_mirrors(tmp_path: Path, clock: Clock) -> None:
    tree = Tree(tmp_path)
    zones = [tree.zone(f"intel-rapl:{n}", f"package-{n}", uj=5) for n in range(2)]
    running = record(tmp_path)
    clock.now_s += 1.0
    for zone in zones:
        tree.add(zone, 50.0)
    assert running.joules() == pytest.approx(100.0)


def test_a_wrap_in_the_block(tmp_path: Path, clock: Clock) -> None:
    tree = Tree(tmp_path)
    energy = tree.zone("intel-rapl:0", "package-0", uj=RANGE_UJ - 5_000_000)
    running = record(tmp_path)
    clock.now_s += 1.0
    tree.add(energy, 12.0)
    assert int(energy.read_text()) == 7_000_000
    assert running.joules() == pytest.approx(12.0)


def test_long_blocks_are_looked_at_on_the_way(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty minutes at 400 W: 480 kJ on a counter of 65 kJ, seven rounds."""
    range_uj, start_uj, watts = 65_532_610_987, 60_000_000_000, 400
    Tree(tmp_path).zone("intel-rapl:0", "package-0", start_uj, range_uj)
    began_s, looked = clock.now_s, threading.Semaphore(0)

    def look(zone: rapl.Zone) -> Look:
        now_s = clock.now_s
        looked.release()
        return Look(now_s, (start_uj + round((now_s - began_s) * watts * 1e6)) % range_uj)

    monkeypatch.setattr(Zones, "pause_s", 0.002)
    monkeypatch.setattr(rapl.Zone, "look", look)
    running = record(tmp_path)
    for _ in range(80):
        clock.now_s += 15.0
        while looked.acquire(blocking=False):
            pass
        assert looked.acquire(timeout=20)
    counted = running.finish()
    assert joules(counted) == pytest.approx(1200 * watts)
    assert bounds(counted)[1] == pytest.approx(1200 * watts, rel=1e-4)
    assert counted.notes == ("package-0 wrapped 8 times",)


def test_long_blocks_that_nobody_looked_at_are_not_measured(tmp_path: Path, clock: Clock) -> None:
    """As where an extension holds the interpreter for minutes, or in the child of a fork."""
    tree, package, _ = laptop(tmp_path)
    running = record(tmp_path)
    clock.now_s += 200.0
    tree.add(package, 500.0)
    with pytest.raises(MeasureError, match=r"package-0 was not read for 200 s"):
        running.finish()


def test_looks_are_a_second_apart_or_half_a_round(tmp_path: Path) -> None:
    laptop(tmp_path)
    assert pause_s([survey(Where(tmp_path)).begin()]) == 1.0
    Tree(tmp_path / "small").zone("intel-rapl:0", "package-0", 5, 4_000_000_001)
    assert pause_s([survey(Where(tmp_path / "small")).begin()]) == pytest.approx(1.0)
    assert pause_s([]) == float("inf")


def test_short_blocks_are_read_at_their_ends_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, package, _ = laptop(tmp_path)
    looks: list[str] = []
    look = rapl.Zone.look

    def noted(zone: rapl.Zone) -> Look:
        looks.append(zone.label)
        return look(zone)

    running = record(tmp_path)
    monkeypatch.setattr(rapl.Zone, "look", noted)
    time.sleep(0.05)
    tree.add(package, 1.0)
    running.finish()
    assert looks == ["package-0", "package-0 dram"]
    assert not [thread for thread in threading.enumerate() if thread.name == "aerogel-meter"]


def _vanish(energy: Path) -> None:
    energy.unlink()


def _garble(energy: Path) -> None:
    energy.write_text("garbage")


def _reset(energy: Path) -> None:
    energy.write_text("12")


def _overflow(energy: Path) -> None:
    energy.write_text(str(RANGE_UJ + 1))


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (_vanish, r"package-0: .*energy_uj cannot be read: No such file"),
        (_garble, r"package-0: .*energy_uj holds 'garbage', not a number"),
        (_reset, r"package-0 rose by \d+ J in 1 s, .*: it was reset"),
        (_overflow, r"package-0: .*more than its range"),
    ],
)
def test_a_counter_that_fails_on_the_way_is_no_wrap(
    tmp_path: Path, clock: Clock, harm: object, why: str
) -> None:
    energy = Tree(tmp_path).zone("intel-rapl:0", "package-0", uj=50_000_000_000)
    running = record(tmp_path)
    clock.now_s += 1.0
    assert callable(harm)
    harm(energy)
    with pytest.raises(MeasureError, match=why):
        running.finish()


def test_a_counter_that_failed_for_a_while_and_went_on_is_counted_through(
    tmp_path: Path, clock: Clock
) -> None:
    """A failed read says nothing of the counter, which goes on behind it."""
    tree, package, dram = laptop(tmp_path)
    following = survey(Where(tmp_path)).begin()
    text = package.read_text()
    package.write_text("garbage")
    clock.now_s += 20.0
    following.look()
    following.look()
    package.write_text(text)
    tree.add(package, 10.0)
    tree.add(dram, 1.0)
    clock.now_s += 1.0
    counted = following.finish()
    assert joules(counted) == pytest.approx(11.0)
    (note,) = counted.notes
    assert note.endswith("energy_uj holds 'garbage', not a number for up to 21 s: its counter went on")


def test_a_counter_that_failed_for_longer_than_a_round_is_not_trusted_again(
    tmp_path: Path, clock: Clock
) -> None:
    tree, package, _ = laptop(tmp_path)
    following = survey(Where(tmp_path)).begin()
    text = package.read_text()
    package.write_text("garbage")
    for _ in range(200):
        clock.now_s += 1.0
        following.look()
    package.write_text(text)
    tree.add(package, 10.0)
    with pytest.raises(MeasureError, match=r"package-0 was not read for 200 s"):
        following.finish()


def test_a_read_that_fails_once_at_the_end_is_tried_again(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, package, _ = laptop(tmp_path)
    following = survey(Where(tmp_path)).begin()
    text = package.read_text()
    package.write_text("garbage")
    clock.now_s += 1.0

    def mend(seconds: float) -> None:
        package.write_text(text)
        tree.add(package, 10.0)

    monkeypatch.setattr(zones.time, "sleep", mend)
    assert joules(following.finish()) == pytest.approx(10.0)


def test_memory_alone_that_vanishes_is_told(tmp_path: Path, clock: Clock) -> None:
    tree, package, dram = laptop(tmp_path)
    running = record(tmp_path)
    clock.now_s += 1.0
    tree.add(package, 10.0)
    dram.unlink()
    with pytest.raises(MeasureError, match=r"package-0 dram: "):
        running.finish()


def test_a_counter_that_stands_still_is_not_connected(tmp_path: Path, clock: Clock) -> None:
    tree = Tree(tmp_path)
    one = tree.zone("intel-rapl:0", "package-0", uj=0)
    tree.zone("intel-rapl:1", "package-1", uj=0)
    running = record(tmp_path)
    clock.now_s += 1.0
    tree.add(one, 10.0)
    with pytest.raises(MeasureError, match=r"package-1 stood still for 1 s"):
        running.finish()


@pytest.mark.parametrize("seconds", [0.0, 0.0005])
def test_too_short_a_block_is_told(tmp_path: Path, clock: Clock, seconds: float) -> None:
    laptop(tmp_path)
    running = record(tmp_path)
    clock.now_s += seconds
    with pytest.raises(MeasureError, match=r"block was too short .*repeat the work"):
        running.finish()


def test_short_blocks_have_wide_bounds(tmp_path: Path, clock: Clock) -> None:
    tree, package, _ = laptop(tmp_path)
    running = record(tmp_path)
    clock.now_s += 0.005
    tree.add(package, 0.2)
    counted = running.finish()
    assert joules(counted) == pytest.approx(0.2)
    assert bounds(counted) == (0.0, pytest.approx(0.6))


def test_no_time_at_all_divides_nothing(tmp_path: Path, clock: Clock) -> None:
    tree, package, _ = laptop(tmp_path)
    running = record(tmp_path)
    tree.add(package, 0.2)
    counted = running.finish()
    assert bounds(counted) == (0.0, pytest.approx(2.2))


def test_memory_that_stands_still_is_not_counted_as_nothing(tmp_path: Path, clock: Clock) -> None:
    tree, package, _ = laptop(tmp_path)
    running = record(tmp_path)
    clock.now_s += 1.0
    tree.add(package, 10.0)
    counted = running.finish()
    assert joules(counted) == pytest.approx(10.0)
    assert [part.label for part in counted.parts] == ["package-0"]
    assert counted.notes == ("package-0 dram stood still: its memory is not counted",)


def test_a_suspended_system_is_told(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, package, _ = laptop(tmp_path)
    monkeypatch.setattr(source, "asleep_s", iter([100.0, 4000.0]).__next__)
    running = record(tmp_path)
    clock.now_s += 1.0
    tree.add(package, 10.0)
    with pytest.raises(MeasureError, match=r"suspended for 3900 s"):
        running.finish()


def test_this_system_tells_how_long_it_slept() -> None:
    assert asleep_s() >= -1e-3


def test_a_system_that_starts_no_thread_still_measures_short_blocks(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    tree, package, _ = laptop(tmp_path)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    running = record(tmp_path)
    clock.now_s += 1.0
    tree.add(package, 10.0)
    assert running.joules() == pytest.approx(10.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_may_end_the_block(tmp_path: Path) -> None:
    tree, package, _ = laptop(tmp_path)
    running = record(tmp_path)
    tree.add(package, 10.0)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if running.joules() > 9 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert running.joules() == pytest.approx(10.0)
