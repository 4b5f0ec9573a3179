"""Importance by magnitude: small weights matter least."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.prune.panel import density
from aerogel.prune.pattern import Pattern


def magnitude(weight: NDArray[np.floating[Any]], pattern: Pattern) -> NDArray[np.floating[Any]]:
    """Saliency of each unit of ``weight`` [outputs, inputs], as [units of outputs, units of inputs].

    A single weight: its absolute value. A block: the sum of the squares of its weights, in float64 (so the
    smaller last blocks compete with fewer terms). Both are 0 for zeros of either sign, and
    for nothing else while float32 weights are squared in float64. By panels: see ``panel.density``.
    """
    if pattern.rows == pattern.columns == 1 and not pattern.panel:
        return np.abs(weight)
    # Only float64 weights beyond 1e154 overflow here; they then tie as the largest, which is all that counts.
    with np.errstate(over="ignore", under="ignore"):
        squares = np.square(weight, dtype=np.float64)
        if pattern.panel:
            return density(squares)
        found = pattern.per_unit(squares, np.add)
        return found.astype(np.float64, copy=False)
