"""How the outermost loop is shared out: cuts between threads that give each about as many values to visit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.einsum.nodes import accesses
from aerogel.formats.storage import Storage
from aerogel.lower.operand import Stored
from aerogel.lower.scheduled import Scheduled

ALIGN = 64
"""Threads that share a dense output along its last index write whole lines."""


def cuts(
    scheduled: Scheduled, storages: Mapping[str, Storage], extent: int, threads: int
) -> NDArray[np.int64]:
    """``threads + 1`` coordinates of the outermost index, from 0 to its extent, ascending."""
    if threads == 1 or not scheduled.order:
        return np.array([0, extent], np.int64)
    leader = _leader(scheduled, storages)
    if leader is None:
        step = ALIGN if scheduled.vector == scheduled.order[0] else 1
        even = np.linspace(0, extent, threads + 1).astype(np.int64) // step * step
        even[-1] = extent
        return even
    key = ("cuts", threads)
    found = leader.memo.get(key)
    if found is None:
        found = leader.memo[key] = _balanced(leader, extent, threads)
    return found


def _leader(scheduled: Scheduled, storages: Mapping[str, Storage]) -> Storage | None:
    """The operand with the most values of those whose first level is the outermost index."""
    operands = {operand.name: operand for operand in scheduled.operands}
    best: Storage | None = None
    for access in accesses(scheduled.assignment.expr):
        operand = operands[access.tensor]
        stored = Stored.of(access, operand)
        if stored.dense or stored.indices[0] != scheduled.order[0]:
            continue
        storage = storages[access.tensor]
        if best is None or len(storage.values) > len(best.values):
            best = storage
    return best


def _balanced(storage: Storage, extent: int, threads: int) -> NDArray[np.int64]:
    """Cuts where a share of the positions below the first level, or of its own, lies before."""
    first = storage.format.levels[0]
    below = storage.format.levels[1] if len(storage.format.levels) > 1 else None
    pos: NDArray[Any] | None = None
    if below is not None and below.name == "compressed":
        pos = storage.levels[1][0]
    shares = np.arange(1, threads) / threads
    if first.located:
        if pos is None:
            inner = (shares * extent).astype(np.int64)
        else:
            # A row costs something even where it is empty.
            weight = pos.astype(np.int64) + np.arange(len(pos))
            inner = np.searchsorted(weight, (shares * weight[-1]).astype(np.int64))
    else:
        crd = storage.levels[0][-1]
        positions = (shares * len(crd)).astype(np.int64)
        if pos is not None:
            positions = np.searchsorted(pos, (shares * int(pos[-1])).astype(np.int64))
        inner = crd[np.minimum(positions, max(0, len(crd) - 1))] if len(crd) else np.zeros(threads - 1)
    whole = np.concatenate(([0], inner, [extent])).astype(np.int64)
    return np.clip(np.maximum.accumulate(whole), 0, extent)
