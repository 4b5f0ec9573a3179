"""Joules of every step: what the energy roofline says of each, scaled to what a meter counted for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aerogel.core.caches import caches
from aerogel.core.errors import MeasureError, require
from aerogel.energy.activity import LEVELS, Activity, byte
from aerogel.energy.reading import Reading, joules_text
from aerogel.energy.roofline import NEEDS_METER, Predicted, Reconciled, Roofline, reconcile
from aerogel.model.batch import Batch
from aerogel.model.built import Built
from aerogel.model.effort import Effort
from aerogel.model.step_activity import Levels, step_activity
from aerogel.tune.energy_fit import NewMeter, cpu_meter

WHOLE_S = 2.0
"""For so long calls are metered in a row: counters move once in a millisecond."""


@dataclass(frozen=True, slots=True)
class CallEnergy:
    """Of one call: ``steps`` in order and what was ``between`` them (waiting, and starting the call) add up
    to ``whole``, which was metered over ``calls`` calls in a row."""

    steps: tuple[Predicted, ...]
    between: Predicted
    whole: Reconciled
    calls: int
    reading: Reading
    roofline: Roofline

    def __str__(self) -> str:
        whole, missed = self.whole, self.roofline.held_out
        idle = sum(step.idle for step in (*self.steps, self.between)) / whole.total
        total = f"{joules_text(whole.total)} [{joules_text(whole.low)}, {joules_text(whole.high)}]"
        passing = f"{100 * idle:.0f} % of it passes with time alone"
        off = f"{100 * missed.median:.0f} % in the median and by {100 * missed.worst:.0f} % at worst"
        return (
            f"{total} a call, measured over {self.calls} calls by {self.reading.source}; {passing}, "
            f"{joules_text(self.between.joules)} between steps; joules of steps are modelled, off by {off} "
            f"for loops that were not fitted to, and scaled by {whole.factor:.2f} to add up to the whole"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "joules": self.whole.total,
            "low": self.whole.low,
            "high": self.whole.high,
            "between_steps": asdict(self.between),
            "steps": [asdict(step) for step in self.steps],
            "factor": self.whole.factor,
            "calls": self.calls,
            "reading": self.reading.to_json(),
            "roofline": self.roofline.to_json(),
        }


@dataclass(frozen=True, slots=True)
class EnergyMeter:
    """What joules of steps are found with: the ``roofline`` of this machine, and a meter for whole calls."""

    roofline: Roofline
    new_meter: NewMeter = cpu_meter
    whole_s: float = WHOLE_S
    clock: Callable[[], float] = time.perf_counter

    def of(
        self, built: Built, batch: Batch, steps_s: Sequence[float], call: Callable[[], object], threads: int
    ) -> CallEnergy:
        """``steps_s``: seconds of each step alone; ``call``: one call, on ``threads`` threads at most.
        MeasureError where the meter fails, or where the roofline is too far from what it counted."""
        threads = Effort.of(built).threads(batch.tokens, batch.rows, threads)
        known = [c.term for c in self.roofline.coefficients]
        levels = Levels(caches(), threads, [level for level in LEVELS if byte(level) in known])
        calls, reading = self._metered(call)
        activities = [step_activity(built, i, batch, s, levels) for i, s in enumerate(steps_s)]
        activities.append(_between(reading, calls, activities))
        parts = [self.roofline.predict(activity) for activity in activities]
        joules, low, high = _bounded(reading)
        whole = reconcile(parts, joules / calls, low / calls, high / calls)
        return CallEnergy(whole.parts[:-1], whole.parts[-1], whole, calls, reading, self.roofline)

    def _metered(self, call: Callable[[], object]) -> tuple[int, Reading]:
        call()
        calls = 0
        with self.new_meter() as block:
            began = self.clock()
            while calls == 0 or self.clock() - began < self.whole_s:
                call()
                calls += 1
        return calls, block.reading


def _between(reading: Reading, calls: int, steps: Sequence[Activity]) -> Activity:
    """What is left of a call without its steps; where they took longer alone than together, nothing."""
    seconds = reading.seconds / calls - sum(step.seconds for step in steps)
    awake_s = reading.cpu_seconds / calls - sum(step.awake_s for step in steps)
    return Activity(max(0.0, seconds), max(0.0, awake_s))


def _bounded(reading: Reading) -> tuple[float, float, float]:
    told = f"{NEEDS_METER} that does not fail: {reading.obstacle or 'it counted nothing'}"
    require(reading.method == "measured" and bool(reading.joules), MeasureError, told)
    joules = reading.joules or 0.0
    low = joules if reading.low is None else reading.low
    high = joules if reading.high is None else reading.high
    return joules, low, high
