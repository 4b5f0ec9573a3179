"""When masks change while a model trains, and how far: plain numbers, no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aerogel.core.errors import InputError, require
from aerogel.prune.select import checked_sparsity

SHARE = 0.75
"""Of the steps that a trainer announces, how many pass before masks settle, unless ``end`` says it."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """Sparsity that grows from ``initial`` to ``final`` between two steps, ``every`` so many at a time:

        s_t = s_f + (s_0 - s_f) (1 - (t - t_0) / (t_1 - t_0))^3          (Zhu and Gupta 2017)

    Steps are counted when they are done: 0 is before the first. ``begin`` <= ``end``; where they are equal,
    all is pruned at once.
    """

    initial: float
    final: float
    begin: int
    end: int
    every: int

    def __post_init__(self) -> None:
        checked_sparsity(self.initial)
        checked_sparsity(self.final)
        told = f"sparsity falls from {self.initial:g} to {self.final:g}: start with less than there is to be"
        require(self.initial <= self.final, InputError, told)
        told = f"pruning begins at step {self.begin} and ends at {self.end}: give 0 <= begin <= end"
        require(0 <= self.begin <= self.end, InputError, told)
        require(self.every >= 1, InputError, f"every is {self.every}: prune every 1 step or more")

    def due(self, step: int) -> bool:
        """Whether masks change once ``step`` steps are done."""
        inside = self.begin <= step <= self.end
        return inside and ((step - self.begin) % self.every == 0 or step == self.end)

    def progress(self, step: int) -> float:
        """How far the ramp is once ``step`` steps are done, 0 to 1: that of the last step that was due; -1
        before the first."""
        if step < self.begin:
            return -1.0
        if step >= self.end:
            return 1.0
        return (step - self.begin) // self.every * self.every / (self.end - self.begin)

    def at(self, step: int) -> float:
        """The sparsity there should be once ``step`` steps are done; 0 before ``begin``."""
        return self.between(self.initial, self.final, step)

    def between(self, initial: float, final: float, step: int) -> float:
        """``at``, for a layer that goes from another sparsity to another, at the same steps."""
        progress = self.progress(step)
        return 0.0 if progress < 0 else final + (initial - final) * (1 - progress) ** 3


def cosine(most: float, step: int, end: int) -> float:
    """The share of connections that RigL replaces: ``most`` at step 0, falling to 0 at ``end``:
    most / 2 (1 + cos(pi t / end)) (Evci et al. 2020)."""
    return 0.0 if step >= end else most / 2 * (1 + math.cos(math.pi * step / end))
