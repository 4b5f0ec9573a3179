"""From metered loops to an energy roofline: least squares of relative errors, no coefficient below zero.

Every loop counts alike, short or long: what is minimised is the sum of ((predicted - metered) / metered)^2,
and of those far from all others, beside which something else ran, the absolute value counts (Huber, 1964).
Some loops are held out: what the fit says of them, beside what the meter said, is its error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import MeasureError, require
from aerogel.energy.activity import AWAKE, LEVELS, STATIC, Activity, byte
from aerogel.energy.roofline import Coefficient, HeldOut, Roofline

Floats = NDArray[np.float64]

WORST = 0.5
"""A fit that misses a loop by more describes some other machine."""
_SPARE = 3
"""So many loops more than coefficients: else they would fit anything."""
_HUBER, _MEDIAN_OF_NORMAL = 1.345, 0.6745
"""Residuals beyond 1.345 standard deviations are far; half of a normal distribution lies within 0.6745."""
_TURNS, _EXACT = 20, 1e-9
_SINGULAR = 1e-6
"""Two terms whose shares of the loops' energy are as alike as that cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A metered loop: what it did, and the joules the meter counted, between ``low`` and ``high``.
    ``held_out``: it is not fitted to, but predicted, to see how well that goes."""

    name: str
    activity: Activity
    joules: float
    low: float
    high: float
    held_out: bool = False


def fit(samples: Sequence[Sample], meter: str, machine: str, day: date) -> Roofline:
    """The energy roofline of these loops. MeasureError, saying why, where they do not tell its coefficients
    apart, or where it misses one that was held out by more than WORST."""
    fitted = [sample for sample in samples if not sample.held_out]
    _require_joules(samples)
    terms = _terms(fitted)
    told = f"{len(fitted)} metered loops are too few for {len(terms)} coefficients: give {_SPARE} more"
    require(len(fitted) >= len(terms) + _SPARE, MeasureError, told)
    rows = np.array([[s.activity.amounts().get(term, 0.0) / s.joules for term in terms] for s in fitted])
    scale = np.sqrt((rows**2).sum(axis=0))
    columns = rows / scale
    _require_apart(columns, terms)
    found, weights = _robust(columns)
    # The covariance of estimates of this kind: Huber, Robust Statistics, 1981, chapter 7.
    left = weights * (columns @ found - 1.0)
    spread = float(left @ left) / (len(fitted) - len(terms)) / float((weights == 1).mean()) ** 2
    covariance = spread * np.linalg.inv(columns.T @ columns) / np.outer(scale, scale)
    # What is unsure of every reading alike is unsure of every coefficient.
    alike = median(max(s.high - s.joules, s.joules - s.low) / s.joules for s in fitted)
    told = f"the meter leaves {100 * alike:.0f} % of each loop open: one that counts more often is needed"
    require(alike <= WORST, MeasureError, told)
    coefficients = tuple(
        _bounded(term, float(value), float(np.sqrt(variance)), alike)
        for term, value, variance in zip(terms, found / scale, covariance.diagonal(), strict=True)
    )
    kept = tuple(tuple(map(float, line)) for line in covariance)
    unchecked = Roofline(
        coefficients, kept, HeldOut(0, 0.0, 0.0), len(fitted), meter, machine, day.isoformat()
    )
    return _checked(unchecked, [sample for sample in samples if sample.held_out])


def _robust(columns: Floats) -> tuple[Floats, Floats]:
    """The coefficients, and the weights of the loops: less than 1 for those that are far from the fit."""
    weights = np.ones(len(columns))
    found = nonnegative(columns, weights)
    for _ in range(_TURNS):
        off = np.abs(columns @ found - 1.0)
        usual = _HUBER * float(np.median(off)) / _MEDIAN_OF_NORMAL
        if usual < _EXACT:
            break
        weights = np.minimum(1.0, usual / np.maximum(off, _EXACT))
        root = np.sqrt(weights)
        found = nonnegative(columns * root[:, None], root)
    return found, weights


def _bounded(term: str, value: float, deviation: float, alike: float) -> Coefficient:
    off = 2 * deviation + alike * value
    return Coefficient(term, value, max(0.0, value - off), value + off)


def _require_joules(samples: Sequence[Sample]) -> None:
    for sample in samples:
        told = f"the meter counted nothing in loop {sample.name!r}: run it for longer"
        require(sample.joules > 0, MeasureError, told)


def _terms(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Every term that some loop has: power, operations by name, bytes by level."""
    order = (STATIC, AWAKE, *(byte(level) for level in LEVELS))
    found = {term for sample in samples for term in sample.activity.amounts()}
    kinds = sorted(found - set(order))
    return tuple(term for term in (*order[:2], *kinds, *order[2:]) if term in found)


def _require_apart(columns: Floats, terms: Sequence[str]) -> None:
    _, sizes, directions = np.linalg.svd(columns)
    if sizes[-1] > _SINGULAR * sizes[0]:
        return
    alike = [term for term, part in zip(terms, directions[-1], strict=True) if abs(part) > 0.1]
    raise MeasureError(
        f"the metered loops do not tell apart {' and '.join(alike)}: add one that has them unequally"
    )


def _checked(model: Roofline, held_out: Sequence[Sample]) -> Roofline:
    """With how far loops that were not fitted to are missed."""
    require(held_out, MeasureError, "no loop was held out: how far the fit is off would not be known")
    by_loop: dict[str, list[float]] = {}
    for sample in held_out:
        off = model.predict(sample.activity).joules / sample.joules - 1
        by_loop.setdefault(sample.name, []).append(off)
    # Of the rounds of a loop the median: beside one of them something else may have run.
    missed = {name: abs(median(off)) for name, off in by_loop.items()}
    name = max(missed, key=lambda loop: missed[loop])
    told = (
        f"the energy roofline does not describe this machine: it misses loop {name!r} by "
        f"{100 * missed[name]:.0f} %. Let nothing else run, and fit it again"
    )
    require(missed[name] <= WORST, MeasureError, told)
    error = HeldOut(len(missed), median(missed.values()), missed[name])
    return Roofline(
        model.coefficients, model.covariance, error, model.runs, model.meter, model.machine, model.fitted
    )


def nonnegative(a: Floats, y: Floats) -> Floats:
    """The x >= 0 that minimises |a x - y|, by the active set method (Lawson and Hanson, 1974, chapter 23)."""
    size = a.shape[1]
    x, free = np.zeros(size), np.zeros(size, bool)
    tolerance = 1e-12 * max(1.0, float(np.abs(a.T @ y).max(initial=0.0)))
    while True:
        slope = np.where(free, -np.inf, a.T @ (y - a @ x))
        if free.all() or slope.max() <= tolerance:
            return x
        free[int(slope.argmax())] = True
        while True:
            tried = np.zeros(size)
            tried[free] = np.linalg.lstsq(a[:, free], y, rcond=None)[0]
            if (tried[free] > 0).all():
                break
            # As far towards it as no coefficient falls below zero; those at zero are set free no longer.
            falling = free & (tried <= 0)
            step = float((x[falling] / (x[falling] - tried[falling])).min())
            x = x + step * (tried - x)
            free &= x > 1e-15
            x[~free] = 0.0
        x = tried
