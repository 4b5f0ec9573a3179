"""A gate for continuous integration: does an item take more joules than it did, beyond the noise?

A baseline is a file of readings of one command, run several times. It is compared with as many readings of
now, by ranks (see ``measure/unpaired.py``): the gate closes where even the low end of the rise's interval is
above a tolerance, for what differs between two days but not between two runs. Where nothing measures energy
nothing is claimed of it, and CPU seconds per item are judged in its place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from aerogel.core.errors import InputError, MeasureError, require
from aerogel.core.files import read_json_object, write_file
from aerogel.energy.reading import Reading, joules_text
from aerogel.measure.intervals import median
from aerogel.measure.machine import machine
from aerogel.measure.unpaired import unpaired_ratio

By = Literal["joules", "cpu", "seconds"]
"""What is compared, per item."""
_WORDS: dict[By, str] = {"joules": "energy", "cpu": "CPU time", "seconds": "time"}
CONFIDENCE = 0.95
TOLERANCE = 0.02
"""The same program differs by about this much from one start, and one day, to another."""
_KIND, _VERSION = "aerogel energy baseline", 1


@dataclass(frozen=True, slots=True)
class Baseline:
    """``readings`` of equal runs of ``label``, each of which did ``items`` times ``item``; on a machine with
    this CPU, of which that many threads might be used."""

    label: str
    items: float
    item: str
    cpu: str
    threads: int
    readings: tuple[Reading, ...]

    @property
    def measured(self) -> bool:
        return all(reading.method == "measured" for reading in self.readings)

    @property
    def source(self) -> str:
        """Where all readings come from; several sources are listed."""
        return "; ".join(sorted({reading.source for reading in self.readings}))

    def per_item(self, by: By) -> tuple[float, ...]:
        """Of every run; MeasureError for joules that were not measured."""
        return tuple(_value(reading, by) / self.items for reading in self.readings)

    def to_json(self) -> dict[str, Any]:
        return {"kind": _KIND, "version": _VERSION, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Judgement:
    """``ratio`` of now to the baseline, between ``low`` and ``high``; ``old`` and ``new``: medians per item.
    ``measured``: was energy measured, and so judged? ``resolution``: a rise of less than this share may be
    noise here."""

    by: By
    item: str
    old: float
    new: float
    ratio: float
    low: float
    high: float
    tolerance: float
    measured: bool
    source: str

    @property
    def passed(self) -> bool:
        return self.low <= 1 + self.tolerance

    @property
    def resolution(self) -> float:
        return self.ratio / self.low * (1 + self.tolerance) - 1

    def __str__(self) -> str:
        change = f"{_percent(self.ratio)} [{_percent(self.low)}, {_percent(self.high)}]"
        amounts = f"{_amount(self.old, self.by)} -> {_amount(self.new, self.by)} per {self.item}"
        verdict = "no rise beyond the noise" if self.passed else "MORE than the baseline, beyond the noise"
        if self.passed and self.high < 1:
            verdict = "less than the baseline"
        lead = "" if self.measured else "energy not measured, so nothing is claimed of it; "
        told = f"{lead}{_WORDS[self.by]} {change}: {verdict} ({amounts}; {self.source})"
        return f"{told}; a rise of under {100 * self.resolution:.1f} % would not be noticed here"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.passed, "resolution": self.resolution}


def baseline_of(readings: Sequence[Reading], *, label: str, items: float, item: str) -> Baseline:
    """The baseline of runs that were just made here."""
    require(items > 0 and math.isfinite(items), InputError, f"items={items!r}: give a number above 0")
    require(readings, InputError, "a baseline needs readings: there are none")
    here = machine()
    return Baseline(label, items, item, here.cpu or here.architecture, here.usable_cores, tuple(readings))


def judge(old: Baseline, new: Baseline, *, by: By | None = None, tolerance: float = TOLERANCE) -> Judgement:
    """Compare ``new`` with ``old``, by default by joules where both were measured, else by CPU time.

    InputError where they cannot be compared: another CPU, another meter, another unit; MeasureError where one
    was measured and the other was not, or where there are too few runs.
    """
    require(tolerance >= 0, InputError, f"tolerance={tolerance!r}: give a share from 0 on, such as 0.02")
    _require_alike(old, new)
    chosen: By = by or ("joules" if old.measured else "cpu")
    if chosen == "joules":
        _require_one_meter(old, new)
    before, now = old.per_item(chosen), new.per_item(chosen)
    ratio, low, high = unpaired_ratio(now, before, CONFIDENCE)
    return Judgement(
        chosen, new.item, median(before), median(now), ratio, low, high, tolerance,
        chosen == "joules", new.source if chosen == "joules" else f"{new.cpu}, {new.threads} threads",
    )  # fmt: skip


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Whole or not at all."""
    text = json.dumps(baseline.to_json(), indent=2, allow_nan=False) + "\n"
    write_file(path, text.encode())


def read_baseline(path: Path) -> Baseline:
    """InputError for what ``write_baseline`` has not written."""
    said = read_json_object(path)
    whose = f"{path} is no baseline"
    require(
        said.get("kind") == _KIND,
        InputError,
        f"{whose}: write one with aerogel measure --runs 5 --save {path} -- COMMAND",
    )
    version = said.get("version")
    require(
        version == _VERSION, InputError, f"{whose} of version {_VERSION}, but of {version!r}: record anew"
    )
    try:
        return _read(said)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{whose} that can be read: {error}; record it anew") from error


def _read(said: dict[str, Any]) -> Baseline:
    known = {field.name for field in fields(Reading)}
    readings = tuple(_reading(one, known) for one in said["readings"])
    read = Baseline(said["label"], said["items"], said["item"], said["cpu"], said["threads"], readings)
    require(readings and _above(read.items), InputError, "it has no runs, or runs of nothing")
    return read


def _reading(said: dict[str, Any], known: set[str]) -> Reading:
    # What a later version says more of a reading, or its parts, is not needed to judge by it.
    kept = {n: v for n, v in said.items() if n in known and not isinstance(v, list | dict)}
    reading = Reading(**kept)
    for name in ("seconds", "cpu_seconds"):
        require(_above(getattr(reading, name)), InputError, f"{name} is {getattr(reading, name)!r}")
    require(reading.joules is None or _above(reading.joules), InputError, f"joules is {reading.joules!r}")
    return reading


def _above(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _require_alike(old: Baseline, new: Baseline) -> None:
    for what, was, now in (
        ("CPU", old.cpu, new.cpu),
        ("number of threads", old.threads, new.threads),
        ("item", old.item, new.item),
    ):
        told = f"the baseline has another {what}, {was!r} and not {now!r}: record a baseline here"
        require(was == now, InputError, told)


def _require_one_meter(old: Baseline, new: Baseline) -> None:
    if new.measured != old.measured:
        which, other = ("was", "is not") if old.measured else ("was not", "is")
        why = next((r.obstacle for r in (*old.readings, *new.readings) if r.obstacle), "")
        raise MeasureError(
            f"the energy of the baseline {which} measured, and here it {other}{f' ({why})' if why else ''}: "
            "record a baseline here, or judge by CPU time (--by cpu)"
        )
    told = (
        f"the baseline comes from another meter, {old.source}, and not {new.source}: record a baseline here"
    )
    require(old.source == new.source, InputError, told)


def _value(reading: Reading, by: By) -> float:
    if by == "seconds":
        return reading.seconds
    if by == "cpu":
        return reading.cpu_seconds
    if reading.method != "measured" or reading.joules is None:
        raise MeasureError(f"energy was not measured ({reading.obstacle}): judge by CPU time (--by cpu)")
    return reading.joules


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"


def _amount(value: float, by: By) -> str:
    if by == "joules":
        return joules_text(value)
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


BYS: tuple[str, ...] = get_args(By)
