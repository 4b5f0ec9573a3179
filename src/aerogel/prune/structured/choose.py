"""Which units go: of each family so many, or the least important of all. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError
from aerogel.core.suggest import unknown
from aerogel.prune.select import pruned_count, smallest
from aerogel.prune.structured.families import Family
from aerogel.prune.structured.score import Scores

Chosen = list[tuple[Family, NDArray[np.bool_]]]
"""Families, each with flags of the units that go."""
Budget = Callable[[Sequence[Family], Sequence[Scores], float], Chosen]
"""From the families, what each unit is worth, and the share of units to go."""


def uniform(families: Sequence[Family], worth: Sequence[Scores], share: float) -> Chosen:
    """``round(share * units)`` of each family, but one stays."""
    counts = (min(pruned_count(share, family.units), family.units - 1) for family in families)
    return [(f, smallest(w, n)) for f, w, n in zip(families, worth, counts, strict=True)]


def everywhere(families: Sequence[Family], worth: Sequence[Scores], share: float) -> Chosen:
    """``round(share * units)`` of all families' units, the least in one list, but the best of each family
    stays. Of equal ones the first goes first."""
    ranked = [w.copy() for w in worth]
    for scores in ranked:
        scores[int(np.argmax(scores))] = np.inf
    units = sum(family.units for family in families)
    count = min(pruned_count(share, units), units - len(families))
    gone = np.split(smallest(np.concatenate(ranked), count), np.cumsum([w.size for w in ranked])[:-1])
    return list(zip(families, gone, strict=True))


BUDGETS: dict[str, Budget] = {"uniform": uniform, "global": everywhere}


def budget_named(name: object) -> Budget:
    """The budget called ``name``, or InputError."""
    if not isinstance(name, str) or name not in BUDGETS:
        raise InputError(unknown("budget of units", name, BUDGETS))
    return BUDGETS[name]
