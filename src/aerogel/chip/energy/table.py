"""The table of actions: what aerogel brings, and the user's own entries in their place, from one file.

    node = 16                       # of the chip, in nm; 12 where it is left out

    [[entry]]
    key = "network/wire"
    value = 0.05                    # low and high where they are known
    unit = "pJ/bit/mm"
    node = 16                       # that the value is for
    volts = 0.8
    rule = "wire"
    source = "our own layout, 2026"
    grade = "published"

The same may stand in a fabric's file, under ``[energy]`` and ``[[energy.entry]]``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from aerogel.chip.energy.entry import Entry
from aerogel.core.errors import ChipError, InputError, require
from aerogel.core.suggest import meant

_FIELDS = tuple(field.name for field in fields(Entry) if field.name != "own")
_NEEDED = ("key", "value", "unit", "node", "volts", "rule", "source", "grade")
_TEXTS = ("key", "unit", "rule", "source", "grade", "note")


@dataclass(frozen=True, slots=True)
class Table:
    """``node``: of the chip, in nm. Entries by their keys."""

    entries: Mapping[str, Entry]
    node: float = 12.0

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def entry(self, key: str) -> Entry:
        """ChipError where there is none: an action without an entry has no energy, not energy 0."""
        if key in self.entries:
            return self.entries[key]
        hint = meant(key, self.entries)
        raise ChipError(f"there is no entry {key!r} in the energy table or a file of your own: {hint}")

    def at(self, key: str, volts: float) -> float:
        """An entry on this chip at ``volts``, in the entry's unit."""
        return self.entry(key).at(self.node, volts)

    def with_value(self, key: str, value: float) -> Table:
        """The same with one entry set to another value."""
        changed = {**self.entries, key: self.entry(key).set(value)}
        return replace(self, entries=MappingProxyType(changed))


def load_table(own: Path | str | None = None) -> Table:
    """The table that comes with aerogel, entries and node of the file ``own`` in place of its.

    InputError where the file cannot be read; ChipError where it says what cannot be, or replaces an entry by
    one in another unit."""
    brought = _brought()
    if own is None:
        return brought
    path = Path(own)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise InputError(f"the energy table {path} cannot be read: {why}") from error
    return parse_table(text, str(path), brought)


def parse_table(text: str, source: str, base: Table | None = None) -> Table:
    """The table that a file's text describes, over ``base``; ``source`` names the file in messages."""
    try:
        said: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"the energy table {source} is no TOML: {error}") from error
    # A fabric's file, of which ours is one part; that part may be missing.
    if "name" in said or "based_on" in said:
        said = said.get("energy", {})
    unknown = sorted(set(said) - {"node", "entry"})
    told = f"{source} has {', '.join(unknown)}: a table of energies has node and [[entry]] tables"
    require(not unknown, ChipError, told)
    base = base or Table({})
    entries = dict(base.entries)
    rows = said.get("entry", [])
    tables = isinstance(rows, list) and all(isinstance(row, dict) for row in cast("list[Any]", rows))
    require(tables, ChipError, f"entry of {source} is no list of tables: write [[entry]] above each")
    for number, row in enumerate(cast("list[dict[str, Any]]", rows), 1):
        entry = _entry(row, f"{source}, entry {number}", own=bool(base.entries))
        old = entries.get(entry.key)
        told = f"{source}: {entry.key} is in {entry.unit!r}, but what it replaces is in {old and old.unit!r}"
        require(old is None or old.unit == entry.unit, ChipError, told)
        entries[entry.key] = entry
    node = said.get("node", base.node)
    told = f"node of {source} is {node!r}: it takes a number of nm"
    require(isinstance(node, (int, float)) and not isinstance(node, bool), ChipError, told)
    return Table(MappingProxyType(entries), float(node))


@cache
def _brought() -> Table:
    text = files("aerogel.chip.energy").joinpath("data", "actions.toml").read_text(encoding="utf-8")
    return parse_table(text, "actions.toml")


def _entry(row: Mapping[str, Any], where: str, *, own: bool) -> Entry:
    for name in row:
        if name not in _FIELDS:
            raise ChipError(f"{where} has {name!r}: {meant(name, _FIELDS)}")
    lacking = [name for name in _NEEDED if name not in row]
    require(not lacking, ChipError, f"{where} lacks {', '.join(lacking)}")
    for name in _FIELDS:
        if name in row:
            text, given = name in _TEXTS, row[name]
            kinds = (str,) if text else (int, float)
            told = f"{where}: {name} is {given!r}, not a {'text' if text else 'number'}"
            require(isinstance(given, kinds) and not isinstance(given, bool), ChipError, told)
    filled = {"low": row["value"], "high": row["value"], **row}
    try:
        return Entry(**filled, own=own)
    except ChipError as error:
        raise ChipError(f"{where}: {error}") from error
