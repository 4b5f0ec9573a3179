"""Simulated machines through every fault of RAPL: the total is within 0.1 % of the truth, and the fault is
named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.energy.traces import PACKAGES, SMALL_RANGE_UJ, Counter, Simulated, server, steady, waves

from aerogel.core.errors import MeasureError
from aerogel.energy import rapl, zones
from aerogel.energy.source import Counted, Following, Where

Faults = Callable[[Simulated, int], None]
"""What happens on a machine in a second of a block."""


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones.time, "sleep", lambda seconds: None)


def run(
    machine: Simulated, monkeypatch: pytest.MonkeyPatch, seconds: int, faults: Faults, look_s: float = 1.0
) -> Counted:
    """A block of so many seconds, in each of which something may happen, looked at every ``look_s``."""
    monkeypatch.setattr(rapl, "perf_counter", machine)
    found = zones.survey(Where(machine.root))
    assert found.obstacle == ""
    following = found.begin()
    for counter in machine.counters.values():
        counter.true_joules = 0.0
    _follow(machine, following, seconds, faults, look_s)
    return following.finish()


def _follow(machine: Simulated, following: Following, seconds: int, faults: Faults, look_s: float) -> None:
    due_s = machine.now_s + look_s
    for second in range(seconds):
        faults(machine, second)
        machine.step(1.0)
        if machine.now_s >= due_s:
            following.look()
            due_s += look_s


def require_truth(counted: Counted, truth: float) -> None:
    joules = sum(part.joules or 0.0 for part in counted.parts)
    assert joules == pytest.approx(truth, rel=1e-3)
    assert sum(part.low for part in counted.parts) <= truth * (1 + 1e-9)
    assert sum(part.high for part in counted.parts) >= truth * (1 - 1e-9)


def nothing(machine: Simulated, second: int) -> None:
    """No fault."""


def test_nested_domains_and_second_interfaces_are_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = server(tmp_path)
    counted = run(machine, monkeypatch, 60, nothing)
    require_truth(counted, machine.truth(*PACKAGES))
    assert counted.notes == ()
    left_out = zones.survey(Where(tmp_path)).left_out
    assert {"intel-rapl:2 (psys)", "intel-rapl:0:1 (core)", "intel-rapl-mmio:1 (package-1)"} <= set(left_out)


def test_wraps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = server(tmp_path, SMALL_RANGE_UJ)
    counted = run(machine, monkeypatch, 130, nothing)
    require_truth(counted, machine.truth(*PACKAGES))
    assert counted.notes == ("package-0 wrapped twice", "package-1 wrapped twice")


def test_looks_that_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the thread does not get the CPU: a look in 4 s, of the 5 s that a round may take."""
    machine = server(tmp_path, SMALL_RANGE_UJ)
    counted = run(machine, monkeypatch, 100, nothing, look_s=4.0)
    require_truth(counted, machine.truth(*PACKAGES))


def test_more_than_a_round_without_a_look_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = server(tmp_path, SMALL_RANGE_UJ)
    with pytest.raises(MeasureError, match=r"package-0 was not read for 6 s, .* wrapped more than once"):
        run(machine, monkeypatch, 30, nothing, look_s=6.0)


@pytest.mark.parametrize("text", ["", "garbage", "-1", "99999999999999"])
def test_failed_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    def fail(machine: Simulated, second: int) -> None:
        machine.broken = {"intel-rapl:0": text} if second % 20 in range(10, 14) else {}

    machine = server(tmp_path)
    counted = run(machine, monkeypatch, 60, fail)
    require_truth(counted, machine.truth(*PACKAGES))
    faults = [note for note in counted.notes if "energy_uj" in note]
    assert len(faults) == 3 and all(
        "its counter went on" in note and "package-0: " in note for note in faults
    )


@pytest.mark.parametrize("text", ["0", "130000000000"])
def test_misreads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A zero that is not one, and a value from nowhere."""

    def misread(machine: Simulated, second: int) -> None:
        machine.broken = {"intel-rapl:1:0": text} if second in (20, 40) else {}

    machine = server(tmp_path)
    counted = run(machine, monkeypatch, 60, misread)
    require_truth(counted, machine.truth(*PACKAGES))
    assert "package-1 dram showed values that it cannot have reached twice: left out" in counted.notes


def test_a_misread_at_the_very_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = server(tmp_path)

    def mend(seconds: float) -> None:
        machine.broken = {}
        machine.write()

    monkeypatch.setattr(zones.time, "sleep", mend)

    def misread(machine: Simulated, second: int) -> None:
        machine.broken = {"intel-rapl:1": "0"} if second == 29 else {}

    require_truth(run(machine, monkeypatch, 30, misread), machine.truth(*PACKAGES))


def test_a_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reset(machine: Simulated, second: int) -> None:
        if second == 40:
            machine.counters["cpu1"].uj = 0.0

    machine = server(tmp_path)
    counted = run(machine, monkeypatch, 110, reset)
    require_truth(counted, machine.truth(*PACKAGES))
    assert "package-1 was reset once: 1 s are filled with the power around them" in counted.notes


def test_a_reset_in_a_short_block_is_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reset(machine: Simulated, second: int) -> None:
        if second == 10:
            machine.counters["cpu1"].uj = 0.0

    with pytest.raises(MeasureError, match=r"package-1 was reset: what it counted in 1 s of 20 s is lost"):
        run(server(tmp_path), monkeypatch, 20, reset)


@pytest.mark.parametrize("name", ["package-0-die-{}", "package-0"])
def test_mirrored_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    machine = Simulated(tmp_path)
    machine.counters["cpu"] = Counter(waves(60.0, 280.0))
    for die in range(4):
        machine.show(f"intel-rapl:{die}", name.format(die), "cpu")
    counted = run(machine, monkeypatch, 90, nothing)
    require_truth(counted, machine.truth("cpu"))
    assert len(counted.parts) == 1
    assert sum(" mirrors intel-rapl:0 " in note for note in counted.notes) == 3
    assert "3 mirrored counters left out" in counted.about


def test_dies_that_agree_at_both_ends_by_chance_are_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They differ in between."""
    machine = Simulated(tmp_path)
    for die in range(2):
        first = die == 0

        def watts(at_s: float, first: bool = first) -> float:
            return 150.0 if (at_s < 130.0) is first else 50.0

        machine.counters[f"die{die}"] = Counter(watts)
        machine.show(f"intel-rapl:{die}", f"package-0-die-{die}", f"die{die}")
    counted = run(machine, monkeypatch, 60, nothing)
    require_truth(counted, machine.truth("die0", "die1"))
    assert len(counted.parts) == 2


def test_a_package_that_is_unplugged_and_comes_back_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its counter goes on meanwhile, for hardware counts whether or not Linux shows it."""

    def replug(machine: Simulated, second: int) -> None:
        if second == 40:
            machine.hide("intel-rapl:1")
            machine.hide("intel-rapl-mmio:1")
        elif second == 43:
            machine.show("intel-rapl:7", "package-1", "cpu1")
            machine.show("intel-rapl:7:0", "dram", "dram1")

    machine = server(tmp_path)
    counted = run(machine, monkeypatch, 100, replug)
    require_truth(counted, machine.truth(*PACKAGES))
    gone = [note for note in counted.notes if note.startswith("package-1")]
    assert len([note for note in gone if "No such file" in note and "its counter went on" in note]) == 2


def test_a_package_that_is_unplugged_for_good_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unplug(machine: Simulated, second: int) -> None:
        if second == 20:
            machine.hide("intel-rapl:1")
            machine.hide("intel-rapl-mmio:1")

    with pytest.raises(
        MeasureError, match=r"package-1: .*intel-rapl:1/energy_uj cannot be read: No such file"
    ):
        run(server(tmp_path), monkeypatch, 25, unplug)


def test_a_package_that_is_plugged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def plug(machine: Simulated, second: int) -> None:
        if second == 100:
            machine.counters["cpu2"].counting = True
            machine.show("intel-rapl:5", "package-2", "cpu2")

    machine = server(tmp_path)
    machine.counters["cpu2"] = Counter(steady(180.0), 7e9, counting=False)
    counted = run(machine, monkeypatch, 200, plug)
    require_truth(counted, machine.truth(*PACKAGES, "cpu2"))
    assert "package-2 was plugged in after 101 s: counted from then on" in counted.notes


FAULTS = st.lists(
    st.tuples(
        st.integers(0, 78),
        st.sampled_from(["garbage", "130000000000", "", "replug"]),
        st.integers(1, 4),
        st.sampled_from(["intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl:1:0"]),
    ),
    max_size=6,
)


STARTS = st.tuples(*[st.floats(0, 5e10) | st.floats(2.5e11, 2.62e11)] * 4)
"""Some near the end of their range; all far from what a misread shows."""


def _mixture(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    faults: list[tuple[int, str, int, str]],
    starts: tuple[float, ...],
    look_s: float,
) -> None:
    """Whatever happens, either the total is right within 0.1 %, or there is none."""
    machine = server(root)
    for counter, start in zip(PACKAGES, starts, strict=True):
        machine.counters[counter].uj = start
    machine.write()

    def happen(machine: Simulated, second: int) -> None:
        machine.broken = {
            place: text
            for since, text, lasting, place in faults
            if text != "replug" and since <= second < since + (1 if text.isdecimal() else lasting)
        }
        for since, text, lasting, place in faults:
            package = place[11]
            if text != "replug" or since + lasting >= 80:
                continue
            if second == since and f"intel-rapl:{package}" in machine.shown:
                machine.hide(f"intel-rapl:{package}")
            elif second == since + lasting and f"intel-rapl:{package}" not in machine.shown:
                machine.show(f"intel-rapl:{package}", f"package-{package}", f"cpu{package}")
                machine.show(f"intel-rapl:{package}:0", "dram", f"dram{package}")

    try:
        counted = run(machine, monkeypatch, 80, happen, look_s)
    except MeasureError:
        assume(False)
    else:
        require_truth(counted, machine.truth(*PACKAGES))


def _mixed(examples: int) -> Callable[..., object]:
    """A test of so many random mixtures."""
    checks = [HealthCheck.function_scoped_fixture]

    @settings(max_examples=examples, deadline=None, suppress_health_check=checks)
    @given(faults=FAULTS, starts=STARTS, look_s=st.floats(1.0, 2.0))
    def test(
        tmp_path_factory: pytest.TempPathFactory,
        monkeypatch: pytest.MonkeyPatch,
        faults: list[tuple[int, str, int, str]],
        starts: tuple[float, ...],
        look_s: float,
    ) -> None:
        _mixture(tmp_path_factory.mktemp("machine"), monkeypatch, faults, starts, look_s)

    return test


test_any_mixture_of_faults = _mixed(2)
test_many_mixtures_of_faults = pytest.mark.slow(_mixed(60))
