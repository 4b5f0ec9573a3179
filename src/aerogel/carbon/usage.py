"""Lists of usage: kWh of a bill, hours of instances, tokens of a service, as runs for the ledger.

    began,until,scope,place,facility,label,kwh,hours,vcpus,units,unit,money,currency
    2026-10,,2,FRA,on-premises,server room,412,,,,,81.20,EUR
    2026-10,,3.1,aws/eu-west-1,,m5.xlarge,,720,4,,,141.12,USD
    2026-10,,3.1,unknown,,chat service,,,,5200000,token,26.00,USD

One line is one run. What is not known is left empty, and is not zero. A place must be there, or be called
"unknown". Energy is kwh, or watts x hours x count, or joules_per_unit x units, each with low_ and high_
columns where it has bounds; for want of these it lies within bounds by the vCPUs, or by the design power of
GPUs; for want of those it is not known.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aerogel.carbon.amount import Amount
from aerogel.carbon.factor import Book
from aerogel.carbon.period import Period, period_of
from aerogel.carbon.places import place_named
from aerogel.carbon.row import text_of
from aerogel.carbon.run import Method, Run, utc
from aerogel.core.errors import InputError, require
from aerogel.core.suggest import meant

UNKNOWN = "unknown"
_J_PER_KWH = 3.6e6
_NAMES = (
    "kind",
    "label",
    "scope",
    "place",
    "unit",
    "hardware",
    "model",
    "pair",
    "role",
    "facility",
    "currency",
)
_MEASURES = ("kwh", "watts", "joules_per_unit")
_BOUNDS = tuple(f"{end}_{measure}" for measure in _MEASURES for end in ("low", "high"))
_NUMBERS = (
    *_MEASURES, *_BOUNDS, "hours", "count", "vcpus", "gpu_watts", "units", "share", "money",
    "flops_gross", "flops_effective",
)  # fmt: skip
COLUMNS = ("began", "until", "source", "covers", *_NAMES, *_NUMBERS)
_SHOWN = 5
_EARLIEST = 1990


@dataclass(frozen=True, slots=True)
class Defaults:
    """What lines that leave a column empty, or lack it, are taken to say."""

    scope: str | None = None
    place: str | None = None
    facility: str | None = None
    kind: str = "usage"


def read_usage(path: Path, book: Book, defaults: Defaults | None = None) -> list[Run]:
    """The runs of a CSV file, separated by commas or semicolons.

    The same line gives the same id, whatever its file is called: a list that is imported twice counts once.
    InputError, naming each line that cannot be taken and why: then none is."""
    rows = _rows(path)
    runs: list[Run] = []
    wrong: list[str] = []
    for number, row in rows:
        try:
            runs.append(_run(_Line(row, defaults or Defaults(), book), f"{path.name}, line {number}"))
        except InputError as error:
            wrong.append(f"line {number}: {error}")
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    said = (
        f"{path}: {len(wrong)} of {len(rows)} lines cannot be taken, so none is: {'; '.join(wrong[:_SHOWN])}"
    )
    require(not wrong, InputError, said + more)
    require(runs, InputError, f"{path} has no lines of usage below its head")
    return _named(runs)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from error
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in head else ",", strict=True)
    try:
        _require_columns([(name or "").strip().lower() for name in reader.fieldnames or ()], path)
        return [(reader.line_num, _cells(row, path, reader.line_num)) for row in reader if any(row.values())]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from error


def _require_columns(names: Sequence[str], path: Path) -> None:
    for name in names:
        if name not in COLUMNS:
            raise InputError(f"{path} has a column {name!r}, which is not known: {meant(name, COLUMNS)}")
    twice = [name for name, times in Counter(names).items() if times > 1]
    require(not twice, InputError, f"{path} has the column {', '.join(twice)} twice")
    require("began" in names, InputError, f"{path} has no column began: when each thing happened, as 2026-10")


def _cells(row: Mapping[Any, Any], path: Path, line: int) -> dict[str, str]:
    require(None not in row, InputError, f"{path}, line {line}: more cells than the head has names")
    return {name.strip().lower(): (cell or "").strip() for name, cell in row.items()}


@dataclass(frozen=True, slots=True)
class _Line:
    cells: Mapping[str, str]
    defaults: Defaults
    book: Book

    def text(self, name: str) -> str | None:
        said = self.cells.get(name) or None
        # What a terminal obeys, and no workbook can hold.
        good = said is None or all(unicodedata.category(letter) != "Cc" for letter in said)
        require(good, InputError, f"{name} is {said!r}: leave out what is no letter")
        return said

    def needed(self, name: str, default: str | None, example: str) -> str:
        found = self.text(name) or default
        if found is None:
            raise InputError(f"no {name}: give one, such as {example}")
        return found

    def number(self, name: str) -> float | None:
        said = self.text(name)
        if said is None:
            return None
        try:
            value = float(said)
        except ValueError:
            value = math.nan
        good = math.isfinite(value) and value >= 0 and "_" not in said
        require(good, InputError, f"{name} is {said!r}: write a number from 0 on as 1234.5")
        return value

    def measured(self, name: str, unit: str) -> Amount | None:
        """``name`` with ``low_name`` and ``high_name``: any of the three, but not one bound alone."""
        value, low, high = (self.number(column) for column in (name, f"low_{name}", f"high_{name}"))
        require((low is None) == (high is None), InputError, f"{name} has one bound of two")
        if low is None or high is None:
            return None if value is None else Amount.exact(value, unit)
        return Amount(value, low, high, unit)


def _run(line: _Line, where: str) -> Run:
    period = _period(line)
    hours = _hours(line, period.seconds)
    energy, method, how = _energy(line, hours)
    joules = (None, None, None) if energy is None else (energy.value, energy.low, energy.high)
    names = {name: line.text(name) for name in ("unit", "model", "pair", "role", "currency")}
    numbers = {
        name: line.number(name) for name in ("units", "share", "money", "flops_gross", "flops_effective")
    }
    fields: dict[str, Any] = {
        "kind": line.needed("kind", line.defaults.kind, "usage"),
        "label": line.text("label") or f"usage of {line.text('began')}",
        "began": utc(period.begin),
        "seconds": hours * 3600,
        "scope": line.needed("scope", line.defaults.scope, "2 for own hardware, 3.1 for what was bought"),
        "place": _place(line),
        "joules": joules[0],
        "low": joules[1],
        "high": joules[2],
        "method": method,
        "source": "; ".join(part for part in (line.text("source"), where.partition(",")[0], how) if part),
        "covers": line.text("covers") or "",
        "facility": _known(line, "facility", "pue", line.defaults.facility),
        "hardware": _known(line, "hardware", "embodied", None),
        **names,
        **numbers,
    }
    return Run(**fields)


def _period(line: _Line) -> Period:
    """What is over, or has begun: a list of usage tells what happened."""
    began = line.needed("began", None, "2026-10")
    period = period_of(began, line.text("until"))
    said = f"it began at {began}, which is to come: a list of usage tells what happened"
    require(period.begin <= datetime.now(UTC), InputError, said)
    said = f"it began at {began}: no factor goes back before {_EARLIEST}"
    require(period.begin.year >= _EARLIEST, InputError, said)
    return period


def _known(line: _Line, name: str, factor: str, default: str | None) -> str | None:
    """A name there is a factor of: a ledger is only added to, so one misspelt there would stay for good."""
    said = line.text(name) or default
    if said is not None:
        line.book.find(f"{factor}/{said}")
    return said


def _hours(line: _Line, seconds: float | None) -> float:
    """Of all machines together."""
    hours, count = line.number("hours"), line.number("count")
    if hours is None and seconds is None:
        raise InputError(
            "how long it took is not known: give hours or until, or a day, month or year as began"
        )
    each = hours if hours is not None else (seconds or 0) / 3600
    return each * (1.0 if count is None else count)


def _place(line: _Line) -> str | None:
    said = line.needed("place", line.defaults.place, "FRA or aws/eu-west-1, or unknown")
    return None if said.lower() == UNKNOWN else place_named(said)


def _energy(line: _Line, hours: float) -> tuple[Amount | None, Method, str]:
    """In joules; how it was found, and by what."""
    given = [name for name in _MEASURES if line.measured(name, "") is not None]
    require(
        len(given) < 2, InputError, f"energy is told twice, by {' and '.join(given)}: leave one of them out"
    )
    kwh = line.measured("kwh", "kWh")
    if kwh is not None:
        return kwh.scaled(_J_PER_KWH, "J"), "imported", ""
    watts = line.measured("watts", "W")
    if watts is not None:
        return watts.scaled(hours * 3600, "J"), "imported", "watts x hours"
    each, units = line.measured("joules_per_unit", "J"), line.number("units")
    if each is not None:
        require(units is not None, InputError, "joules_per_unit is given, and no units")
        return each.scaled(units or 0.0), "imported", "joules per unit x units"
    return _bounded(line, hours)


def _bounded(line: _Line, hours: float) -> tuple[Amount | None, Method, str]:
    """Between bounds, by what the instance has; None where that is not known."""
    parts: list[tuple[Amount, str]] = []
    for column, key in (("vcpus", "power/vcpu"), ("gpu_watts", "power/gpu-of-tdp")):
        number = line.number(column)
        if number is not None:
            factor = line.book.find(key)
            parts.append((factor.amount.scaled(number, "W"), f"{column} x {factor.amount} ({factor.source})"))
    if not parts:
        return None, "not measured", "energy not known"
    watts = Amount.total((amount for amount, _ in parts), "W")
    return watts.scaled(hours * 3600, "J"), "not measured", "; ".join(how for _, how in parts)


def _named(runs: Sequence[Run]) -> list[Run]:
    """With ids by what they say, and by how many before them say the same."""
    seen: Counter[str] = Counter()
    named: list[Run] = []
    for run in runs:
        said = text_of(replace(run, id="0" * 32, source=""))
        seen[said] += 1
        named.append(replace(run, id=hashlib.sha256(f"{seen[said]}\n{said}".encode()).hexdigest()[:32]))
    return named
