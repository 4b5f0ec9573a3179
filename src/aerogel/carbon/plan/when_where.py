"""When, and where, a job with a deadline would emit least: the best hours and places of an intensity table.

The job draws the same power all the while. In one piece it may begin at any moment; what it emits is then
linear between moments at which it begins or ends with a slot, so the least is at one of those. In pieces it
takes the cleanest slots. Both are exact for the table; the table itself is a forecast.

What is left out: moving data to another place, starting and stopping, and that machines which wait are not
idle for free. Measured, shifting has gained little (about 5 % by place for one model), and the marginal power
station that answers to the job is not the average one that the table speaks of.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aerogel.carbon.amount import Amount
from aerogel.carbon.intensities import Intensities, Slot, clock
from aerogel.core.errors import InputError, require

_TOLERANCE_S = 1e-6


@dataclass(frozen=True, slots=True)
class Job:
    """``energy``: kWh at the meter of the building (with PUE), over ``seconds`` of work; not before
    ``earliest`` and done by ``deadline``, in seconds since 1970. ``pieces``: it may be stopped and taken up
    again."""

    energy: Amount
    seconds: float
    earliest: float
    deadline: float
    pieces: bool = False

    def __post_init__(self) -> None:
        require(self.seconds > 0, InputError, f"a job of {self.seconds:g} s: give a time above 0")
        room = self.deadline - self.earliest
        said = (
            f"a job of {self.seconds / 3600:.4g} h does not fit between {clock(self.earliest)} and "
            f"{clock(self.deadline)}: give a later deadline"
        )
        require(room >= self.seconds - _TOLERANCE_S, InputError, said)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The job at ``place``, in ``slots``; ``intensity``: the mean over them; ``emitted``: kgCO2e."""

    place: str
    slots: tuple[Slot, ...]
    intensity: Amount
    emitted: Amount

    @property
    def begins(self) -> float:
        return self.slots[0].begin

    @property
    def ends(self) -> float:
        return self.slots[-1].end

    def to_json(self) -> dict[str, Any]:
        spans = [{"begin": clock(s.begin), "end": clock(s.end)} for s in joined(self.slots)]
        amounts = {"intensity": self.intensity.to_json(), "emitted": self.emitted.to_json()}
        return {"place": self.place, "runs": spans} | amounts


@dataclass(frozen=True, slots=True)
class Shifting:
    """``now``: at home, begun at once, what is compared with. ``by_place``: the best schedule of each place,
    the cleanest first. ``impossible``: places where gaps in the table leave no room, or none within the
    deadline."""

    job: Job
    now: Schedule
    by_place: tuple[Schedule, ...]
    impossible: tuple[str, ...]

    @property
    def best(self) -> Schedule:
        return self.by_place[0]

    def saved(self, schedule: Schedule) -> Amount:
        """The share that ``schedule`` emits less than ``now``; below 0: more. Its bounds take the two
        intensities for independent."""
        before, after = self.now.intensity, schedule.intensity
        if not before.value or after.value is None or before.low <= 0:
            return Amount(None, float("-inf"), 1.0, "")
        if schedule == self.now:
            return Amount.exact(0.0, "")
        ends = (1 - after.high / before.low, 1 - after.low / before.high)
        return Amount(1 - after.value / before.value, *ends, "")

    def proven(self, schedule: Schedule) -> bool:
        """Whether ``schedule`` emits less whatever lies within the table's bounds."""
        return schedule.intensity.high < self.now.intensity.low

    def to_json(self) -> dict[str, Any]:
        rows = [
            s.to_json() | {"saved": self.saved(s).to_json(), "proven": self.proven(s)} for s in self.by_place
        ]
        return {"now": self.now.to_json(), "by_place": rows, "impossible": list(self.impossible)}


def best_times(job: Job, intensities: Intensities, home: str) -> Shifting:
    """The best schedule at each place of the table; InputError where the table does not cover running at
    ``home`` at once, for then there is nothing to compare with."""
    held = ", ".join(intensities)
    require(home in intensities, InputError, f"the table has no place {home!r}: it has {held}")
    now = _at(job, home, intensities[home], job.earliest)
    if now is None:
        begin, end = clock(job.earliest), clock(job.earliest + job.seconds)
        raise InputError(
            f"the table has gaps at {home} between {begin} and {end}, when the job would run at once"
        )
    found = {place: _best(job, place, slots) for place, slots in intensities.items()}
    schedules = [schedule for schedule in found.values() if schedule is not None]
    return Shifting(
        job,
        now,
        tuple(sorted(schedules, key=lambda s: (_mean(s.slots), s.begins))),
        tuple(place for place, schedule in found.items() if schedule is None),
    )


def joined(slots: Iterable[Slot]) -> list[Slot]:
    """Slots that follow each other without a pause as one, of the first one's intensity."""
    spans: list[Slot] = []
    for slot in slots:
        if spans and slot.begin - spans[-1].end <= _TOLERANCE_S:
            spans[-1] = Slot(spans[-1].begin, slot.end, spans[-1].intensity)
        else:
            spans.append(slot)
    return spans


def _best(job: Job, place: str, slots: Sequence[Slot]) -> Schedule | None:
    open_slots = [s for s in (slot.within(job.earliest, job.deadline) for slot in slots) if s is not None]
    return _pieces(job, place, open_slots) if job.pieces else _one_piece(job, place, open_slots)


def _pieces(job: Job, place: str, slots: Sequence[Slot]) -> Schedule | None:
    """The cleanest slots until the work is done; of the last of them as much as is needed."""
    taken: list[Slot] = []
    left = job.seconds
    for slot in sorted(slots, key=lambda s: (_value(s), s.begin)):
        if left <= _TOLERANCE_S:
            break
        part = slot.within(slot.begin, slot.begin + left)
        assert part is not None
        taken.append(part)
        left -= part.seconds
    return None if left > _TOLERANCE_S else _schedule(job, place, sorted(taken, key=lambda s: s.begin))


def _one_piece(job: Job, place: str, slots: Sequence[Slot]) -> Schedule | None:
    """The best of all beginnings at which the job begins or ends with a slot, or with what it may use."""
    edges = {edge for slot in slots for edge in (slot.begin, slot.end)}
    beginnings = sorted(edges | {edge - job.seconds for edge in edges})
    last = job.deadline - job.seconds
    of = _Emissions(slots)
    within = (b for b in beginnings if job.earliest - _TOLERANCE_S <= b <= last + _TOLERANCE_S)
    covered = [b for b in within if of.covers(b, b + job.seconds)]
    if not covered:
        return None
    return _at(job, place, slots, min(covered, key=lambda b: (of.between(b, b + job.seconds), b)))


class _Emissions:
    """Integrals of the intensity over time, each in the time of a binary search."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self._begins = [slot.begin for slot in slots]
        self._sums = [0.0, *itertools.accumulate(_value(s) * s.seconds for s in slots)]
        self._times = [0.0, *itertools.accumulate(s.seconds for s in slots)]

    def covers(self, begin: float, end: float) -> bool:
        time = self._until(end, self._times, lambda _: 1.0) - self._until(begin, self._times, lambda _: 1.0)
        return abs(time - (end - begin)) <= _TOLERANCE_S

    def between(self, begin: float, end: float) -> float:
        return self._until(end, self._sums, _value) - self._until(begin, self._sums, _value)

    def _until(self, moment: float, sums: Sequence[float], rate: Callable[[Slot], float]) -> float:
        at = bisect.bisect_right(self._begins, moment) - 1
        if at < 0:
            return 0.0
        slot = self._slots[at]
        return sums[at] + rate(slot) * (min(moment, slot.end) - slot.begin)


def _at(job: Job, place: str, slots: Sequence[Slot], begin: float) -> Schedule | None:
    """In one piece from ``begin``; None where the table has a gap."""
    parts = [p for p in (slot.within(begin, begin + job.seconds) for slot in slots) if p is not None]
    if abs(sum(p.seconds for p in parts) - job.seconds) > _TOLERANCE_S:
        return None
    return _schedule(job, place, parts)


def _schedule(job: Job, place: str, slots: Sequence[Slot]) -> Schedule:
    total = sum(slot.seconds for slot in slots)
    parts = [slot.intensity.scaled(slot.seconds / total) for slot in slots]
    intensity = Amount.total(parts, slots[0].intensity.unit)
    emitted = intensity.times(job.energy, "gCO2e").scaled(1e-3, "kgCO2e")
    return Schedule(place, tuple(slots), intensity, emitted)


def _mean(slots: Sequence[Slot]) -> float:
    return sum(_value(s) * s.seconds for s in slots) / sum(s.seconds for s in slots)


def _value(slot: Slot) -> float:
    assert slot.intensity.value is not None
    return slot.intensity.value
