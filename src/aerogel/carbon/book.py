"""The book of factors: those that aerogel brings, and the user's own from a TOML or CSV file before them.

[[factor]]
key = "market/FRA"
value = 12.0                        # low and high where they are known
unit = "gCO2e/kWh"
year = 2026
source = "contract 4711 with the utility"
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from aerogel.carbon.factor import Book, Factor, Grade
from aerogel.carbon.grid import country_factors, region_factors
from aerogel.core.errors import InputError, require

_FIELDS = ("key", "value", "low", "high", "unit", "year", "source", "grade", "note")
_NEEDED = ("key", "unit", "source")


def load_book(own: Path | Sequence[Path] = ()) -> Book:
    """All factors, those of the files ``own`` in place of aerogel's under the same keys, later files before
    earlier ones. InputError where a file cannot be read, naming the file and the factor."""
    book = Book([*_brought(), *country_factors()])
    for path in [own] if isinstance(own, Path) else own:
        book = book.with_own(read_factors(path))
    return Book([*book, *region_factors(book)])


def read_factors(path: Path) -> list[Factor]:
    """The factors of a TOML file ([[factor]] tables) or a CSV file (a column for each field).

    Needed: key, unit, source, and a value or both bounds. Bounds that are left out are the value, a grade
    that is left out is "assumed"."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    rows = _csv_rows(text, path) if path.suffix.lower() == ".csv" else _toml_rows(text, path)
    return [_factor(row, f"{path}, factor {number}") for number, row in enumerate(rows, 1)]


@cache
def _brought() -> tuple[Factor, ...]:
    text = files("aerogel.carbon").joinpath("data", "factors.toml").read_text(encoding="utf-8")
    rows = _toml_rows(text, Path("factors.toml"))
    return tuple(_factor(row, f"factors.toml, factor {number}") for number, row in enumerate(rows, 1))


def _toml_rows(text: str, path: Path) -> Iterable[Mapping[str, Any]]:
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    rows = read.get("factor")
    good = isinstance(rows, list) and all(isinstance(row, dict) for row in cast("list[Any]", rows))
    require(good and len(read) == 1, InputError, f"{path} must hold [[factor]] tables, and nothing else")
    return cast("list[dict[str, Any]]", rows)


def _csv_rows(text: str, path: Path) -> list[Mapping[str, Any]]:
    reader = csv.DictReader(line for line in io.StringIO(text) if not line.startswith("#"))
    try:
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from error
    said = f"{path} has a line with more cells than its head has names"
    require(all(None not in row for row in rows), InputError, said)
    return [{str(name).strip(): cell.strip() for name, cell in row.items() if cell} for row in rows]


def _factor(row: Mapping[str, Any], where: str) -> Factor:
    unknown = sorted(set(row) - set(_FIELDS))
    known = f"{where} has {', '.join(map(repr, unknown))}: its fields are {', '.join(_FIELDS)}"
    require(not unknown, InputError, known)
    lacking = [name for name in _NEEDED if row.get(name) in (None, "")]
    require(not lacking, InputError, f"{where} lacks {', '.join(lacking)}")
    value, low, high = (
        _number(row, name, where) if name in row else None for name in ("value", "low", "high")
    )
    low, high = (value if end is None else end for end in (low, high))
    if low is None or high is None:
        raise InputError(f"{where} has neither a value nor both bounds")
    year = _number(row, "year", where) if "year" in row else None
    require(year is None or year.is_integer(), InputError, f"{where}: the year {year} is not a whole one")
    try:
        return Factor(
            key=str(row["key"]),
            value=value,
            low=low,
            high=high,
            unit=str(row["unit"]),
            year=None if year is None else int(year),
            source=str(row["source"]),
            grade=cast("Grade", str(row.get("grade", "assumed"))),
            note=str(row.get("note", "")),
        )
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _number(row: Mapping[str, Any], name: str, where: str) -> float:
    given = row[name]
    try:
        if not isinstance(given, bool):
            return float(given)
    except (TypeError, ValueError):
        pass
    raise InputError(f"{where}: {name} is {given!r}, not a number")
