"""Zeros for the panel kernel: four consecutive outputs, a panel, load an input together.

A column of a panel with k of its 4 weights kept takes LOAD + k times what one multiply-add takes, and nothing
where k is 0. So the second weight of a column is cheaper than the first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 4
LOAD = 3.0
"""In multiply-adds: what loading an input and finding its place cost. From times of the kernel at 50 and 90 %
zeros, scattered and in whole columns, which differ in nothing else: 1.5 to 3.5 by machine and share."""


def density(saliency: NDArray[np.floating[Any]], load: float = LOAD) -> NDArray[np.float64]:
    """What is gained for each multiply-add's time, of ``saliency`` [outputs, inputs], not negative: to keep
    weights from the largest density down keeps the most saliency for the kernel's time.

    The choice of up to 4 weights of a column is a knapsack whose gain, over time, is concave from the k on
    that has the most saliency for its time, load included: those k are worth taking together or not at all,
    and have their common density; the others, no better than these, have their own saliency.
    0 exactly for what is 0.
    """
    outputs, inputs = saliency.shape
    # Rows that are not there are worth less than nothing, so that no choice has them.
    panels = -(-outputs // ROWS)
    padded = np.full((panels * ROWS, inputs), -1.0)
    padded[:outputs] = saliency
    columns = padded.reshape(panels, ROWS, inputs)
    order = np.argsort(-columns, axis=1, kind="stable")
    best_first = np.take_along_axis(columns, order, axis=1)
    taken = load + np.arange(1, ROWS + 1).reshape(1, ROWS, 1)
    together = np.cumsum(best_first, axis=1) / taken
    most = together.argmax(axis=1, keepdims=True)
    shared = np.arange(ROWS).reshape(1, ROWS, 1) <= most
    ranked = np.where(shared, np.take_along_axis(together, most, axis=1), best_first)
    found = np.empty_like(columns)
    np.put_along_axis(found, order, ranked, axis=1)
    return found.reshape(panels * ROWS, inputs)[:outputs]


def panel_cost(kept: NDArray[np.bool_], load: float = LOAD) -> float:
    """The kernel's time for a weight [outputs, inputs] of which ``kept`` are kept, in multiply-adds per
    column of activations. A model of the kernel, not a measurement."""
    live = np.logical_or.reduceat(kept, np.arange(0, kept.shape[0], ROWS), axis=0) if kept.size else kept
    return load * int(np.count_nonzero(live)) + int(np.count_nonzero(kept))
