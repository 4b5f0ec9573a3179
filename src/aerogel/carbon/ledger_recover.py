"""Looking a ledger over, and putting one together again from the database and the copy beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aerogel.carbon.ledger import Ledger
from aerogel.carbon.ledger_file import last_row, opened, read_row, read_rows, require_intact, require_ledger
from aerogel.carbon.row import Row, first_fault
from aerogel.carbon.run import Run
from aerogel.core.errors import AerogelError, FormatError, InputError, require


@dataclass(frozen=True, slots=True)
class Check:
    """Sound rows in the database (``rows``) and in the copy (``copied``); ``faults`` in words, () if all is
    well."""

    rows: int
    copied: int
    faults: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        return {"rows": self.rows, "copied": self.copied, "faults": list(self.faults)}


@dataclass(frozen=True, slots=True)
class Recovery:
    """``runs`` runs were saved: ``from_copy`` of them stood in the copy alone, ``lost`` rows in neither."""

    runs: int
    from_copy: int
    lost: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        return {"runs": self.runs, "from_copy": self.from_copy, "lost": list(self.lost)}


def check(ledger: Ledger) -> Check:
    """Everything there is to find wrong with a ledger; InputError where there is none."""
    there = ledger.path.exists() or ledger.copy.path.exists()
    require(there, InputError, f"there is no ledger at {ledger.path}")
    faults: list[str] = []
    rows: list[Row] = []
    try:
        rows = ledger.rows()
        with opened(ledger.path, ledger.advice, write=False) as db:
            require_intact(db, ledger.path, ledger.advice)
    except AerogelError as error:
        faults.append(str(error))
        rows = [row for row in _salvaged(ledger).values() if row.sound]
    copied = ledger.copy.rows()
    sound = [row for row in copied if row is not None]
    if len(sound) < len(copied):
        faults.append(
            f"{ledger.copy.path}: {len(copied) - len(sound)} lines are damaged; the next run mends them"
        )
    elif not faults and first_fault(sound) is not None:
        faults.append(f"{ledger.copy.path}: its rows do not follow each other")
    elif not faults and len(sound) < len(rows):
        faults.append(
            f"{ledger.copy.path} lacks {len(rows) - len(sound)} rows; the next run that is added mends it"
        )
    return Check(len(rows), len(sound), tuple(faults))


def recover(ledger: Ledger, to: Path) -> Recovery:
    """Write every run that is sound in the database or the copy of ``ledger`` to a new ledger at ``to``.

    InputError where something is at ``to`` already; FormatError where nothing is sound. ``ledger`` stays as
    it is: it is evidence."""
    new = Ledger(to)
    for path in (new.path, new.copy.path):
        require(not path.exists(), InputError, f"{path} is there already: name a new file")
    copied = {row.number: row for row in ledger.copy.rows() if row is not None}
    held = {number: row for number, row in _salvaged(ledger).items() if row.sound}
    every = copied | held
    require(every, FormatError, f"nothing can be saved: no row of {ledger.path}, nor of its copy, is sound")
    lost = tuple(sorted(set(range(1, max(every) + 1)) - set(every)))
    new.add(_runs(every[number] for number in sorted(every)))
    return Recovery(len(every), len(set(copied) - set(held)), lost)


def _runs(rows: Iterable[Row]) -> list[Run]:
    return [row.run for row in rows]


def _salvaged(ledger: Ledger) -> dict[int, Row]:
    """What the database gives, row by row where it does not give them all at once."""
    if not ledger.path.is_file():
        return {}
    try:
        with opened(ledger.path, ledger.advice, write=False) as db:
            require_ledger(db, ledger.path, ledger.advice)
            rows = read_rows(db)
    except AerogelError:
        return _one_by_one(ledger)
    return {row.number: row for row in rows}


def _one_by_one(ledger: Ledger) -> dict[int, Row]:
    found: dict[int, Row] = {}
    for number in range(1, _reach(ledger) + 1):
        try:
            with opened(ledger.path, ledger.advice, write=False) as db:
                row = read_row(db, number)
        except AerogelError:
            continue
        if row is not None:
            found[number] = row
    return found


def _reach(ledger: Ledger) -> int:
    """The highest number that a row may have."""
    known = [row.number for row in ledger.copy.rows() if row is not None]
    try:
        with opened(ledger.path, ledger.advice, write=False) as db:
            last = last_row(db)
    except AerogelError:
        last = None
    return max([*known, 0 if last is None else last.number])
