"""Intervals for a median from few values, by order statistics: no model of the noise, no random numbers.

With n independent values, the number that fall below the true median is binomial(n, 1/2). So the interval
from the k-th smallest to the k-th largest holds the median with probability 1 - 2 P(B < k).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from aerogel.core.errors import MeasureError, require


def median(values: Sequence[float]) -> float:
    """The median; of no values, MeasureError."""
    require(values, MeasureError, "no values were measured: there is no median")
    return statistics.median(values)


def least_values(confidence: float) -> int:
    """How many values an interval with this confidence needs: from smallest to largest, 1 - 2 / 2^n."""
    return math.ceil(1 - math.log2(1 - confidence))


def median_interval(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """The narrowest order-statistics interval that holds the median with at least this confidence."""
    count = len(values)
    require(
        count >= least_values(confidence),
        MeasureError,
        f"{count} values cannot give {confidence:.1%} confidence: measure {least_values(confidence)} or more",
    )
    ordered = sorted(values)
    left_out = 0
    # tail: the probability that at most `left_out` values fall on one side of the median.
    tail = math.comb(count, 0) / 2**count
    while True:
        wider = tail + math.comb(count, left_out + 1) / 2**count
        if 1 - 2 * wider < confidence or 2 * (left_out + 1) >= count:
            break
        left_out, tail = left_out + 1, wider
    return ordered[left_out], ordered[count - 1 - left_out]


def ratio_interval(
    numerator: Sequence[float], denominator: Sequence[float], confidence: float, resolution: float = 0.0
) -> tuple[float, float, float]:
    """(value, low, high) of the median of paired ratios, the interval widened by ``resolution``.

    The two sequences are paired by position: values taken close together in time, so that what slows
    the machine for a while slows both.
    """
    require(
        len(numerator) == len(denominator),
        MeasureError,
        f"{len(numerator)} values cannot be paired with {len(denominator)}: measure both as often",
    )
    require(
        all(value > 0 for value in (*numerator, *denominator)),
        MeasureError,
        "a time of zero was measured: the work is too short for the clock, so do more of it in one run",
    )
    ratios = [a / b for a, b in zip(numerator, denominator, strict=True)]
    low, high = median_interval(ratios, confidence)
    return median(ratios), low / (1 + resolution), high * (1 + resolution)
