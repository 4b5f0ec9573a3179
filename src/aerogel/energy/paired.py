"""The saving of a sparse program over a dense one, proven from blocks in turns, or said not to be.

Round i of a comparison gives a reading of each, close together in time and with the other one stopped. The
saving is the median of the rounds' ratios of joules per run, and its interval that of the median by order
statistics: no model of the noise. It is widened by what the readings themselves leave open, and by as much as
two processes differ that run the very same program. Only where a meter measured every block of both is
anything said to be proven; else what is known is time, and the bounds of a power model, which prove nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from aerogel.core.errors import MeasureError, require
from aerogel.energy.reading import Reading
from aerogel.energy.saving import change_text, saving, speedup_text
from aerogel.measure.intervals import median, median_interval
from aerogel.measure.results import Ratio

Verdict = Literal["less", "more", "not proven", "not measured"]


@dataclass(frozen=True, slots=True)
class Share:
    """Joules of sparse over joules of dense, per run: a median of paired ratios, and what bounds it."""

    value: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True, slots=True)
class PairedSaving:
    """``dense`` and ``sparse``: readings of one run each, round by round. ``speedup``: of sparse over dense.
    ``energy``: None where a meter was missing, in any block of either."""

    dense: tuple[Reading, ...]
    sparse: tuple[Reading, ...]
    speedup: Ratio
    energy: Share | None

    @property
    def verdict(self) -> Verdict:
        """Of energy; never of what time or a power model suggest."""
        if self.energy is None:
            return "not measured"
        if self.energy.high < 1:
            return "less"
        return "more" if self.energy.low > 1 else "not proven"

    @property
    def usual(self) -> tuple[Reading, Reading]:
        """Of dense and sparse, the reading with the median time."""
        return usual(self.dense), usual(self.sparse)

    def __str__(self) -> str:
        dense, sparse = self.usual
        if self.energy is None:
            return f"{saving(dense, sparse, self.speedup)} per run"
        change = change_text(self.energy.value, self.energy.low, self.energy.high)
        amounts = f"dense {dense.amount}, sparse {sparse.amount} per run"
        return f"energy {change}: {amounts}, measured by {dense.source}; {speedup_text(self.speedup)}"

    def to_json(self) -> dict[str, Any]:
        """``text`` is the sentence; readings are those of the block with the median time."""
        return {
            "text": str(self),
            "verdict": self.verdict,
            "energy": None if self.energy is None else asdict(self.energy),
            "speedup": self.speedup.to_json(),
            "dense": self.usual[0].to_json(),
            "sparse": self.usual[1].to_json(),
            "rounds": len(self.dense),
        }


def paired_saving(
    dense: Sequence[Reading], sparse: Sequence[Reading], speedup: Ratio, resolution: float
) -> PairedSaving:
    """Of readings per run (see ``Reading.per_run``), paired by their place.

    resolution: the share by which two processes with the same program differ. MeasureError where there is not
    a reading of each in every round, or too few for the confidence that ``speedup`` has.
    """
    require(
        len(dense) == len(sparse) and dense,
        MeasureError,
        f"{len(dense)} readings cannot be paired with {len(sparse)}: take one of each in every round",
    )
    energy = _share(dense, sparse, speedup.confidence, resolution)
    return PairedSaving(tuple(dense), tuple(sparse), speedup, energy)


def _share(
    dense: Sequence[Reading], sparse: Sequence[Reading], confidence: float, resolution: float
) -> Share | None:
    """None unless one meter measured all, and something that can be divided by."""
    readings = (*dense, *sparse)
    sources = {reading.source for reading in readings}
    told = all(reading.method == "measured" and reading.joules for reading in readings)
    if len(sources) > 1 or not told or not all(reading.low for reading in dense):
        return None
    pairs = list(zip(dense, sparse, strict=True))
    # What each block leaves open, the median of all may leave open: its ends come from the readings' ends.
    value = median([_joules(s) / _joules(d) for d, s in pairs])
    low, _ = median_interval([(s.low or 0.0) / (d.high or _joules(d)) for d, s in pairs], confidence)
    _, high = median_interval([(s.high or _joules(s)) / (d.low or _joules(d)) for d, s in pairs], confidence)
    return Share(value, low / (1 + resolution), high * (1 + resolution), confidence)


def _joules(reading: Reading) -> float:
    assert reading.joules  # else nothing was shared
    return reading.joules


def usual(readings: Sequence[Reading]) -> Reading:
    """The one with the median time; of an even number, the quicker of the middle two."""
    return sorted(readings, key=lambda reading: reading.seconds)[(len(readings) - 1) // 2]
