"""Recovery of one layer: what its kept weights can do about those that went. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aerogel.prune.admm import admm
from aerogel.prune.importance import IMPORTANCES, Importance
from aerogel.prune.obs import sparsegpt, swept
from aerogel.prune.problem import Problem, Solution, chosen, spread
from aerogel.prune.repair import repaired

Fit = Callable[[Problem, Importance, Solution | None], Solution]
"""``before``: what the fit before made of the problem, whose choice then stands; None for the first, which
may choose as it likes, by ``importance``."""


def solved(problem: Problem, importance: Importance, fits: Sequence[str]) -> Solution:
    """Choose, and fit by ``fits``, one after the other."""
    found: Solution | None = None
    for name in fits:
        found = FITS[name](problem, importance, found)
    return found or picked(problem, importance)


def picked(problem: Problem, importance: Importance) -> Solution:
    """What goes by ``importance`` alone; kept weights stay as they are."""
    gone = chosen(problem, importance.saliency(problem))
    return Solution(problem.weight.masked_fill(spread(problem, gone), 0.0), gone)


def _surgeon(problem: Problem, importance: Importance, before: Solution | None) -> Solution:
    # Choosing as it sweeps, it sees what each weight has become by then.
    if before is None and importance is IMPORTANCES["obs"]:
        return sparsegpt(problem)
    gone = before.gone if before is not None else chosen(problem, importance.saliency(problem))
    return swept(problem, gone)


def _least_squares(problem: Problem, importance: Importance, before: Solution | None) -> Solution:
    start = before or picked(problem, importance)
    zero = spread(problem, start.gone)
    weight = repaired(start.weight, problem.weight, zero, problem.moments, problem.damping)
    return Solution(weight, start.gone)


def _admm(problem: Problem, importance: Importance, before: Solution | None) -> Solution:
    return admm(problem, importance.saliency, None if before is None else before.gone)


FITS: dict[str, Fit] = {"obs": _surgeon, "admm": _admm, "least_squares": _least_squares}
