"""The methods: each a function from a layer's problem to its solution. Imports torch."""

from __future__ import annotations

from aerogel.prune.magnitude import magnitude
from aerogel.prune.obs import sparsegpt
from aerogel.prune.problem import Method, Problem, Solution, spread
from aerogel.prune.select import per_group, smallest
from aerogel.prune.wanda import wanda


def by_magnitude(problem: Problem) -> Solution:
    """``magnitude`` where there is data: for a bias that makes up for the mean, and for repair."""
    saliency = magnitude(problem.weight.cpu().numpy(), problem.pattern).copy()
    frozen = problem.frozen_units()
    if problem.pattern.kept_of is not None:
        gone = per_group(saliency, frozen, *problem.pattern.kept_of)
    else:
        saliency[frozen] = -1
        gone = smallest(saliency, problem.budget(int(frozen.sum())))
    return Solution(problem.weight.masked_fill(spread(problem, gone), 0.0), gone)


METHODS: dict[str, Method] = {"magnitude": by_magnitude, "wanda": wanda, "sparsegpt": sparsegpt}
