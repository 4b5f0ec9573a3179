"""A meter at the wall, by the log it writes: a CSV file to which rows are added while the block runs.

    time,watts                          time;energy_kwh
    2026-11-28T20:00:00+01:00,61.4      1764356400;12,081

The first line names the columns; commas, semicolons or tabs part them. ``time`` (also ``timestamp``,
``date``, ``datetime``): ISO 8601, or seconds since 1970, or milli-, micro- or nanoseconds; without an
offset it is this computer's own time. Beside it one of: power in ``watts`` (``w``, ``power``, ``power_w``),
or what the meter has counted so far in ``kwh``, ``wh`` or ``joules`` (also with ``energy_`` before it).
Power is taken where there are both, for counters of meters move in large steps. Other columns are left alone.

A name may end in its unit in brackets: ``power (W)``, ``energy [kWh]``. What no computer draws, less than
0.2 W or more than 30 kW, is an error: then the unit is another.

It covers whatever hangs on the meter, at the wall: that this is the computer, and nothing else, the user
says by naming the file. Assumed: the clock of the log is this computer's. The meter's own error is not
covered.
"""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Literal

from aerogel.core.errors import MeasureError, require
from aerogel.energy.integral import MOST_SPARSE, Integral, Power
from aerogel.energy.source import MACHINE, Counted, Part, Survey, Where

ABOUT = "the log of a meter at the wall"
_TIMES = ("time", "timestamp", "date", "datetime")
_POWERS = ("watts", "watt", "w", "power", "power_w")
_COUNTS = {"kwh": 3.6e6, "wh": 3600.0, "joules": 1.0, "j": 1.0}
_TAIL_BYTES = 1 << 16
"""So much of a log before a block's begin is read again: its last rows then tell the power at the begin."""
_LEAST_WATTS, _MOST_WATTS = 0.2, 3e4
"""A computer that runs draws more, and less."""
_PATIENCE_S = 10.0
"""How long the end of a block waits at most for the row that comes after it."""
_RETRY_S = 0.2

Kind = Literal["watts", "joules"]


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a log has what: ``kind`` of value, times ``scale``; ``joules`` are those counted so far.
    ``count``: of all columns."""

    time: int
    value: int
    kind: Kind
    scale: float
    delimiter: str
    count: int


@dataclass(frozen=True, slots=True)
class Row:
    """``value``: watts, or joules so far; ``step``: the smallest difference that it can show."""

    at_s: float
    value: float
    step: float


def survey(where: Where) -> Survey:
    """The log that was named, if its first line can be understood."""
    log = where.wall_log
    found = Survey("wall", ABOUT, covers=(MACHINE,))
    if log is None:
        nothing = "no log of a wall meter was named: set AEROGEL_WALL_LOG to the CSV file that it writes"
        return Survey("wall", ABOUT, covers=(MACHINE,), obstacle=nothing, present=False)
    try:
        columns = _columns(log)
    except MeasureError as error:
        return Survey("wall", ABOUT, covers=found.covers, obstacle=str(error))
    return Survey("wall", ABOUT, (str(log),), covers=found.covers, begin=lambda: Log(log, columns))


class Log:
    """The log from now to ``finish``; it writes itself."""

    pause_s = float("inf")

    def __init__(self, log: Path, columns: Columns) -> None:
        self._log, self._columns = log, columns
        self._offset = max(0, _size(log) - _TAIL_BYTES)
        self._began_s = time.time()

    def look(self) -> None:
        """Its rows wait."""

    def finish(self) -> Counted:
        ended_s, patience_s = time.time(), _PATIENCE_S
        rows = self._rows()
        while not rows or rows[-1].at_s < ended_s:
            if patience_s <= 0 or (rows and ended_s - rows[-1].at_s > MOST_SPARSE * _interval_s(rows)):
                break
            time.sleep(_RETRY_S)
            patience_s -= _RETRY_S
            rows = self._rows()
        return between(self._log, self._columns, rows, self._began_s, ended_s)

    def _rows(self) -> list[Row]:
        rows = list(_read(self._log, self._columns, self._offset))
        if self._offset and (not rows or rows[0].at_s > self._began_s):
            self._offset = 0  # it was begun anew, or its rows are longer than most
            rows = list(_read(self._log, self._columns, 0))
        return rows


def between(log: Path, columns: Columns, rows: list[Row], began_s: float, ended_s: float) -> Counted:
    """What the meter shows between two times in seconds since 1970. MeasureError where its rows do not reach
    so far on both sides, or leave a gap."""
    require(rows, MeasureError, f"{log} has no rows yet: is the logger running?")
    for what, at_s, missing_s in (
        ("begins", rows[0].at_s, rows[0].at_s - began_s),
        ("ends", rows[-1].at_s, ended_s - rows[-1].at_s),
    ):
        side = "after the block began" if what == "begins" else "before the block ended"
        require(
            missing_s <= 0,
            MeasureError,
            f"{log} {what} at {_utc(at_s)}, {missing_s:.1f} s {side}: does its logger run?",
        )
    first = max(index for index, row in enumerate(rows) if row.at_s <= began_s)
    last = min(index for index, row in enumerate(rows) if row.at_s >= ended_s)
    used = rows[first : last + 1]
    interval_s = _interval_s(rows)
    if columns.kind == "watts":
        joules, low, high = _integrate(str(log), used, interval_s, began_s, ended_s)
    else:
        joules, low, high = _subtract(log, used, began_s, ended_s)
    _require_likely(log, joules / (ended_s - began_s) if ended_s > began_s else used[0].value, columns.kind)
    part = Part("wall", log.name, MACHINE, joules, low, high)
    known = f"whatever hangs on it; a row every {interval_s:.3g} s; its own error unknown"
    about = f"wall meter, by its log {log} ({known})"
    return Counted((part,), about, covers="whole computer at the wall")


def _require_likely(log: Path, watts: float, kind: Kind) -> None:
    unit = "watts" if kind == "watts" else "in the unit that its column is named after"
    told = f"{log} says that the computer drew {watts:.3g} W"
    doubt = f"does the meter hang on it, and are its numbers {unit}?"
    require(_LEAST_WATTS <= watts <= _MOST_WATTS, MeasureError, f"{told}: {doubt}")


def _interval_s(rows: list[Row]) -> float:
    """The usual time between two rows."""
    gaps = [later.at_s - row.at_s for row, later in pairwise(rows)]
    return median(gaps) if gaps else 1.0


def _integrate(
    label: str, rows: list[Row], interval_s: float, began_s: float, ended_s: float
) -> tuple[float, float, float]:
    """Joules, and their bounds: a row may be an average over the time since the one before."""
    for row, later in pairwise(rows):
        gap_s = later.at_s - row.at_s
        require(
            gap_s <= MOST_SPARSE * interval_s,
            MeasureError,
            f"{label} has no row for {gap_s:.1f} s after {_utc(row.at_s)}, else one every {interval_s:.2g} s",
        )
    watts = [_at(rows, began_s), *(row for row in rows if began_s < row.at_s < ended_s), _at(rows, ended_s)]
    integral = Integral.begin(label, interval_s, Power(watts[0].at_s, watts[0].value))
    for row in watts[1:]:
        integral = integral.then(Power(row.at_s, row.value))
    # The rows on both sides are known, so nothing outside them is missing.
    low, high = integral.bounds(interval_s, integral.most, 0.0)
    return integral.joules, low, high


def _subtract(log: Path, rows: list[Row], began_s: float, ended_s: float) -> tuple[float, float, float]:
    """Joules, and their bounds: at each end, what was counted since the row before is not known."""
    require(
        all(row.value <= later.value for row, later in pairwise(rows)),
        MeasureError,
        f"{log}: what the meter has counted goes down between {_utc(rows[0].at_s)} and {_utc(rows[-1].at_s)}",
    )
    joules = _at(rows, ended_s).value - _at(rows, began_s).value
    require(
        joules > 0, MeasureError, f"{log}: the meter did not move in the block, which was too short for it"
    )
    inner = [row.value for row in rows if began_s <= row.at_s <= ended_s] or [0.0]
    low = max(0.0, inner[-1] - inner[0] - rows[0].step)
    return joules, low, rows[-1].value - rows[0].value + rows[0].step


def _at(rows: list[Row], at_s: float) -> Row:
    """What a straight line between two rows shows at a time."""
    for row, later in pairwise(rows):
        if row.at_s <= at_s <= later.at_s:
            share = (at_s - row.at_s) / (later.at_s - row.at_s)
            return Row(at_s, row.value + share * (later.value - row.value), row.step)
    return Row(at_s, rows[-1].value, rows[-1].step)


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _columns(log: Path) -> Columns:
    """What the first line says. MeasureError where it names no time or no value."""
    try:
        with log.open(encoding="utf-8-sig", errors="replace") as file:
            head = file.readline(4096).strip()
    except OSError as error:
        raise MeasureError(
            f"the log of the wall meter cannot be read: {log}: {error.strerror or error}"
        ) from error
    delimiter = max(",;\t", key=head.count)
    names = [_name(cell) for cell in _cells(head, delimiter)]
    times = [index for index, name in enumerate(names) if name in _TIMES]
    powers = [index for index, name in enumerate(names) if name in _POWERS]
    counts = [
        (index, _COUNTS[name.removeprefix("energy_")])
        for index, name in enumerate(names)
        if name.removeprefix("energy_") in _COUNTS
    ]
    require(
        times and (powers or counts),
        MeasureError,
        f"{log}: its first line, {head[:80]!r}, names no column for the time and one for watts or kwh",
    )
    if powers:
        return Columns(times[0], powers[0], "watts", 1.0, delimiter, len(names))
    return Columns(times[0], counts[0][0], "joules", counts[0][1], delimiter, len(names))


def _name(cell: str) -> str:
    """``Power (W)`` is ``power_w``, ``Energy [kWh]`` is ``energy_kwh``."""
    return re.sub(r"[\W_]+", "_", cell.lower()).strip("_")


def _cells(text: str, delimiter: str) -> list[str]:
    """As CSV has them, in quotes or not."""
    return [cell.strip() for row in csv.reader([text], delimiter=delimiter) for cell in row]


def _read(log: Path, columns: Columns, offset: int) -> Iterator[Row]:
    """The rows from the first line that begins after ``offset``, without the names of the columns.
    MeasureError, naming the line, where one cannot be understood; the last may still be half written."""
    try:
        with log.open("rb") as file:
            file.seek(offset)
            file.readline()
            lines = file.read().split(b"\n")
    except OSError as error:
        raise MeasureError(f"{log} cannot be read: {error.strerror or error}") from error
    before_s = float("-inf")
    for line in lines[:-1]:  # what follows the last end of a line is not finished
        text = line.decode("utf-8", "replace").strip()
        if not text:
            continue
        row = _row(log, columns, text)
        require(row.at_s >= before_s, MeasureError, f"{log}: the times of its rows go back at {text[:80]!r}")
        if row.at_s > before_s:
            before_s = row.at_s
            yield row


def _row(log: Path, columns: Columns, text: str) -> Row:
    try:
        cells = _cells(text, columns.delimiter)
    except csv.Error as error:
        raise MeasureError(f"{log}: the row {text[:80]!r} cannot be understood: {error}") from error
    extra = [cell for cell in cells[columns.count :] if cell]
    # "61,4" between commas would be 61 W, and nobody would notice.
    told = "has more fields than the first line has names: decimal commas need semicolons between the fields"
    require(not extra, MeasureError, f"{log}: the row {text[:80]!r} {told}")
    try:
        said = cells[columns.value].replace(",", ".")
        value = float(said)
        at_s = _seconds(cells[columns.time])
    except (IndexError, ValueError, OverflowError) as error:
        raise MeasureError(
            f"{log}: the row {text[:80]!r} has no time or no number where they should be"
        ) from error
    require(
        0 <= value < float("inf"), MeasureError, f"{log}: the row {text[:80]!r} shows no power and no energy"
    )
    digits = len(said.partition(".")[2])
    return Row(at_s, value * columns.scale, 10.0**-digits * columns.scale)


def _seconds(text: str) -> float:
    """Since 1970; ValueError where the text is no time."""
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return datetime.fromisoformat(text).timestamp()
    if not number < 1e20:
        raise ValueError(text)
    # Seconds have 10 digits from 2001 to 2286.
    while number > 1e11:
        number /= 1e3
    return number


def _utc(at_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
