"""How much one set of values lies above another, taken at another time: no pairs, no model of the noise.

The estimate of Hodges and Lehmann: the median of all n m ratios of a new value to an old one. Its interval
(Moses) runs from the k-th smallest of these ratios to the k-th largest, where k is what the rank test of Mann
and Whitney leaves: if both sets are drawn from one distribution but for a factor, the number of pairs in
which the old value is the larger is distributed as U: the factor lies outside with probability 2 P(U < k).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from aerogel.core.errors import MeasureError, require
from aerogel.measure.intervals import median


def least_runs(confidence: float) -> int:
    """How many values of each set an interval with this confidence needs: 2 / C(2n, n) must be so small."""
    count = 1
    while 2 / math.comb(2 * count, count) > 1 - confidence:
        count += 1
    return count


def unpaired_ratio(
    new: Sequence[float], old: Sequence[float], confidence: float
) -> tuple[float, float, float]:
    """(value, low, high) of new / old; MeasureError for too few values, or for one that is not above 0."""
    require(
        all(value > 0 and math.isfinite(value) for value in (*new, *old)),
        MeasureError,
        "a value of zero was measured: the work is too short for the meter, so do more of it in one run",
    )
    ratios = sorted(a / b for a in new for b in old)
    left_out = _left_out(len(new), len(old), confidence)
    return median(ratios), ratios[left_out], ratios[len(ratios) - 1 - left_out]


def _left_out(count: int, other: int, confidence: float) -> int:
    """The largest k - 1 with 2 P(U < k) <= 1 - confidence."""
    ways = rank_sums(count, other)
    whole, below, k = sum(ways), 0, 0
    while 2 * (below + ways[k]) <= (1 - confidence) * whole:
        below += ways[k]
        k += 1
    require(
        k > 0,
        MeasureError,
        f"{count} values against {other} cannot give {100 * confidence:g} % confidence: "
        f"measure {least_runs(confidence)} or more of each",
    )
    return k - 1


def rank_sums(count: int, other: int) -> list[int]:
    """In how many of the orders of ``count`` and ``other`` values U is 0, 1, ..., count * other.

    These are the coefficients of the Gaussian binomial: the product of (1 - q^(other + i)) / (1 - q^i).
    """
    top = count * other
    ways = [1] + [0] * top
    for i in range(1, count + 1):
        for u in range(top, other + i - 1, -1):
            ways[u] -= ways[u - other - i]
        for u in range(i, top + 1):
            ways[u] += ways[u - i]
    return ways
