"""How long recovery trains and how fast: by steps or by the clock."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from aerogel.core.errors import InputError, require

PRECISIONS = ("auto", "fp32", "bf16")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Schedule:
    """Exactly one of ``seconds`` and ``steps``: when to end. ``rate``: Adam's at its highest, after ``warm``,
    a share of the whole; from there it falls like a cosine. ``patience``: end early once the loss has
    not fallen for so many steps; 0: never. ``seed``: of the order of batches. ``precision`` of products in
    training: ``fp32``, ``bf16``, or ``auto``: bf16 where the machine has instructions for it, twice as fast
    and no worse for learning. Weights, sums and what the dense model did stay fp32."""

    seconds: float | None = None
    steps: int | None = None
    rate: float = 4e-4
    warm: float = 0.1
    patience: int = 0
    seed: int = 0
    precision: str = "auto"

    def __post_init__(self) -> None:
        given = [v for v in (self.seconds, self.steps) if v is not None]
        require(len(given) == 1, InputError, "recovery ends by seconds or by steps: give one of them")
        require(
            given[0] > 0 and math.isfinite(given[0]), InputError, f"recovery of {given[0]} is none: give more"
        )
        require(
            self.rate > 0 and math.isfinite(self.rate), InputError, f"rate is {self.rate}: give more than 0"
        )
        require(0 <= self.warm < 1, InputError, f"warm is {self.warm}: give a share of the whole, under 1")
        known = self.precision in PRECISIONS
        require(known, InputError, f"precision {self.precision!r} is none of {', '.join(PRECISIONS)}")

    @classmethod
    def parse(cls, text: object) -> Schedule:
        """``distill:90s``, ``distill:10m``, ``distill:1h`` or ``distill:200steps``; InputError for others."""
        match = re.fullmatch(r"distill:(\d+(?:\.\d+)?)(s|m|h|steps)", text) if isinstance(text, str) else None
        if match is None:
            raise InputError(
                f"recovery {text!r} is unknown: write distill:90s, distill:10m or distill:200steps"
            )
        amount, unit = match.groups()
        if unit == "steps":
            require(amount.isdigit(), InputError, f"recovery {text!r}: steps are whole")
            return cls(steps=int(amount))
        return cls(seconds=float(amount) * _UNITS[unit])

    def progress(self, steps: int, seconds: float) -> float:
        """How much of it is over, 0 to 1."""
        done = steps / self.steps if self.steps is not None else seconds / (self.seconds or 1.0)
        return min(1.0, done)

    def rate_at(self, progress: float) -> float:
        if progress < self.warm:
            return self.rate * (0.02 + 0.98 * progress / self.warm)
        return self.rate * 0.5 * (1 + math.cos(math.pi * (progress - self.warm) / (1 - self.warm)))
