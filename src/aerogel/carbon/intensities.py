"""Grid intensity that varies with time: a table or a forecast, of one place or several, from a CSV file.

    time,place,g_per_kwh,low,high
    2026-11-28T00:00Z,FRA,31,28,35

``time`` is the beginning of a slot, with its offset from UTC; ``place``, ``low`` and ``high`` may be left
out. A slot lasts until the next row of its place, at most as long as the shortest step there: what lies
between is a gap, of which nothing is known. The last slot is one such step long.
"""

from __future__ import annotations

import csv
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aerogel.carbon.amount import Amount
from aerogel.carbon.cells import number_in
from aerogel.core.errors import InputError, require

UNIT = "gCO2e/kWh"


@dataclass(frozen=True, slots=True)
class Slot:
    """From ``begin`` to ``end``, in seconds since 1970, a kWh emits ``intensity``."""

    begin: float
    end: float
    intensity: Amount

    @property
    def seconds(self) -> float:
        return self.end - self.begin

    def within(self, begin: float, end: float) -> Slot | None:
        """The part of it between the two; None where there is none."""
        low, high = max(self.begin, begin), min(self.end, end)
        return Slot(low, high, self.intensity) if low < high else None


Intensities = Mapping[str, tuple[Slot, ...]]
"""By place, in order of time, none of them overlapping."""


def read_intensities(path: Path, place: str | None = None, error: float | None = None) -> Intensities:
    """The slots of a file; ``place``: of rows that name none. ``error``: how far off a figure without bounds
    may be, as a share of it: 0.1 for 10 %. InputError where a row cannot be read, naming it."""
    require(
        error is None or 0 <= error < 1, InputError, f"an error of {error}: give a share from 0 to 1, as 0.1"
    )
    found: dict[str, list[tuple[float, Amount]]] = defaultdict(list)
    for number, row in enumerate(_rows(path), 2):
        where = f"{path}, line {number}"
        of = (row.get("place") or "").strip() or place
        require(of, InputError, f"{where}: no place; add a column place, or say whose table it is (--place)")
        assert of is not None
        found[of].append((_moment(row, where), _intensity(row, where, error)))
    require(found, InputError, f"{path} has no rows: a table of intensities has time and g_per_kwh")
    return {of: _slots(rows, f"{path}, {of}") for of, rows in found.items()}


def _rows(path: Path) -> Iterator[Mapping[str, str | None]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = {"time", "g_per_kwh"} - set(rows.fieldnames or ())
            lacks = ", ".join(sorted(missing))
            said = f"{path} has no column {lacks}: a table of intensities has time and g_per_kwh"
            require(not missing, InputError, said)
            yield from rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table of intensities: {error}") from error


def _moment(row: Mapping[str, str | None], where: str) -> float:
    return moment((row.get("time") or "").strip(), where)


def moment(text: str, where: str) -> float:
    """Seconds since 1970; InputError unless ``text`` is a time of ISO 8601 with its offset from UTC: without
    one, an hour of a night in October could be either of two."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise InputError(
            f"{where}: the time {text!r} must be given with its offset, as 2026-11-28T13:00+01:00 or ...Z"
        )
    return parsed.timestamp()


def _intensity(row: Mapping[str, str | None], where: str, error: float | None) -> Amount:
    value = number_in(row, "g_per_kwh", where)
    low, high = number_in(row, "low", where), number_in(row, "high", where)
    if value is None:
        raise InputError(f"{where}: g_per_kwh is empty: leave out a row of which nothing is known")
    require((low is None) == (high is None), InputError, f"{where}: it has one bound of two")
    if low is None or high is None:
        return Amount(value, value * (1 - (error or 0)), value * (1 + (error or 0)), UNIT)
    require(low <= value <= high, InputError, f"{where}: {value:g} lies outside {low:g} to {high:g}")
    return Amount(value, low, high, UNIT)


def _slots(rows: Sequence[tuple[float, Amount]], where: str) -> tuple[Slot, ...]:
    rows = sorted(rows, key=lambda row: row[0])
    require(len(rows) > 1, InputError, f"{where}: one row says not how long it holds: give two or more")
    steps = [b[0] - a[0] for a, b in itertools.pairwise(rows)]
    twice = next(
        (a[0] for (a, _), step in zip(itertools.pairwise(rows), steps, strict=True) if step == 0), None
    )
    if twice is not None:
        raise InputError(f"{where}: {clock(twice)} stands twice: keep one of the two rows")
    step = min(steps)
    return tuple(Slot(begin, begin + step, intensity) for begin, intensity in rows)


def clock(seconds: float) -> str:
    """In UTC, to the minute: "2026-11-28 13:00Z"."""
    return f"{datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=1):%Y-%m-%d %H:%MZ}"
