"""Fits to loops of a computer whose coefficients are known; and all that makes a fit impossible, told."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.energy.simulated import BOUND, JOULES, Computer

from aerogel.core.errors import MeasureError
from aerogel.energy.activity import Activity
from aerogel.energy.roofline import Roofline
from aerogel.energy.roofline_fit import Sample, fit, nonnegative

DAY = date(2026, 11, 28)
RATES: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "fp32": ({"fp32": 1e11}, {}),
    "fp64": ({"fp64": 5e10}, {}),
    "int8": ({"int8": 4e11}, {}),
    "L1": ({"fp32": 5e10}, {"L1": 2e11}),
    "L2": ({"fp32": 2e10}, {"L2": 8e10}),
    "L3": ({"fp32": 1e10}, {"L3": 4e10}),
    "memory": ({"fp32": 3e9}, {"memory": 12e9}),
    "awake": ({"fp32": 1e9}, {}),
}
MIXED: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "L1 and more": ({"fp32": 1e11}, {"L1": 1e11}),
    "memory and more": ({"fp32": 8e10}, {"memory": 8e9}),
}


def loop(computer: Computer, name: str, threads: int, *, held_out: bool = False) -> Sample:
    operations, moved = (RATES | MIXED).get(name, ({}, {}))
    scale = 0.5 * threads
    with computer.meter() as block:
        computer.do(
            0.5,
            threads,
            {kind: scale * rate for kind, rate in operations.items()},
            {level: scale * rate for level, rate in moved.items()},
        )
    found = block.reading
    did = Activity(
        0.5,
        0.5 * threads,
        {kind: scale * rate for kind, rate in operations.items()},
        {level: scale * rate for level, rate in moved.items()},
    )
    assert found.joules is not None and found.low is not None and found.high is not None
    return Sample(f"{name} on {threads}", did, found.joules, found.low, found.high, held_out)


def samples(computer: Computer, rounds: int = 3) -> list[Sample]:
    found: list[Sample] = []
    for _ in range(rounds):
        found.append(loop(computer, "asleep", 0))
        found += [loop(computer, name, threads) for name in RATES for threads in (1, 2)]
        found += [loop(computer, name, 2, held_out=True) for name in MIXED]
    return found


def fitted(computer: Computer, rounds: int = 3) -> Roofline:
    return fit(samples(computer, rounds), "simulated", "a CPU", DAY)


def test_known_coefficients_are_recovered() -> None:
    found = fitted(Computer())
    assert {c.term for c in found.coefficients} == set(JOULES)
    for c in found.coefficients:
        assert c.value == pytest.approx(JOULES[c.term], rel=1e-6)
        # Exact readings still have the meter's bounds.
        assert (c.low, c.high) == pytest.approx((c.value * (1 - BOUND), c.value * (1 + BOUND)), rel=1e-4)
    assert found.held_out.worst < 1e-6 and found.held_out.loops == 2
    assert (found.runs, found.meter, found.machine, found.fitted) == (51, "simulated", "a CPU", "2026-11-28")


def test_noise_is_in_the_intervals() -> None:
    """Of intervals of about 95 %, over many noisy machines, nine in ten hold the truth at least."""
    held, out_of = 0, 0
    for seed in range(30):
        computer = Computer(noise=0.02, random=np.random.default_rng(seed))
        found = fitted(computer)
        held += sum(c.low <= JOULES[c.term] <= c.high for c in found.coefficients)
        out_of += len(found.coefficients)
        assert found.held_out.worst < 0.1
    assert held / out_of >= 0.9
    # What takes most of the energy is known well.
    (static,) = (c for c in found.coefficients if c.term == "static")
    assert static.value == pytest.approx(20.0, rel=0.05)


def test_predictions_of_work_not_metered_hold_the_truth() -> None:
    truth = Computer()
    for seed in range(20):
        found = fitted(Computer(noise=0.02, random=np.random.default_rng(100 + seed)))
        for name in MIXED:
            sample = loop(truth, name, 1)
            assert found.predict(sample.activity).low <= sample.joules <= found.predict(sample.activity).high


def test_what_takes_no_energy_is_zero_with_a_bound() -> None:
    free = Computer(JOULES | {"byte of L1": 0.0}, noise=0.02, random=np.random.default_rng(5))
    found = {c.term: c for c in fitted(free).coefficients}
    assert found["byte of L1"].value < 1e-12 and 0 < found["byte of L1"].high < 3e-12
    assert all(c.value >= 0 and c.low >= 0 for c in found.values())


def test_one_disturbed_loop_moves_little() -> None:
    """In one of five rounds another program ran beside one loop."""
    disturbed = [
        replace(s, joules=s.joules * 1.3, low=s.low * 1.3, high=s.high * 1.3) if i == 4 else s
        for i, s in enumerate(samples(Computer(), rounds=5))
    ]
    found = fit(disturbed, "simulated", "a CPU", DAY)
    for c in found.coefficients:
        assert c.low <= JOULES[c.term] <= c.high


def test_one_disturbed_check_is_not_an_error_of_the_fit() -> None:
    once = [replace(s, joules=s.joules * 1.9) if i == 17 else s for i, s in enumerate(samples(Computer()))]
    assert once[17].held_out and fit(once, "simulated", "a CPU", DAY).held_out.worst < 1e-6


def test_terms_that_no_loop_tells_apart_are_named() -> None:
    computer = Computer()
    alike = [
        loop(computer, "L1", threads, held_out=held) for threads in (0, 1, 2, 3) for held in (False, True)
    ] * 3
    with pytest.raises(MeasureError, match=r"do not tell apart awake and fp32 operation and byte of L1"):
        fit(alike, "simulated", "a CPU", DAY)


def test_too_few_loops_are_no_fit() -> None:
    with pytest.raises(MeasureError, match="2 metered loops are too few for 2 coefficients"):
        fit([loop(Computer(), "asleep", 0), loop(Computer(), "awake_", 1)], "simulated", "a CPU", DAY)


def test_without_a_check_there_is_no_fit() -> None:
    unheld = [replace(s, held_out=False) for s in samples(Computer())]
    with pytest.raises(MeasureError, match="no loop was held out"):
        fit(unheld, "simulated", "a CPU", DAY)


def test_another_machine_is_noticed() -> None:
    """Two things at once take twice what the parts do: the form does not hold there."""
    odd = [replace(s, joules=3 * s.joules) if s.held_out else s for s in samples(Computer())]
    with pytest.raises(
        MeasureError, match=r"does not describe this machine: it misses loop '.* and more on 2' by 67 %"
    ):
        fit(odd, "simulated", "a CPU", DAY)


def test_a_coarse_meter_is_no_meter_for_layers() -> None:
    coarse = [replace(s, low=0.2 * s.joules, high=1.9 * s.joules) for s in samples(Computer())]
    with pytest.raises(MeasureError, match="the meter leaves 90 % of each loop open"):
        fit(coarse, "simulated", "a CPU", DAY)


def test_a_loop_that_took_nothing_is_named() -> None:
    idle = [*samples(Computer())[:3], replace(loop(Computer(), "fp32", 1), joules=0.0)]
    with pytest.raises(MeasureError, match="the meter counted nothing in loop 'fp32 on 1'"):
        fit(idle, "simulated", "a CPU", DAY)


def best(a: np.ndarray, y: np.ndarray) -> float:
    """The least |a x - y| with x >= 0, by trying every set of columns."""
    found = float(np.linalg.norm(y))
    for count in range(1, a.shape[1] + 1):
        for chosen in combinations(range(a.shape[1]), count):
            x, *_ = np.linalg.lstsq(a[:, chosen], y, rcond=None)
            if (x >= 0).all():
                found = min(found, float(np.linalg.norm(a[:, chosen] @ x - y)))
    return found


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 5), st.integers(0, 4), st.integers(0, 2**32 - 1), st.booleans())
def test_least_squares_without_negative_coefficients(
    width: int, more: int, seed: int, positive: bool
) -> None:
    random = np.random.default_rng(seed)
    a = random.standard_normal((width + more, width))
    a = np.abs(a) if positive else a
    y = random.standard_normal(width + more)
    x = nonnegative(a, y)
    assert (x >= 0).all()
    assert float(np.linalg.norm(a @ x - y)) == pytest.approx(best(a, y), rel=1e-9, abs=1e-12)


def test_least_squares_of_nothing() -> None:
    assert (nonnegative(np.zeros((3, 2)), np.ones(3)) == 0).all()
    assert (nonnegative(np.ones((3, 2)), np.zeros(3)) == 0).all()
