"""Exact selection where rows do not compete: each loses as much as any other, and all together exactly k."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.prune.select import smallest

Counts = NDArray[np.int64]


def apart(
    saliency: NDArray[np.floating[Any]], frozen: NDArray[np.bool_], count: int, rows: int
) -> NDArray[np.bool_]:
    """Flags, in the shape of ``saliency`` [rows, columns], exactly ``count`` of them set: of each group of
    ``rows`` consecutive rows its own smallest, equal ones by lowest index.

    Each group loses the same share of its units, but what is ``frozen`` (the smallest of its group) goes
    anyhow. The share is rounded down, and what is then missing taken one by one from the groups with the
    largest remainder, and of equal ones from that whose next unit matters least. ``count`` is at least the
    number of frozen ones.
    """
    starts = np.arange(0, len(saliency), rows)
    groups = [saliency[top : top + rows] for top in starts.tolist()]
    sizes = np.array([group.size for group in groups], np.int64)
    held = np.array([int(np.count_nonzero(frozen[top : top + rows])) for top in starts.tolist()], np.int64)
    counts, remainders, missing = level(count, sizes, held)
    if missing:
        worth = np.array([_next(group, n) for group, n in zip(groups, counts.tolist(), strict=True)])
        counts[np.lexsort((worth, -remainders))[:missing]] += 1
    gone = np.zeros(saliency.shape, np.bool_)
    for top, group, n in zip(starts.tolist(), groups, counts.tolist(), strict=True):
        gone[top : top + rows] = smallest(group, n)
    return gone


def level(count: int, sizes: Counts, held: Counts) -> tuple[Counts, Counts, int]:
    """(``counts``, their ``remainders``, how many of ``count`` are then ``missing``): the same share of each
    of ``sizes``, rounded down, but at least ``held``; all in whole numbers, so nothing depends on rounding.
    """
    counts, free = held.copy(), np.ones(len(sizes), np.bool_)
    remainders = np.zeros(len(sizes), np.int64)
    while free.any():
        rest, units = count - int(held[~free].sum()), int(sizes[free].sum())
        over = free & (held * units > rest * sizes)
        if not over.any():
            # A group of no units has no share, and no remainder either.
            counts[free], remainders[free] = np.divmod(rest * sizes[free], max(1, units))
            break
        free &= ~over
    return counts, remainders, count - int(counts.sum())


def _next(group: NDArray[np.floating[Any]], count: int) -> float:
    """What the smallest unit is worth that stays when ``count`` go."""
    return float(np.partition(group.reshape(-1), count)[count]) if count < group.size else np.inf
