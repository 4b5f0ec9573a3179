"""How much a call has to do: too little is done by one thread, for to wake another takes longer."""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.model.built import Built
from aerogel.model.steps import LinearStep

# About what one core does in a second, to tell small from large: multiply-adds, and bytes from a cache.
_MULTIPLY_ADDS, _BYTES = 5e10, 2.5e10
# Zen 4, layers in a loop: two threads are worth it from 60 us on if the second is awake, from 1 ms if asleep.
WORTH_THREADS_S = 40e-6


@dataclass(frozen=True, slots=True)
class Effort:
    """Of the linear layers: multiply-adds for each token and each row, and the bytes of their weights."""

    per_token: int
    per_row: int
    nbytes: int

    @staticmethod
    def of(built: Built) -> Effort:
        steps = [step for step in built.steps if isinstance(step, LinearStep)]
        each = {"tokens": 0, "rows": 0}
        for step in steps:
            each[step.out.columns] += built.packed[step.name].many.nonzeros
        nbytes = sum(built.packed[step.name].many.nbytes for step in steps)
        return Effort(each["tokens"], each["rows"], nbytes)

    def threads(self, tokens: int, rows: int, wanted: int) -> int:
        """How many threads a call runs on where ``wanted`` were asked for."""
        arithmetic = (self.per_token * tokens + self.per_row * rows) / _MULTIPLY_ADDS
        return 1 if max(arithmetic, self.nbytes / _BYTES) < WORTH_THREADS_S else wanted
