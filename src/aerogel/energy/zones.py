"""RAPL through a block: zones that wrap, fail for a while, mirror each other, come and go with their CPUs.

Every zone is read at the block's ends and once a second in between. That costs about a ten-thousandth of a
second each time; read so often, a counter cannot come round unseen, and what is lost around a fault is short.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from aerogel.core.errors import MeasureError
from aerogel.energy.counter import UPDATE_S, Tally, round_s
from aerogel.energy.host import this_host
from aerogel.energy.rapl import Zone, folders, tree
from aerogel.energy.source import CPU, MEMORY, PEAK, Awake, Counted, Part, Survey, Where

LOOK_S = 1.0
"""How far apart looks lie."""
_TRIES, _RETRY_S = 3, 2e-3
"""How often a counter that fails at a block's end is tried again, and after how long."""
ABOUT = "energy counters of CPU packages and the memory beside them (RAPL, by Linux powercap)"


def survey(where: Where) -> Survey:
    """The counters of CPU packages and their memory."""
    found = tree(where.root)
    return Survey(
        source="rapl",
        about=ABOUT,
        channels=tuple(zone.label for zone in found.zones),
        covers=(CPU, MEMORY),
        left_out=found.left_out,
        obstacle=found.obstacle,
        advice=found.advice,
        present=found.present,
        begin=lambda: Zones(where.root, found.zones),
    )


@dataclass
class _Followed:
    """A zone and its counter so far. gone_s: since when it gives nothing, and ``why``; late_s: how long
    before its first look it may have been there; trouble: why nobody can tell any more what it counted."""

    zone: Zone
    tally: Tally
    folder: str
    why: str = ""
    gone_s: float | None = None
    late_s: float = 0.0
    trouble: str = ""
    notes: list[str] = field(default_factory=list[str])

    def show(self) -> str:
        return f"{self.folder} ({self.zone.label})"


class Zones:
    """Zones from their first look, which is now, to ``finish``. MeasureError where one cannot be read now."""

    def __init__(self, root: Path, zones: tuple[Zone, ...]) -> None:
        self._root, self._awake = root, Awake()
        self._shown = folders(root)
        self._all = [_begin(zone) for zone in zones]
        self._apart: set[frozenset[int]] = set()
        self._began_s = self._all[0].tally.first.at_s

    @property
    def pause_s(self) -> float:
        return min(LOOK_S, *(round_s(followed.zone.range_uj) / 2 for followed in self._all))

    def look(self) -> None:
        shown = folders(self._root)
        if shown != self._shown:
            self._replug(shown)
        for followed in self._all:
            self._read(followed)
        for one, other in combinations(range(len(self._all)), 2):
            first, second = self._all[one], self._all[other]
            good = first.gone_s is None and second.gone_s is None
            if good and first.zone.part == second.zone.part and first.tally.differs(second.tally):
                self._apart.add(frozenset((one, other)))

    def _read(self, followed: _Followed) -> None:
        try:
            look = followed.zone.look()
        except MeasureError as error:
            followed.why = str(error)
            if followed.gone_s is None:
                followed.gone_s = followed.tally.last.at_s
            return
        try:
            followed.tally = followed.tally.then(look)
        except MeasureError as error:
            followed.trouble = followed.trouble or str(error)
        if followed.gone_s is not None:
            away_s, followed.gone_s = look.at_s - followed.gone_s, None
            followed.notes.append(f"{followed.why} for up to {away_s:.3g} s: its counter went on")

    def _replug(self, shown: tuple[Path, ...]) -> None:
        """Zones come and go with the CPUs of a package; one that comes back may have another folder."""
        found = tree(self._root)
        if found.obstacle:
            return  # they are coming just now: the next look sees them
        self._shown = shown
        chosen = {zone.energy.parent.name for zone in found.zones}
        followed = {one.folder for one in self._all}
        for zone in found.zones:
            folder = zone.energy.parent.name
            if folder in followed:
                continue
            # Another interface may show a package whose first one is gone, and hand it back later.
            lost = (one for one in self._all if one.zone.label == zone.label and one.folder not in chosen)
            moved = next(lost, None)
            if moved is not None:
                moved.zone, moved.folder = zone, folder
            else:
                self._plug_in(zone)

    def _plug_in(self, zone: Zone) -> None:
        try:
            followed = _begin(zone)
        except MeasureError:
            self._shown = ()  # the next look tries again
            return
        now_s = followed.tally.first.at_s
        followed.late_s = now_s - max(other.tally.last.at_s for other in self._all)
        since_s = now_s - self._began_s
        followed.notes.append(f"{zone.label} was plugged in after {since_s:.3g} s: counted from then on")
        self._all.append(followed)

    def finish(self) -> Counted:
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_RETRY_S)
            self.look()
            if all(f.gone_s is None and f.tally.odd is None for f in self._all):
                break
        for followed in self._all:
            trouble = followed.trouble or (followed.why if followed.gone_s is not None else "")
            if trouble:
                raise MeasureError(trouble)
        self._awake.check()
        for followed in self._all:
            followed.tally = followed.tally.settle()
        return self._sum()

    def _sum(self) -> Counted:
        mirrored = self._mirrored()
        distinct = [followed for index, followed in enumerate(self._all) if index not in mirrored]
        for followed in distinct:
            self._require_moving(followed)
        # Memory that took nothing is memory that is not counted here: nothing is not what it took.
        still = [f for f in distinct if f.zone.memory and not (f.tally.uj or f.late_s)]
        used = [followed for followed in distinct if followed not in still]
        labels = tuple(followed.zone.label for followed in used)
        notes = [note for f in self._all for note in (*f.notes, *f.tally.notes())]
        notes += [f"{self._all[a].show()} mirrors {self._all[b].show()}" for a, b in mirrored.items()]
        notes += [f"{f.zone.label} stood still: its memory is not counted" for f in still]
        virtual = this_host(self._root).virtual is True
        about = meter_text(labels, len(mirrored), virtual=virtual)
        return Counted(tuple(_part(f) for f in used), about, tuple(notes))

    def _mirrored(self) -> dict[int, int]:
        """Of each zone that shows another's counter: which one."""
        mirrored: dict[int, int] = {}
        for one, other in combinations(range(len(self._all)), 2):
            first, second = self._all[one], self._all[other]
            if {one, other} & mirrored.keys() or first.zone.part != second.zone.part:
                continue
            if frozenset((one, other)) not in self._apart and second.tally.mirrors(first.tally):
                mirrored[other] = one
        return mirrored

    def _require_moving(self, followed: _Followed) -> None:
        """MeasureError where no counter of a package moved, other than one that has just been plugged in."""
        dies = [f for f in self._all if f.zone.part == followed.zone.part]
        moved = any(die.tally.uj or die.late_s for die in dies)
        if not followed.zone.memory and not moved:
            raise MeasureError(_still(followed.zone.part, followed.tally.seconds))


def _begin(zone: Zone) -> _Followed:
    look = zone.look()
    return _Followed(zone, Tally(zone.label, zone.range_uj, look, look), zone.energy.parent.name)


def _part(followed: _Followed) -> Part:
    tally, zone = followed.tally, followed.zone
    known = tally.uj * 1e-6
    mean_watts = known / max(tally.seconds, UPDATE_S)
    # Of a package that was plugged in between two looks, half the time between them is taken to be missing.
    filled = tally.filled_uj * 1e-6 + mean_watts * followed.late_s / 2
    # What a counter shows is old by up to one update: at the start that adds, at the end it takes away.
    unsure = mean_watts * PEAK * UPDATE_S
    unknown = mean_watts * PEAK * (tally.lost_s + followed.late_s)
    return Part(
        source="rapl",
        label=zone.label,
        covers=MEMORY if zone.memory else CPU,
        joules=known + filled,
        low=max(0.0, known - unsure),
        high=known + max(filled, unknown) + unsure,
    )


def _still(part: str, seconds: float) -> str:
    if seconds > 10 * UPDATE_S:
        return f"{part} stood still for {seconds:.3g} s: its counter is not connected here"
    return f"{part} moves once in a millisecond, and the block was too short for that: repeat the work in it"


def meter_text(summed: tuple[str, ...], mirrored: int = 0, *, virtual: bool = False) -> str:
    """What RAPL covers, in words, and what is known of its error."""
    whose = "as shown to this virtual machine" if virtual else "all of it, other processes included"
    once = f", {mirrored} mirrored counters left out" if mirrored else ""
    return f"RAPL {' + '.join(summed)} ({whose}{once}; makers state no error of the counters)"
