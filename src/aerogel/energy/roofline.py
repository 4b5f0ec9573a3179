"""The energy roofline: what time, operations and bytes take on one machine, each by itself.

    E = P_static t + P_awake (thread seconds) + sum over types e_op ops + sum over levels e_byte bytes

Source of the form: Choi, Bedard, Fowler and Vuduc, "A roofline model of energy", IPDPS 2013, with one term
more: a thread that is awake draws power whatever it computes. The coefficients are not constants of nature:
they are fitted (``roofline_fit``) to loops that were metered on this machine, and hold for its clock, its
cooling and these kernels. Each byte is charged at the level that it came from, the way through the nearer
ones included.

A prediction has two errors, and its bounds hold both: how far the loops leave the coefficients open (two
standard errors, about 95 %), and by how much the worst of the loops that were not fitted to was missed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aerogel.core.errors import MeasureError, require
from aerogel.energy.activity import AWAKE, STATIC, Activity
from aerogel.energy.reading import joules_text

NEEDS_METER = "energy per layer needs a meter"


@dataclass(frozen=True, slots=True)
class Coefficient:
    """Joules for one of ``term``: a second (of static power), a thread second, an operation, a byte.
    ``value`` is 0 where the loops did not show that it takes any: then only ``high`` says something."""

    term: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.term in (STATIC, AWAKE):
            of = {STATIC: "whatever is done", AWAKE: "a thread that is awake"}[self.term]
            return f"{_bounded(self, 1.0, 'W')} {of}"
        return f"{_bounded(self, 1e12, 'pJ')} per {self.term}"


def _bounded(found: Coefficient, scale: float, unit: str) -> str:
    value, low, high = (scale * x for x in (found.value, found.low, found.high))
    if not found.value:
        return f"not told from 0, at most {high:.3g} {unit}"
    return f"{value:.3g} {unit} [{low:.3g}, {high:.3g}]"


@dataclass(frozen=True, slots=True)
class Predicted:
    """Joules between ``low`` and ``high``; ``idle``: the part that passes with time alone, whatever is
    done."""

    joules: float
    low: float
    high: float
    idle: float

    def __str__(self) -> str:
        return f"{joules_text(self.joules)} [{joules_text(self.low)}, {joules_text(self.high)}]"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How far metered loops that were not fitted to were missed, as shares of what they took."""

    loops: int
    median: float
    worst: float


@dataclass(frozen=True, slots=True)
class Roofline:
    """``covariance``: of the coefficients, in their order. ``meter``: what metered the loops and what it
    covers; ``machine``: what it holds for; ``fitted``: the day, ISO 8601; ``runs``: metered loops that were
    fitted to."""

    coefficients: tuple[Coefficient, ...]
    covariance: tuple[tuple[float, ...], ...]
    held_out: HeldOut
    runs: int
    meter: str
    machine: str
    fitted: str

    def predict(self, activity: Activity) -> Predicted:
        """MeasureError where the activity has a term that was not fitted."""
        amounts = activity.amounts()
        known = [c.term for c in self.coefficients]
        missing = sorted(set(amounts) - set(known))
        told = f"this energy roofline has no joules for {' or '.join(missing)}, only for {', '.join(known)}"
        require(not missing, MeasureError, told)
        row = [amounts.get(term, 0.0) for term in known]
        joules = sum(c.value * amount for c, amount in zip(self.coefficients, row, strict=True))
        off = math.hypot(2 * self._deviation(row), self.held_out.worst * joules)
        idle = sum(c.value * amounts.get(STATIC, 0.0) for c in self.coefficients if c.term == STATIC)
        return Predicted(joules, max(0.0, joules - off), joules + off, idle)

    def _deviation(self, row: Sequence[float]) -> float:
        """The standard error of a prediction, from the covariance of the coefficients."""
        pairs = zip(row, self.covariance, strict=True)
        square = sum(a * b * c for a, line in pairs for b, c in zip(row, line, strict=True))
        return math.sqrt(max(0.0, square))

    def __str__(self) -> str:
        off = f"{_percent(self.held_out.median)} in the median, {_percent(self.held_out.worst)} at worst"
        return "\n".join(
            [
                f"energy roofline of {self.machine}, fitted {self.fitted} to {self.runs} metered loops:",
                *(f"  {coefficient}" for coefficient in self.coefficients),
                f"  off by {off} for {self.held_out.loops} loops that it was not fitted to",
                f"  meter: {self.meter}",
            ]
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "coefficients": [
                {"term": c.term, "joules": c.value, "low": c.low, "high": c.high} for c in self.coefficients
            ],
            "covariance": [list(line) for line in self.covariance],
            "held_out": {
                "loops": self.held_out.loops,
                "median": self.held_out.median,
                "worst": self.held_out.worst,
            },
            "runs": self.runs,
            "meter": self.meter,
            "machine": self.machine,
            "fitted": self.fitted,
        }

    @staticmethod
    def of_json(read: Mapping[str, Any]) -> Roofline:
        """What ``to_json`` wrote; MeasureError for anything else."""
        try:
            found = _read(read)
        except (KeyError, TypeError, ValueError) as error:
            raise MeasureError(
                f"this is no energy roofline that was kept ({error!r}): fit it anew"
            ) from error
        size = len(found.coefficients)
        numbers = [x for c in found.coefficients for x in (c.value, c.low, c.high)]
        numbers += [x for line in found.covariance for x in line]
        whole = (
            size > 0 and len(found.covariance) == size and all(len(row) == size for row in found.covariance)
        )
        whole = whole and all(map(math.isfinite, numbers)) and all(c.value >= 0 for c in found.coefficients)
        require(whole, MeasureError, "this is no energy roofline that was kept (its numbers): fit it anew")
        return found


def _read(read: Mapping[str, Any]) -> Roofline:
    made = [
        Coefficient(str(c["term"]), float(c["joules"]), float(c["low"]), float(c["high"]))
        for c in read["coefficients"]
    ]
    missed = read["held_out"]
    return Roofline(
        tuple(made),
        tuple(tuple(map(float, line)) for line in read["covariance"]),
        HeldOut(int(missed["loops"]), float(missed["median"]), float(missed["worst"])),
        int(read["runs"]),
        str(read["meter"]),
        str(read["machine"]),
        str(read["fitted"]),
    )


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The parts of a metered whole, which add up to it exactly. ``factor``: what was measured over what the
    model gave, by which every part was scaled."""

    total: float
    low: float
    high: float
    factor: float
    parts: tuple[Predicted, ...]

    def __str__(self) -> str:
        return (
            f"{joules_text(self.total)} [{joules_text(self.low)}, {joules_text(self.high)}] measured, "
            f"{_percent(1 / self.factor)} of it by the energy roofline, whose parts are scaled to the whole"
        )


MOST_FACTOR = 2.0
"""A model that is off by more says nothing of the parts."""


def reconcile(parts: Sequence[Predicted], total: float, low: float, high: float) -> Reconciled:
    """Scale what the model gives of the parts so that they add up to the metered ``total``, bounded by
    ``low`` and ``high``. A part's bounds are its own, relative to itself, and those of the meter; none is
    above the whole.

    MeasureError where the model is off by more than MOST_FACTOR.
    """
    given = sum(part.joules for part in parts)
    factor = total / given if given > 0 else math.inf
    told = (
        f"no energy per layer: the meter counted {joules_text(total)}, the energy roofline gives "
        f"{joules_text(given)}, which is too far from it: let nothing else run, or fit it anew"
    )
    require(1 / MOST_FACTOR <= factor <= MOST_FACTOR, MeasureError, told)
    unsure = max(high - total, total - low) / total
    scaled = tuple(_scaled(part, factor, unsure, high) for part in parts)
    return Reconciled(total, low, high, factor, scaled)


def _scaled(part: Predicted, factor: float, unsure: float, most: float) -> Predicted:
    joules = factor * part.joules
    above, below = factor * (part.high - part.joules), factor * (part.joules - part.low)
    low = max(0.0, joules - math.hypot(below, unsure * joules))
    return Predicted(joules, low, min(most, joules + math.hypot(above, unsure * joules)), factor * part.idle)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
