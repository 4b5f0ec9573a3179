"""What a metered block took: a number with its method, bounds and source, or why there is none."""

from __future__ import annotations

import numbers
from dataclasses import asdict, dataclass, replace
from typing import Any

from aerogel.core.errors import InputError, require
from aerogel.energy.models import Method
from aerogel.energy.source import Part

_UNITS = {"MJ": 1e6, "kJ": 1e3, "J": 1.0, "mJ": 1e-3, "uJ": 1e-6}


@dataclass(frozen=True, slots=True)
class Reading:
    """``joules`` between ``low`` and ``high``, in ``seconds`` of wall time.

    method: "measured": by meters; "calibrated" or "estimated": by a power model, fitted to a meter or from
        this CPU's design power; "not measured": ``joules`` is None, and the bounds are those of a power model
        that knows too little of the CPU. Bounds are None where even they are impossible. Where a part of the
        sum comes from a power model, and others from meters, the method is that of the model.
    source: the meters and what they cover, or the power model with its source and error.
    model: the name of the power model; None where energy was measured.
    obstacle, advice: why energy was not measured, and what to do about it; "" where it was.
    cpu_seconds: CPU time of this process, all threads, and of its children that were waited for in the block.
    covers: what ``joules`` are of, in words: "CPU packages + memory + 1 GPU".
    parts: what each counter, sensor or model told; those marked ``summed`` add up to ``joules``.
    notes: each fault of a meter that was seen and dealt with, and meters that are here and could not be read.

    The bounds of a measured value cover when the counters move, and what is lost around a fault. How far the
    counters themselves are off they do not cover: makers state no error.
    """

    joules: float | None
    low: float | None
    high: float | None
    method: Method
    source: str
    seconds: float
    cpu_seconds: float
    model: str | None = None
    obstacle: str = ""
    advice: str = ""
    covers: str = ""
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()

    def per_run(self, runs: int) -> Reading:
        """The same, of one of ``runs`` equal runs that the block consisted of."""
        fits = isinstance(runs, numbers.Integral) and runs >= 1
        require(
            fits, InputError, f"runs={runs!r}: give how many runs the block held, a whole number from 1 on"
        )
        return replace(
            self,
            joules=_share(self.joules, runs),
            low=_share(self.low, runs),
            high=_share(self.high, runs),
            seconds=self.seconds / runs,
            cpu_seconds=self.cpu_seconds / runs,
            parts=tuple(
                replace(part, joules=_share(part.joules, runs), low=part.low / runs, high=part.high / runs)
                for part in self.parts
            ),
        )

    @property
    def amount(self) -> str:
        """In words: "12.3 J [12.2 J, 12.4 J]", "1.2 J to 75 J", or "unknown"."""
        if self.low is None or self.high is None:
            return "unknown" if self.joules is None else joules_text(self.joules)
        if self.joules is None:
            return f"{joules_text(self.low)} to {joules_text(self.high)}"
        return f"{joules_text(self.joules)} [{joules_text(self.low)}, {joules_text(self.high)}]"

    def __str__(self) -> str:
        within = f"in {self.seconds:.3g} s ({self.cpu_seconds:.3g} CPU s)"
        if self.method == "measured":
            return f"{self.amount} {within}, measured by {self.source}"
        do = f"; {self.advice}" if self.advice else ""
        if self.method == "not measured":
            said = f"energy not measured, {self.amount} {within}"
        else:
            said = f"{self.amount} {within}, not measured but {self.method}"
        if self.model is None:
            return f"{said}: {self.obstacle}{do}"
        return f"{said} under the power model {self.model}: {self.source}; no meter: {self.obstacle}{do}"

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        return asdict(self)


def _share(joules: float | None, runs: int) -> float | None:
    return None if joules is None else joules / runs


def joules_text(joules: float) -> str:
    """Three digits and a unit: "12.3 J", "4.56 kJ"."""
    rounded = float(f"{joules:.3g}")
    for unit, scale in _UNITS.items():
        if abs(rounded) >= scale:
            return f"{rounded / scale:.3g} {unit}" if rounded < 1e9 else f"{rounded / scale:,.0f} {unit}"
    return f"{rounded:.3g} J"
