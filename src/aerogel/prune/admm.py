"""Choosing and fitting in turns: alternating directions of multipliers (Boza 2024). Imports torch.

The weights that do best what the dense ones do, W, and weights with enough zeros, Z, are drawn together:
Z = (W + U) where it is kept, U += W - Z, W = (W0 G + Z - U)(G + I)^-1, with G the second moments of inputs
that are scaled to norm 1, and damped. The first turns zero less, on a cubic ramp, and may change their mind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.prune.problem import Problem, Solution, chosen, spread

TURNS = 20
CHOOSING = 15
DAMPING = 0.1


def admm(
    problem: Problem,
    saliency: Callable[[Problem], NDArray[np.floating[Any]]],
    gone: NDArray[np.bool_] | None = None,
) -> Solution:
    """``saliency``, of W + U, chooses in the first ``CHOOSING`` of ``TURNS``: in turn t the share
    1 - (1 - t / CHOOSING)^3 of what goes in the end; unless ``gone`` says what goes.

    One inverse: O(inputs^3), and two matrices of inputs x inputs of memory."""
    hessian = problem.moments.hessian
    norms = hessian.diagonal().clamp_min(0).sqrt()
    # An input that is never there has no norm, and no say.
    norms = torch.where(norms > 0, norms, 1.0)
    moments = hessian / norms / norms[:, None]
    ridge = DAMPING * float(moments.diagonal().mean())
    moments.diagonal().add_(ridge)
    dense = problem.weight * norms
    wanted = dense @ moments
    moments.diagonal().add_(1.0)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
    found, multiplier = dense.clone(), torch.zeros_like(dense)
    flags = None if gone is None else (gone, spread(problem, gone))
    kept = dense
    for turn in range(1, TURNS + 1):
        both = found + multiplier
        if flags is None or (gone is None and turn <= CHOOSING):
            share = problem.sparsity * (1 - (1 - min(1.0, turn / CHOOSING)) ** 3)
            picked = chosen(problem, saliency(replace(problem, weight=both / norms)), share)
            flags = picked, spread(problem, picked)
        kept = both.masked_fill(flags[1], 0.0)
        multiplier = both - kept
        found = (wanted + kept - multiplier) @ inverse
    assert flags is not None
    return Solution((kept / norms).masked_fill_(flags[1], 0.0), flags[0])
