"""Importance by magnitude: small weights matter least."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.prune.pattern import Pattern


def magnitude(weight: NDArray[np.floating[Any]], pattern: Pattern) -> NDArray[np.floating[Any]]:
    """Saliency of each unit of ``weight`` [outputs, inputs], as [units of outputs, inputs].

    A single weight: its absolute value. A block: the sum of the squares of its weights, in float64 (so the
    partial last block of an input competes with fewer terms). Both are 0 for zeros of either sign, and
    for nothing else while float32 weights are squared in float64.
    """
    if pattern.rows == 1:
        return np.abs(weight)
    if weight.shape[0] == 0:
        return np.zeros(pattern.unit_shape((0, weight.shape[1])), np.float64)
    # Only float64 weights beyond 1e154 overflow here; they then tie as the largest, which is all that counts.
    with np.errstate(over="ignore", under="ignore"):
        squares = np.square(weight, dtype=np.float64)
        return np.add.reduceat(squares, np.arange(0, weight.shape[0], pattern.rows), axis=0)
