"""A computer whose energy is known: it takes so many joules for each thing that it does, and has a meter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from aerogel.energy.activity import Activity
from aerogel.energy.reading import Reading

JOULES = {
    "static": 20.0, "awake": 3.0, "fp32 operation": 9e-12, "fp64 operation": 17e-12, "int8 operation": 2e-12,
    "byte of L1": 1.5e-12, "byte of L2": 6e-12, "byte of L3": 15e-12, "byte of memory": 60e-12,
}  # fmt: skip
BOUND = 0.01
UNTOLD = Reading(
    None,
    0.1,
    50.0,
    "not measured",
    "bounds",
    1.0,
    1.0,
    "watts-per-thread",
    "no RAPL counters here",
    "grant it",
)


@dataclass
class Computer:
    """``noise``: standard deviation of readings, relative; ``faulty``: its meter fails."""

    joules_of: Mapping[str, float] = field(default_factory=lambda: dict(JOULES))
    noise: float = 0.0
    faulty: bool = False
    now: float = 0.0
    done: Activity = field(default_factory=lambda: Activity(0.0, 0.0))
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def do(
        self,
        seconds: float,
        threads: float = 0.0,
        operations: Mapping[str, float] | None = None,
        moved: Mapping[str, float] | None = None,
    ) -> None:
        self.now += seconds
        self.done += Activity(seconds, threads * seconds, operations or {}, moved or {})

    def clock(self) -> float:
        return self.now

    @property
    def joules(self) -> float:
        return sum(self.joules_of[term] * amount for term, amount in self.done.amounts().items())

    def meter(self) -> Meter:
        return Meter(self)


class Meter:
    def __init__(self, of: Computer) -> None:
        self._of = of
        self.reading = UNTOLD

    def __enter__(self) -> Self:
        self._began = self._of.done, self._of.joules
        return self

    def __exit__(self, *_: object) -> None:
        before, joules = self._began
        if self._of.faulty:
            return
        # A glance in which nothing was simulated still takes its time.
        seconds = self._of.done.seconds - before.seconds or 0.02
        taken = (self._of.joules - joules or 1.0) * (1 + self._of.noise * self._of.random.standard_normal())
        self.reading = replace(
            Reading(taken, taken * (1 - BOUND), taken * (1 + BOUND), "measured", "simulated", seconds, 0.0),
            cpu_seconds=self._of.done.awake_s - before.awake_s,
        )
