"""Importance by Wanda (Sun et al. 2023): |weight| times the norm of its input. Imports torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.prune.problem import Problem


def wanda(problem: Problem) -> NDArray[np.floating[Any]]:
    """Saliency of each unit: the sum of its weights' (w |x|)^2, |x| the root mean square of the input."""
    return problem.ranked((problem.weight * problem.moments.norms).square_())
