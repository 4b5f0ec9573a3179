"""An energy counter as numbers: what it counted through a block, or why that cannot be told.

A counter rises from 0 to its range (65 or 262 kJ, say) and then starts again at 0. Two looks tell the energy
between them if it wrapped at most once. That is certain where the looks are close: no package or memory draws
more than MOST_WATTS, so it needs at least ``range / MOST_WATTS`` for a whole round.

What happens to counters, and what is done about it:

- it wraps: the range is added;
- one look shows a value that nothing could have reached, and the next goes on from before: a misread, left
  out;
- it goes on from such a value: it was reset. What it counted from the last look before to the first one
  after is lost, and filled with the power around it; no more than FILLED of the block may be filled so;
- it was not read for longer than a round: nobody can tell how often it wrapped, which is an error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from aerogel.core.errors import MeasureError, require

MOST_WATTS = 2000.0
"""More than any CPU package: the largest of 2025 are sold with 500 W. What rises faster was reset."""
UPDATE_S = 1e-3
"""Counters move about once in a millisecond: the time unit of RAPL is 976 us."""
FILLED = 0.01
"""The share of a block that may be filled with the power around it, where a counter was reset."""
_SHORT_S = 0.1
"""Looks that are closer do not tell power: counters move in steps."""


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
    """The counter ``label`` from its ``first`` look to its ``last``: ``uj`` microjoules in between.

    wraps, misreads, resets: how often each was seen. lost_s: the time around resets, of which nothing is
    known, and filled_uj: what it is filled with. rate: microjoules per second between the last two looks.
    odd: a look that nothing could have reached, until the next one tells what it was.
    """

    label: str
    range_uj: int
    first: Look
    last: Look
    uj: int = 0
    wraps: int = 0
    misreads: int = 0
    resets: int = 0
    lost_s: float = 0.0
    filled_uj: float = 0.0
    rate: float | None = None
    odd: Look | None = None

    def then(self, look: Look) -> Tally:
        """One look more; MeasureError where none tells any more how much was counted since the last one."""
        gap_s = look.at_s - self.last.at_s
        require(
            gap_s <= round_s(self.range_uj),
            MeasureError,
            f"{self.label} was not read for {gap_s:.0f} s, in which it may have wrapped more than once",
        )
        if self._reached(self.last, look):
            return self._on(self.last, look, misreads=self.misreads + (self.odd is not None))
        if self.odd is None:
            return replace(self, odd=look)
        if look.uj == self.odd.uj:
            return self  # what stands still is no counter that goes on
        if self._reached(self.odd, look):
            return self._over_reset(self.odd, look)
        return replace(self, odd=look, misreads=self.misreads + 1)

    def _reached(self, before: Look, after: Look) -> bool:
        """Could the counter have come from one to the other?"""
        step = counted_uj(before.uj, after.uj, self.range_uj)
        # A look may be late by the few milliseconds in which another thread had the CPU.
        return step * 1e-6 <= MOST_WATTS * (after.at_s - before.at_s + 10 * UPDATE_S)

    def _on(self, before: Look, look: Look, **seen: float) -> Tally:
        step = counted_uj(before.uj, look.uj, self.range_uj)
        wraps, rate = self.wraps + (look.uj < before.uj), self.rate
        if look.at_s - before.at_s > _SHORT_S:
            rate = step / (look.at_s - before.at_s)
        return replace(self, last=look, uj=self.uj + step, wraps=wraps, odd=None, rate=rate, **seen)

    def _over_reset(self, odd: Look, look: Look) -> Tally:
        """The counter goes on from ``odd``: what it counted before that and after the last look is filled."""
        lost_s, after = odd.at_s - self.last.at_s, self._on(odd, look)
        rates = [rate for rate in (self.rate, after.rate) if rate is not None]
        filled_uj = lost_s * sum(rates) / len(rates) if rates else 0.0
        return replace(
            after,
            resets=self.resets + 1,
            lost_s=self.lost_s + lost_s,
            filled_uj=self.filled_uj + filled_uj,
        )

    @property
    def seconds(self) -> float:
        """From the first look to the last."""
        return self.last.at_s - self.first.at_s

    def settle(self) -> Tally:
        """This, at the end of a block; MeasureError where too much of it is unknown."""
        if self.odd is not None:
            step = counted_uj(self.last.uj, self.odd.uj, self.range_uj)
            gap_s = self.odd.at_s - self.last.at_s
            rose = f"{self.label} rose by {step * 1e-6:.0f} J in {gap_s:.3g} s, more than any draws"
            raise MeasureError(f"{rose}: it was reset")
        require(
            self.lost_s <= FILLED * self.seconds,
            MeasureError,
            f"{self.label} was reset: what it counted in {self.lost_s:.3g} s of {self.seconds:.3g} s is lost",
        )
        return self

    def notes(self) -> tuple[str, ...]:
        """Each fault in words; a wrap is none."""
        found: list[str] = []
        if self.wraps:
            found.append(f"{self.label} wrapped {_times(self.wraps)}")
        if self.misreads:
            what = "a value" if self.misreads == 1 else "values"
            found.append(
                f"{self.label} showed {what} that it cannot have reached {_times(self.misreads)}: left out"
            )
        if self.resets:
            found.append(
                f"{self.label} was reset {_times(self.resets)}: {self.lost_s:.2g} s are filled with the "
                "power around them"
            )
        return tuple(found)

    def differs(self, other: Tally) -> bool:
        """Do the last looks show that these are two counters? The looks lie a moment apart."""
        if self.range_uj != other.range_uj:
            return True
        return not _near(self.last, other.last, self.range_uj)

    def mirrors(self, other: Tally) -> bool:
        """Do both show one counter? Then their values agree at both ends, as far as the looks lie apart."""
        return not self.differs(other) and _near(self.first, other.first, self.range_uj)


def _near(one: Look, other: Look, range_uj: int) -> bool:
    apart = abs(one.uj - other.uj)
    apart = min(apart, range_uj - apart)  # one of them may have wrapped already
    return apart * 1e-6 <= MOST_WATTS * (abs(one.at_s - other.at_s) + 2 * UPDATE_S)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
