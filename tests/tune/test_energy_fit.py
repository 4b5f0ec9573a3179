"""From loops of a simulated computer to its energy roofline, through any meter; and without one, no
roofline."""

from __future__ import annotations

import json
import logging
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.energy.simulated import JOULES, Computer
from tests.energy.trees import Tree, laptop

from aerogel.core.caches import Cache
from aerogel.core.errors import MeasureError
from aerogel.core.target import current
from aerogel.energy.block import meter
from aerogel.energy.roofline import Roofline
from aerogel.tune import energy_fit
from aerogel.tune.energy_fit import machine_roofline, metered, require_meter
from aerogel.tune.energy_loops import MeteredLoop

CALL_S = 0.004
RATES: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "fp32": ({"fp32": 1e11}, {}),
    "int8": ({"int8": 4e11}, {}),
    "L1": ({"fp32": 5e10}, {"L1": 2e11}),
    "memory": ({"fp32": 3e9}, {"memory": 12e9}),
    "awake": ({"fp32": 1e9}, {}),
}


def loops(computer: Computer) -> list[MeteredLoop]:
    """As ``energy_loops`` has them, on a computer that only pretends."""

    def made(name: str, threads: int, *, held_out: bool = False, nap_s: float = 0.0) -> MeteredLoop:
        operations, moved = (
            {term: CALL_S * threads * rate for term, rate in rates.items()}
            for rates in RATES.get(name, ({}, {}))
        )

        def call() -> None:
            computer.do(CALL_S, threads, operations, moved)
            if nap_s:
                computer.do(nap_s)

        nap = " with naps" if nap_s else ""
        return MeteredLoop(f"{name}, {threads}{nap}", call, operations, moved, held_out)

    found = [made("asleep", 0), *(made(name, threads) for name in RATES for threads in (1, 2))]
    return [*found, made("fp32", 2, held_out=True, nap_s=0.005)]


@pytest.fixture
def computer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Computer:
    """Takes the place of this machine."""
    simulated = Computer(noise=0.005)
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(energy_fit, "loops", lambda target, threads, caches: loops(simulated))
    monkeypatch.setattr(energy_fit, "caches", lambda: (Cache(1, 1 << 15, 1),))
    monkeypatch.setattr(energy_fit, "metered", partial(metered, clock=simulated.clock))
    monkeypatch.setattr(energy_fit, "_GLANCE_S", 0.0)
    return simulated


def test_every_loop_once_a_round_in_changing_order() -> None:
    simulated = Computer()
    said: list[tuple[str, float]] = []
    found = metered(
        loops(simulated),
        simulated.meter,
        rounds=4,
        clock=simulated.clock,
        tell=lambda *told: said.append(told),
    )
    names = [sample.name for sample in found]
    each = len(loops(simulated))
    turns = [tuple(names[at : at + each]) for at in range(0, len(names), each)]
    assert len(turns) == len(set(turns)) == 4 and all(len(set(turn)) == each for turn in turns)
    assert said[0][0].startswith("metering ") and [share for _, share in said] == sorted(s for _, s in said)
    for sample in found:
        assert sample.activity.seconds >= energy_fit.BLOCK_S - 1e-9
        assert sample.joules == pytest.approx(
            sum(JOULES[term] * amount for term, amount in sample.activity.amounts().items())
        )


def test_known_coefficients_come_out(computer: Computer) -> None:
    found = machine_roofline(current(), 2, new_meter=computer.meter)
    assert {c.term for c in found.coefficients} == {
        "static", "awake", "fp32 operation", "int8 operation", "byte of L1", "byte of memory",
    }  # fmt: skip
    for c in found.coefficients:
        assert c.low <= JOULES[c.term] <= c.high
        assert c.value == pytest.approx(JOULES[c.term], rel=0.15)
    assert found.held_out.worst < 0.02 and found.meter == "simulated"


def test_it_is_kept_for_the_next_time(computer: Computer) -> None:
    first = machine_roofline(current(), 2, new_meter=computer.meter)
    before = computer.now
    assert machine_roofline(current(), 2, new_meter=computer.meter) == first and computer.now == before
    # On other threads, or where it is asked for, it is another one.
    machine_roofline(current(), 1, new_meter=computer.meter)
    assert computer.now > before + 3
    before = computer.now
    assert machine_roofline(current(), 2, new_meter=computer.meter, again=True) != first
    assert computer.now > before + 3


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"coefficients": []}'])
def test_what_was_kept_and_is_broken_is_fitted_anew(
    computer: Computer, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    first = machine_roofline(current(), 2, new_meter=computer.meter)
    (kept,) = energy_fit.private_folder("energy").glob("*.json")
    assert Roofline.of_json(json.loads(kept.read_text())) == first
    kept.write_text(text)
    with caplog.at_level(logging.WARNING, "aerogel"):
        machine_roofline(current(), 2, new_meter=computer.meter)
    assert "is fitted anew" in caplog.text
    Roofline.of_json(json.loads(kept.read_text()))


def test_without_a_place_to_keep_it_is_fitted_all_the_same(
    computer: Computer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path / "file"))
    assert machine_roofline(current(), 2, new_meter=computer.meter).runs > 0
    assert "is not kept" in caplog.text


def test_without_a_meter_there_is_none() -> None:
    blind = Computer(faulty=True)
    told = "^energy per layer needs a meter: no RAPL counters here; grant it$"
    with pytest.raises(MeasureError, match=told):
        require_meter(blind.meter)
    with pytest.raises(MeasureError, match=told):
        machine_roofline(current(), 2, new_meter=blind.meter)
    assert blind.now == 0


def test_a_meter_that_fails_in_the_middle_is_told(computer: Computer) -> None:
    def fail() -> None:
        computer.do(CALL_S)
        computer.faulty = True

    broken = [MeteredLoop("breaking", fail)]
    with pytest.raises(MeasureError, match="needs a meter that does not fail: in loop 'breaking' no RAPL"):
        metered(broken, computer.meter, clock=computer.clock)


def test_without_the_sizes_of_caches_there_is_none(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy_fit, "caches", lambda: ())
    with pytest.raises(MeasureError, match="needs the sizes of the caches"):
        machine_roofline(current(), 2, new_meter=computer.meter)


def test_through_the_counters_of_a_laptop(tmp_path: Path) -> None:
    """Counters in a tree of files, read as those of Linux are: joules by number of calls come out."""
    tree, package, dram = laptop(tmp_path)
    tree.cpu(virtual=False)

    def busy(joules: float, held: float) -> None:
        energy_fit.time.sleep(0.002)
        tree.add(package, joules)
        tree.add(dram, held)

    wanted = [
        MeteredLoop("small", partial(busy, 0.02, 0.01), {"fp32": 1e9}),
        MeteredLoop("large", partial(busy, 0.10, 0.02), {"fp32": 4e9}),
    ]
    found = metered(wanted, partial(meter, root=tmp_path), rounds=2, block_s=0.06)
    assert len(found) == 4
    for sample in found:
        each = {"small": 0.03, "large": 0.12}[sample.name]
        calls = sample.activity.operations["fp32"] / {"small": 1e9, "large": 4e9}[sample.name]
        assert sample.joules == pytest.approx(calls * each, rel=1e-5) and calls >= 2
        assert sample.low <= sample.joules <= sample.high


@pytest.mark.slow
def test_real_loops_beside_a_counter_that_follows_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 W, 3 W for each thread that is awake, and nothing for what it computes: that is what is found."""
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    monkeypatch.setattr(energy_fit, "metered", partial(metered, rounds=2, block_s=0.15))
    tree = Tree(tmp_path)
    counter = tree.zone("intel-rapl:0", "package-0")
    over = threading.Event()

    def follow() -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        while not over.wait(0.001):
            now, done = time.perf_counter(), time.process_time()
            tree.add(counter, 20 * (now - wall) + 3 * (done - cpu))
            wall, cpu = now, done

    following = threading.Thread(target=follow)
    following.start()
    try:
        found = machine_roofline(current(), 2, new_meter=partial(meter, root=tmp_path))
    finally:
        over.set()
        following.join()
    values = {c.term: c for c in found.coefficients}
    assert values["static"].value == pytest.approx(20, rel=0.1)
    assert values["awake"].value == pytest.approx(3, rel=0.3)
    assert all(c.low < 3e-12 for term, c in values.items() if term not in {"static", "awake"})
    assert found.held_out.worst < 0.1


def test_closed_counters_are_no_meter(tmp_path: Path) -> None:
    Tree(tmp_path).zone("intel-rapl:0", "package-0").write_text("none of your business")
    with pytest.raises(MeasureError, match=r"energy per layer needs a meter: .*package-0"):
        require_meter(partial(meter, root=tmp_path))


def test_noise_does_not_hide_a_seed() -> None:
    """The same computer, the same readings: nothing here depends on the time of day."""
    one, other = (Computer(noise=0.02, random=np.random.default_rng(3)) for _ in range(2))
    assert metered(loops(one), one.meter, clock=one.clock) == metered(
        loops(other), other.meter, clock=other.clock
    )
