"""Wanda (Sun et al. 2023): |weight| times the norm of its input; exactly k of each row go. Imports torch."""

from __future__ import annotations

import numpy as np

from aerogel.prune.problem import Problem, Solution, spread
from aerogel.prune.select import pruned_count, smallest


def wanda(problem: Problem) -> Solution:
    """Of each row of units ``round(sparsity * inputs)`` go, or all that are zero already, if these are more.

    A block's score is the sum of the squares of its weights'. Kept weights stay as they are.
    """
    scores = problem.unit_sums((problem.weight * problem.moments.norms).square_()).cpu().numpy().copy()
    frozen = problem.frozen_units()
    scores[frozen] = -1
    wanted = pruned_count(problem.sparsity, problem.shape[1])
    rows = [smallest(s, max(wanted, int(f.sum()))) for s, f in zip(scores, frozen, strict=True)]
    gone = np.stack(rows) if rows else np.zeros(frozen.shape, np.bool_)
    return Solution(problem.weight.masked_fill(spread(problem, gone), 0.0), gone)
