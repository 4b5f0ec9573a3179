"""Wanda (Sun et al. 2023): |weight| times the norm of its input; exactly k of each row go. Imports torch."""

from __future__ import annotations

import numpy as np

from aerogel.prune.panel import ROWS
from aerogel.prune.problem import Problem, Solution, spread
from aerogel.prune.select import per_group, pruned_count, smallest


def wanda(problem: Problem) -> Solution:
    """Of each row of units ``round(sparsity * units)`` go, or all that are zero already, if these are more.
    By panels that many of each panel go; by N:M all but N of each group.

    A block's score is the sum of the squares of its weights'. Kept weights stay as they are.
    """
    scores = problem.ranked((problem.weight * problem.moments.norms).square_())
    frozen = problem.frozen_units()
    if problem.pattern.kept_of is not None:
        gone = per_group(scores, frozen, *problem.pattern.kept_of)
    else:
        scores[frozen] = -1
        gone = np.zeros(frozen.shape, np.bool_)
        step = ROWS if problem.pattern.panel else 1
        for top in range(0, len(scores), step):
            rows = np.s_[top : top + step]
            count = max(pruned_count(problem.sparsity, scores[rows].size), int(frozen[rows].sum()))
            gone[rows] = smallest(scores[rows], count)
    return Solution(problem.weight.masked_fill(spread(problem, gone), 0.0), gone)
