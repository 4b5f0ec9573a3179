"""A total estimated from some of its parts, with a confidence interval: labelled, and never a whole.

For workloads cut into more pieces than one wants to run. Pieces are drawn without replacement by a fixed
seed; what is given is mean * N, with the interval of Student's t on the sample's variance and the correction
for a finite population, 1 - n / N (Cochran, Sampling Techniques, 1977, sections 2.5 and 2.7).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from aerogel.core.errors import InputError, require

Piece = TypeVar("Piece")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A total over ``population`` pieces, of which ``sampled`` were run; the true total lies between ``low``
    and ``high`` in a share ``confidence`` of such samples, as far as pieces are distributed like normal ones.

    ``exact``: every piece was run, and nothing is estimated.
    """

    total: float
    low: float
    high: float
    sampled: int
    population: int
    confidence: float

    @property
    def exact(self) -> bool:
        return self.sampled == self.population

    def __str__(self) -> str:
        if self.exact:
            return f"{self.total:,.0f} (all {self.population} pieces)"
        return (
            f"about {self.total:,.0f} ({self.low:,.0f} to {self.high:,.0f} with {self.confidence:.0%} "
            f"confidence; a sample of {self.sampled} of {self.population} pieces)"
        )


@dataclass(frozen=True, slots=True)
class Sampled(Generic[Piece]):
    """``pieces``: those that were run, as they were drawn; ``values``: of each."""

    estimate: Estimate
    pieces: tuple[Piece, ...]
    values: tuple[float, ...]


def sample(
    pieces: Sequence[Piece],
    measure: Callable[[Piece], float],
    *,
    count: int,
    confidence: float = 0.95,
    seed: int = 0,
) -> Sampled[Piece]:
    """``measure`` (cycles, say) of ``count`` of the pieces, and what that tells of all of them together."""
    require(2 <= count or count >= len(pieces) > 0, InputError, f"a sample of {count}: draw 2 pieces or more")
    require(0 < confidence < 1, InputError, f"confidence={confidence}: give a share between 0 and 1")
    drawn = min(count, len(pieces))
    chosen = sorted(np.random.default_rng(seed).permutation(len(pieces))[:drawn].tolist())
    values = tuple(float(measure(pieces[at])) for at in chosen)
    return Sampled(estimate(values, len(pieces), confidence), tuple(pieces[at] for at in chosen), values)


def estimate(values: Sequence[float], population: int, confidence: float = 0.95) -> Estimate:
    """The total of ``population`` pieces from the values of some of them."""
    count = len(values)
    mean = math.fsum(values) / count
    total = mean * population
    if count == population:
        return Estimate(total, total, total, count, population, confidence)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    error = population * math.sqrt(variance / count * (1 - count / population))
    half = student(confidence, count - 1) * error
    return Estimate(total, total - half, total + half, count, population, confidence)


def student(confidence: float, freedom: int) -> float:
    """The t with this much of Student's distribution between -t and t: by halving, on the integral that
    ``_within`` does exactly."""
    low, high = 0.0, 1.0
    while _within(high, freedom) < confidence:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return (low + high) / 2


def _within(t: float, freedom: int) -> float:
    """The share of Student's distribution between -t and t, for whole degrees of freedom.

    Finite sums: Abramowitz and Stegun 26.7.3 (odd) and 26.7.4 (even), with tan(angle) = t / sqrt(freedom).
    """
    angle = math.atan2(t, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    if freedom % 2:
        total, term = 0.0, cosine
        for k in range(3, freedom + 1, 2):
            total += term
            term *= cosine * cosine * (k - 1) / k
        return 2 / math.pi * (angle + sine * total)
    total, term = 0.0, 1.0
    for k in range(2, freedom + 1, 2):
        total += term
        term *= cosine * cosine * (k - 1) / k
    return sine * total
