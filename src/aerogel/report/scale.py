"""From a measure to a place in the picture, and the round numbers to write beside an axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MOST_TICKS = 7
_PAD = 0.06  # of the axis, on either side, so that marks do not sit on the frame
# A narrower span is widened, by this share of its values: else ticks would differ in digits nobody reads.
_LEAST_SHARE = 1e-3
_LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Scale:
    """``low`` is drawn at ``start`` and ``high`` at ``end``, in the picture's units; ``end`` may be less."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def at(self, value: float) -> float:
        """Where ``value`` is drawn; what lies outside is drawn at the nearer end."""
        low, high, inside = (self._even(v) for v in (self.low, self.high, value))
        share = min(max((inside - low) / (high - low), 0.0), 1.0)
        return self.start + share * (self.end - self.start)

    def _even(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def ticks(self) -> tuple[float, ...]:
        """At least two round numbers between ``low`` and ``high``, at most ``_MOST_TICKS``."""
        if self.log and len(found := _log_ticks(self.low, self.high)) >= 2:
            return found
        return _even_ticks(self.low, self.high)


def scale(low: float, high: float, start: float, end: float, *, log: bool) -> Scale:
    """A scale that shows from ``low`` to ``high`` with some room on either side."""
    if log:
        a, b = math.log10(low), math.log10(high)
        room = max(_PAD * (b - a), _LEAST_SHARE)
        return Scale(10 ** (a - room), 10 ** (b + room), start, end, log)
    room = max(_PAD * (high - low), _LEAST_SHARE * max(abs(low), abs(high)), _LEAST)
    return Scale(low - room, high + room, start, end, log)


def _even_ticks(low: float, high: float) -> tuple[float, ...]:
    rough = (high - low) / (_MOST_TICKS - 1)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    # Rounded to the digits of the step: 3 * 0.1 would read 0.30000000000000004.
    digits = max(0, -math.floor(math.log10(step)))
    return tuple(round(number * step, digits) for number in range(first, last + 1))


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    """1, 2, 5, 10, 20 ... where they are few enough, else powers of ten with equal gaps."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [_power(factor, decade) for decade in decades for factor in (1, 2, 5)]
    inside = [tick for tick in fine if low <= tick <= high]
    if len(inside) <= _MOST_TICKS:
        return tuple(inside)
    powers = [decade for decade in decades if low <= _power(1, decade) <= high]
    gap = math.ceil(len(powers) / _MOST_TICKS)
    return tuple(_power(1, decade) for decade in powers if decade % gap == 0)


def _power(factor: int, decade: int) -> float:
    # Through its text, so that it is the number that is written: 2 * 10 ** -1 may not be 0.2.
    return float(f"{factor}e{decade}")
