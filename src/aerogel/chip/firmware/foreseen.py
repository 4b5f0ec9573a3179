"""How much work a product of two matrices is, and about how many values its result has, before it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.firmware.cuts import Cuts
from aerogel.chip.firmware.entries import Places
from aerogel.einsum.nodes import Access, Assignment, Binary, Number, accesses, walk

_FOLLOWED = 1 << 17
"""Products whose places are compared, about: of evenly spaced coordinates of the index that is cut."""
_MARGIN = 1.1

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """``products``: at each coordinate of ``index``; ``values``: of the result there, estimated.

    ``across``: stored values of the other operand at each coordinate of ``other``, the result's other index.
    """

    index: str
    other: str
    products: Weights
    values: Weights
    across: Weights

    def entries(self, cuts: Cuts) -> int:
        """Values of the result in the fullest piece, estimated with a margin."""
        most = _largest(self.values, cuts.bounds[self.index])
        whole = float(self.across.sum())
        share = _largest(self.across, cuts.bounds[self.other]) / whole if whole else 0.0
        return int(_MARGIN * most * share) + 1


def _largest(weights: Weights, bounds: tuple[int, ...]) -> float:
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    return float(np.diff(sums[list(bounds)]).max(initial=0.0))


def foreseen(
    assignment: Assignment, places: Mapping[str, Places], extents: Mapping[str, int], index: str
) -> Foreseen | None:
    """Of ``C(i,j) = A(i,k) * B(k,j)``, indices in any order and with functions around; None of all else.

    ``places``: of the stored entries of operands, by name; ``index``: i, the one that is cut first.
    """
    pair = list(accesses(assignment.expr))
    operations = [node.op for node in walk(assignment.expr) if isinstance(node, Binary)]
    numbers = any(isinstance(node, Number) for node in walk(assignment.expr))
    if operations != ["mul"] or numbers or len(pair) != 2 or any(a.tensor not in places for a in pair):
        return None
    left, right = pair if index in pair[0].indices else (pair[1], pair[0])
    shared = set(left.indices) & set(right.indices)
    others = set(right.indices) - shared
    if len(shared) != 1 or len(others) != 1 or set(left.indices) != {index, *shared}:
        return None
    if {index, *others} != set(assignment.out.indices):
        return None
    (summed,), (other,) = shared, others
    ours = _columns(left, places, (index, summed))
    theirs = _columns(right, places, (summed, other))
    lengths = np.bincount(theirs[0], minlength=extents[summed])
    weights = lengths[ours[1]].astype(np.float64)
    products = np.bincount(ours[0], weights, minlength=extents[index]).astype(np.float64)
    left_over = _left_over(ours, theirs, lengths, products)
    values = np.minimum(products * left_over, extents[other])
    across = np.bincount(theirs[1], minlength=extents[other]).astype(np.float64)
    return Foreseen(index, other, products, values, across)


def _columns(access: Access, places: Mapping[str, Places], wanted: tuple[str, str]) -> Places:
    return tuple(places[access.tensor][access.indices.index(index)] for index in wanted)


def _left_over(ours: Places, theirs: Places, lengths: NDArray[np.int64], products: Weights) -> float:
    """Values of the result for each product, of some coordinates."""
    whole = float(products.sum())
    if not whole:
        return 1.0
    step = max(1, int(whole / _FOLLOWED))
    kept = ours[0] % step == step // 2
    if not kept.any():
        return 1.0
    first, summed = ours[0][kept], ours[1][kept]
    sort = np.argsort(theirs[0], kind="stable")
    column = theirs[1][sort]
    begins = np.concatenate([[0], np.cumsum(lengths)])[summed]
    counts = lengths[summed]
    total = int(counts.sum())
    if not total:
        return 1.0
    at = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(begins, counts)
    key = np.sort(np.repeat(first, counts) * (int(column.max(initial=0)) + 1) + column[at])
    return (1 + int((key[1:] != key[:-1]).sum())) / total
