"""Power looked at now and then, added up to energy: what sensors of power tell, which count nothing
themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aerogel.core.errors import MeasureError, require

MOST_SPARSE = 10.0
"""Looks may be so many times further apart than they should be; then nobody knows what was drawn in
between."""


@dataclass(frozen=True, slots=True)
class Power:
    """``watts``, looked at when a monotonic clock showed ``at_s`` seconds."""

    at_s: float
    watts: float


@dataclass(frozen=True, slots=True)
class Integral:
    """Energy from the ``first`` look to the ``last``: between two looks power is taken to go straight from
    one to the other; ``low`` and ``high`` take the smaller and the larger of both all the time. ``most``:
    watts."""

    label: str
    pause_s: float
    first: Power
    last: Power
    joules: float = 0.0
    low: float = 0.0
    high: float = 0.0
    most: float = 0.0

    @classmethod
    def begin(cls, label: str, pause_s: float, look: Power) -> Integral:
        """``pause_s``: how far apart looks should lie."""
        return cls(label, pause_s, look, look, most=look.watts)

    def then(self, look: Power) -> Integral:
        """One look more; MeasureError where it comes too late."""
        gap_s = look.at_s - self.last.at_s
        require(
            gap_s <= MOST_SPARSE * self.pause_s,
            MeasureError,
            f"{self.label} was not read for {gap_s:.1f} s, and what it drew meanwhile is unknown",
        )
        small, large = sorted((self.last.watts, look.watts))
        return replace(
            self,
            last=look,
            joules=self.joules + (small + large) / 2 * gap_s,
            low=self.low + small * gap_s,
            high=self.high + large * gap_s,
            most=max(self.most, look.watts),
        )

    @property
    def seconds(self) -> float:
        """From the first look to the last."""
        return self.last.at_s - self.first.at_s

    def bounds(self, window_s: float, limit_watts: float | None, error: float) -> tuple[float, float]:
        """The least and the most energy in joules.

        window_s: the time over which the sensor averages: so much of what it showed belongs to the time
        before, and so much is missing at the end. limit_watts: what the device may draw at most; where that
        is not known, ten times its mean. error: the sensor's own, as a share of what it shows.
        """
        mean = self.joules / self.seconds if self.seconds > 0 else self.most
        limit = 10 * mean if limit_watts is None else max(limit_watts, self.most)
        low = max(0.0, self.low - self.most * window_s) * (1 - error)
        return low, (self.high + limit * window_s) * (1 + error)
