"""Counters followed through a block: read at its ends, and in between only where they could wrap twice."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass

from aerogel.core.errors import MeasureError
from aerogel.energy.counter import UPDATE_S, Tally, round_s
from aerogel.energy.rapl import Zone

_LONGEST_S = 30.0
"""How far apart looks at a running block may lie: reading more often costs more than it tells."""
_PEAK = 10.0
"""The power at a block's ends is taken to be at most so many times its mean power."""


@dataclass(frozen=True, slots=True)
class Counted:
    """``joules`` of the zones in ``summed``; ``mirrored`` ones show a counter that is summed already."""

    joules: float
    low: float
    high: float
    summed: tuple[str, ...]
    mirrored: tuple[str, ...]


class Recording:
    """Looks at every zone from the start to ``finish``, by a daemon thread that sleeps for half the shortest
    round of a counter (16 s for 65 kJ) and for 30 s at most. Begin and end may be in different threads."""

    def __init__(self, zones: tuple[Zone, ...]) -> None:
        """MeasureError where a counter cannot be read."""
        self._zones = zones
        self._tallies = [_begin(zone) for zone in zones]
        self._asleep_s = asleep_s()
        self._trouble = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="aerogel-meter", daemon=True)
        # Without a thread a short block can still be measured, and a long one says why not.
        with contextlib.suppress(RuntimeError):
            self._thread.start()

    def finish(self) -> Counted:
        """MeasureError, naming the counter, where what it counted cannot be told."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._take()
        if self._trouble:
            raise MeasureError(self._trouble)
        asleep = asleep_s() - self._asleep_s
        if asleep > 1:
            raise MeasureError(f"the system was suspended for {asleep:.0f} s, which may reset the counters")
        return _sum(self._zones, self._tallies)

    def _follow(self) -> None:
        while not self._trouble and not self._over.wait(pause_s(self._zones)):
            self._take()

    def _take(self) -> None:
        """One look at every zone; what goes wrong is kept for the end: the block must not fail for it."""
        for index, zone in enumerate(self._zones):
            try:
                self._tallies[index] = self._tallies[index].then(zone.look())
            except MeasureError as error:
                self._trouble = self._trouble or str(error)


def pause_s(zones: tuple[Zone, ...]) -> float:
    """The time between two looks at counters that are followed."""
    return min(_LONGEST_S, *(round_s(zone.range_uj) / 2 for zone in zones))


def _begin(zone: Zone) -> Tally:
    look = zone.look()
    return Tally(zone.label, zone.range_uj, look, look)


def asleep_s() -> float:
    """How long the system has been suspended since boot; 0 where it does not tell."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def _sum(zones: tuple[Zone, ...], tallies: list[Tally]) -> Counted:
    kept: dict[str, list[Tally]] = {}
    mirrored: list[str] = []
    for zone, tally in zip(zones, tallies, strict=True):
        dies = kept.setdefault(zone.part, [])
        if any(tally.mirrors(die) for die in dies):
            mirrored.append(zone.label)
        else:
            dies.append(tally)
    used = [tally for dies in kept.values() for tally in dies]
    seconds = min(tally.last.at_s - tally.first.at_s for tally in used)
    for part in {zone.part for zone in zones if not zone.memory}:
        if not any(tally.uj for tally in kept[part]):
            raise MeasureError(_still(part, seconds))
    joules = sum(tally.uj for tally in used) * 1e-6
    # What a counter shows is old by up to one update: at the start that adds, at the end it takes away.
    unsure = joules / max(seconds, UPDATE_S) * _PEAK * UPDATE_S
    summed = tuple(tally.label for tally in used)
    return Counted(joules, max(0.0, joules - unsure), joules + unsure, summed, tuple(mirrored))


def _still(part: str, seconds: float) -> str:
    if seconds > 10 * UPDATE_S:
        return f"{part} stood still for {seconds:.3g} s: its counter is not connected here"
    return f"{part} moves once in a millisecond, and the block was too short for that: repeat the work in it"
