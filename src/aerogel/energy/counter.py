"""An energy counter as numbers: what it counted between two looks, or why that cannot be told.

A counter rises from 0 to its range (65 or 262 kJ, say) and then starts again at 0. Two looks tell the energy
between them if it wrapped at most once. That is certain where the looks are close: no package or memory draws
more than MOST_WATTS, so it needs at least ``range / MOST_WATTS`` for a whole round.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from aerogel.core.errors import MeasureError, require

MOST_WATTS = 2000.0
"""More than any CPU package: the largest of 2025 are sold with 500 W. What rises faster was reset."""
UPDATE_S = 1e-3
"""Counters move about once in a millisecond: the time unit of RAPL is 976 us."""


@dataclass(frozen=True, slots=True)
class Look:
    """A counter's value in microjoules, and when it was read on a monotonic clock, in seconds."""

    at_s: float
    uj: int


def counted_uj(before_uj: int, after_uj: int, range_uj: int) -> int:
    """What was counted between two values if the counter wrapped at most once: (after - before) mod range."""
    return after_uj - before_uj if after_uj >= before_uj else after_uj - before_uj + range_uj


def round_s(range_uj: int) -> float:
    """The least time in which a counter of this range can come round."""
    return range_uj * 1e-6 / MOST_WATTS


@dataclass(frozen=True, slots=True)
class Tally:
    """The counter ``label`` from its ``first`` look to its ``last``: ``uj`` microjoules in between."""

    label: str
    range_uj: int
    first: Look
    last: Look
    uj: int = 0

    def then(self, look: Look) -> Tally:
        """One look more; MeasureError where it does not tell how much was counted since the last one."""
        gap_s = look.at_s - self.last.at_s
        require(
            gap_s <= round_s(self.range_uj),
            MeasureError,
            f"{self.label} was not read for {gap_s:.0f} s, in which it may have wrapped more than once",
        )
        step = counted_uj(self.last.uj, look.uj, self.range_uj)
        # A look may be late by the few milliseconds in which another thread had the CPU.
        require(
            step * 1e-6 <= MOST_WATTS * (gap_s + 10 * UPDATE_S),
            MeasureError,
            f"{self.label} rose by {step * 1e-6:.0f} J in {gap_s:.3g} s, more than any draws: it was reset",
        )
        return replace(self, last=look, uj=self.uj + step)

    def mirrors(self, other: Tally) -> bool:
        """Do both show one counter? Then their values agree at both ends, as far as the looks lie apart."""
        return self.range_uj == other.range_uj and all(
            _near(own, its, self.range_uj)
            for own, its in ((self.first, other.first), (self.last, other.last))
        )


def _near(one: Look, other: Look, range_uj: int) -> bool:
    apart = abs(one.uj - other.uj)
    apart = min(apart, range_uj - apart)  # one of them may have wrapped already
    return apart * 1e-6 <= MOST_WATTS * (abs(one.at_s - other.at_s) + 2 * UPDATE_S)
