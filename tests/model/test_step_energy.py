"""Joules of steps on a computer whose joules are known, reconciled with its meter; none without a meter."""

from __future__ import annotations

import json
from datetime import date
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from tests.energy.simulated import JOULES, Computer
from tests.model.graphs import Draft, quick, tokens

from aerogel.core.caches import Cache
from aerogel.core.errors import MeasureError
from aerogel.energy.activity import Activity
from aerogel.energy.block import meter
from aerogel.energy.roofline import Coefficient, HeldOut, Roofline
from aerogel.model import step_energy
from aerogel.model.explain import explain
from aerogel.model.program import Program
from aerogel.model.step_activity import Levels, step_activity
from aerogel.model.step_energy import CallEnergy, EnergyMeter

CACHES = (Cache(1, 1 << 15, 1), Cache(2, 1 << 19, 1), Cache(3, 1 << 24, 2))
WASTED_S = 2e-4


def roofline(scale: float = 1.0) -> Roofline:
    """The true coefficients, times ``scale``."""
    found = tuple(
        Coefficient(term, scale * j, scale * j * 0.99, scale * j * 1.01) for term, j in JOULES.items()
    )
    none = tuple((0.0,) * len(found) for _ in found)
    return Roofline(
        found, none, HeldOut(4, 0.02, 0.05), 30, "simulated", "a CPU", date(2026, 11, 28).isoformat()
    )


@cache
def program() -> Program:
    d = Draft()
    x = d.embedding(16)
    x = d.norm(d.add(d.activation(d.linear(d.attend(x), 16)), x))
    return quick(d.graph(x, d.normalize(d.pool(x))))


def activities(threads: int = 2) -> list[Activity]:
    """What the steps of a call do; step i takes (i + 1) / 10 ms."""
    built, batch = program().built, program().batch(**tokens((9, 30)))
    levels = Levels(CACHES, threads, ("L1", "L2", "L3", "memory"))
    return [step_activity(built, i, batch, 1e-4 * (i + 1), levels) for i in range(len(built.steps))]


def found(computer: Computer, model: Roofline, monkeypatch: pytest.MonkeyPatch) -> CallEnergy:
    monkeypatch.setattr(step_energy, "caches", lambda: CACHES)
    whole = activities()

    def call() -> None:
        for did in whole:
            computer.do(did.seconds, did.awake_s / did.seconds, did.operations, did.bytes)
        computer.do(WASTED_S, 1)

    energy = EnergyMeter(model, computer.meter, 0.1, computer.clock)
    seconds = [did.seconds for did in whole]
    return energy.of(program().built, program().batch(**tokens((9, 30))), seconds, call, 2)


def truth(did: Activity) -> float:
    return sum(JOULES[term] * amount for term, amount in did.amounts().items())


def test_true_coefficients_give_true_joules(monkeypatch: pytest.MonkeyPatch) -> None:
    energy = found(Computer(), roofline(), monkeypatch)
    assert energy.whole.factor == pytest.approx(1.0, rel=1e-9) and energy.calls >= 10
    for did, step in zip(activities(), energy.steps, strict=True):
        assert step.joules == pytest.approx(truth(did), rel=1e-9)
        assert step.idle == pytest.approx(JOULES["static"] * did.seconds, rel=1e-9)
        assert step.low < step.joules < step.high
    assert energy.between.joules == pytest.approx(WASTED_S * (JOULES["static"] + JOULES["awake"]), rel=1e-6)


@pytest.mark.parametrize("scale", [0.6, 0.9, 1.3, 1.9])
def test_steps_and_what_is_between_add_up_to_the_meter(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """A roofline that is off as a whole gives the same joules: the meter has the last word."""
    energy = found(Computer(), roofline(scale), monkeypatch)
    assert energy.whole.factor == pytest.approx(1 / scale)
    parts = (*energy.steps, energy.between)
    assert sum(part.joules for part in parts) == pytest.approx(energy.whole.total, rel=1e-12)
    assert energy.reading.joules == pytest.approx(energy.calls * energy.whole.total)
    for did, step in zip(activities(), energy.steps, strict=True):
        assert step.joules == pytest.approx(truth(did), rel=1e-9)


def test_a_roofline_of_another_machine_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MeasureError, match="no energy per layer: the meter counted"):
        found(Computer(), roofline(3.0), monkeypatch)


def test_a_meter_that_fails_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MeasureError, match="energy per layer needs a meter that does not fail: no RAPL"):
        found(Computer(faulty=True), roofline(), monkeypatch)


def test_explain_shows_joules_of_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_energy, "caches", lambda: CACHES)
    computer, p = Computer(), program()
    batch = p.batch(**tokens((9, 30)))

    def run(work: object, threads: int, span: tuple[int, int]) -> None:
        for _ in range(*span):
            computer.do(1e-5, threads)

    plain = explain(p.built, run, batch, 2)
    assert plain.energy is None and "energy" not in str(plain) and plain.to_json()["energy"] is None
    energy = EnergyMeter(roofline(), computer.meter, 0.01, computer.clock)
    shown = explain(p.built, run, batch, 2, energy)
    assert shown.energy is not None
    lines = str(shown).splitlines()
    assert lines[0].endswith("energy") and all(
        line.rstrip().endswith("]") for line in lines[2 : 2 + len(shown.steps)]
    )
    assert lines[-1].startswith("energy: ") and "measured over" in lines[-1] and "simulated" in lines[-1]
    told = json.loads(json.dumps(shown.to_json()))
    assert told["energy"]["factor"] == shown.energy.whole.factor
    assert sum(step["energy"]["joules"] for step in told["steps"]) + told["energy"]["between_steps"][
        "joules"
    ] == pytest.approx(told["energy"]["joules"])


def test_without_a_meter_a_program_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on any virtual machine: nothing is fitted, nothing is run."""
    monkeypatch.setattr("aerogel.tune.energy_fit.cpu_meter", partial(meter, root=tmp_path))
    with pytest.raises(MeasureError, match=r"^energy per layer needs a meter: no RAPL counters here"):
        program().explain(energy=True, **tokens((9, 30)))
    assert np.isfinite(program().explain(**tokens((3,))).seconds)
