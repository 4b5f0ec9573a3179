"""The four choices of ``prune``, checked: importance, pattern, budget and recovery, of which any go together.
Imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aerogel.core.errors import InputError, require
from aerogel.core.suggest import unknown
from aerogel.prune.budget import BUDGETS, Budget
from aerogel.prune.fits import FITS
from aerogel.prune.importance import Importance, importance_named
from aerogel.prune.latency import LatencyBudget
from aerogel.prune.methods import METHODS
from aerogel.prune.pattern import Pattern
from aerogel.prune.schedule import Schedule

BATCH_NORM = "batch_norm"
REPAIR = "least_squares"
_DISTILL = "distill:"


@dataclass(frozen=True, slots=True)
class Axes:
    """``method``: the preset that was named, else the importance; ``fits``: recovery of each layer, names in
    ``FITS``; ``after``: of the whole model, ``batch_norm`` or a ``Schedule``, each in order."""

    method: str
    importance_name: str
    importance: Importance
    pattern: Pattern
    budget_name: str
    budget: Budget
    fits: tuple[str, ...]
    after: tuple[str | Schedule, ...]
    recoveries: tuple[str, ...]

    @property
    def needs(self) -> dict[str, bool]:
        """What was chosen, and whether it can do without data."""
        told = "method" if self.method in METHODS and self.importance_name != self.method else "importance"
        name = self.method if told == "method" else self.importance_name
        return {
            f"{told}={name!r}": self.importance.needs_data,
            f"budget={self.budget_name!r}": self.budget.needs_data,
            f"recovery={list(self.recoveries)!r}": bool(self.recoveries),
        }

    @property
    def changes_weights(self) -> bool:
        """Only what changes the kept weights can make up for what earlier layers lost."""
        return bool(self.fits)

    @property
    def by_rows(self) -> bool:
        """Does each output lose as much as any other?"""
        return self.importance.by_rows and not self.budget.ranks


def chosen_axes(
    method: str | None,
    importance: str | None,
    pattern: Pattern,
    budget: str,
    recovery: str | Sequence[str] | None,
    *,
    repair: bool = False,
) -> Axes:
    """InputError for what is unknown. ``method`` gives the importance, and what a layer recovers by first;
    ``importance`` takes the place of the one, ``recovery`` is added to the other, unless it starts with
    ``none``."""
    if method is not None and method not in METHODS:
        raise InputError(unknown("method", method, METHODS))
    preset = METHODS["magnitude" if method is None else method]
    name = preset.importance if importance is None else importance
    given = (recovery,) if isinstance(recovery, str) else tuple(recovery or ())
    first = () if given[:1] == ("none",) else preset.recovery
    given = given[1:] if given[:1] == ("none",) else given
    added = (REPAIR,) if repair and REPAIR not in given else ()
    # What a preset does first is not done again because it is named, too.
    steps = (*(step for step in first if step not in given[:1]), *added, *given)
    fits, after = _parted(steps)
    return Axes(
        method=method or name,
        importance_name=name,
        importance=importance_named(name),
        pattern=pattern,
        budget_name=budget,
        budget=budget_named(budget),
        fits=fits,
        after=after,
        recoveries=steps,
    )


def budget_named(name: object) -> Budget:
    """The budget called ``name``, or InputError."""
    if isinstance(name, str) and name.startswith("latency:"):
        return LatencyBudget.parse(name).budget()
    if not isinstance(name, str) or name not in BUDGETS:
        raise InputError(unknown("budget", name, BUDGETS, "latency:3ms or latency:0.5"))
    return BUDGETS[name]


def _parted(steps: Sequence[str]) -> tuple[tuple[str, ...], tuple[str | Schedule, ...]]:
    fits: list[str] = []
    after: list[str | Schedule] = []
    for step in steps:
        if step in FITS:
            told = f"recovery {step!r} is of one layer at a time: name it before {steps[0]!r}"
            require(not after, InputError, told)
            told = f"recovery {step!r} is named twice: once is enough"
            require(step not in fits, InputError, told)
            # It decides while it prunes, from the dense weights on.
            told = f"recovery 'obs' starts from the dense weights: name it before {steps[0]!r}"
            require(step != "obs" or not fits, InputError, told)
            fits.append(step)
        elif step == BATCH_NORM:
            after.append(step)
        else:
            after.append(_schedule(step))
    return tuple(fits), tuple(after)


def _schedule(step: object) -> Schedule:
    if isinstance(step, str) and step.startswith(_DISTILL):
        return Schedule.parse(step)
    trained = "distill:90s, distill:10m or distill:200steps"
    raise InputError(unknown("recovery", step, ["none", *FITS, BATCH_NORM], trained))


def check_together(axes: Axes, sparsity: object, data: object) -> None:
    """InputError for choices that do not go together."""
    mapped = isinstance(sparsity, Mapping)
    alone = axes.budget_name == "uniform"
    require(not mapped or alone, InputError, "a map of sparsities is a budget: leave budget and scope out")
    told = f"pattern {axes.pattern.name} is alike in all layers: leave scope and budget out"
    require(axes.pattern.kept_of is None or alone, InputError, told)
    timed = axes.budget_name.startswith("latency:")
    told = f"budget {axes.budget_name!r} says how much goes: leave sparsity out"
    require(not timed or sparsity is None, InputError, told)
    for what, needed in axes.needs.items():
        require(not needed or data is not None, InputError, f"{what} needs data: give data=batches")
