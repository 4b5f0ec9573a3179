"""The ledger: every run that was recorded, in a file of this user's that is only added to.

    ledger = Ledger()                    # in the user's data folder, or where AEROGEL_LEDGER says
    ledger.add([Run.from_reading(meter.reading, kind="inference", label="nightly", scope="2", place="FRA")])
    ledger.runs(since="2026-01-01")

It is an SQLite database on a local disk, with a copy in text beside it (``.copy``) and a file to lock
(``.lock``). A run is kept once it was added: what kills the process, or the machine, after that does not lose
it. Processes that add at once wait for each other. Rows are chained by digests, so damage is found whenever
they are read; ``ledger_recover`` puts a ledger together again from the database and its copy.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import sys
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from aerogel.carbon.ledger_copy import Copy
from aerogel.carbon.ledger_file import (
    BUSY_S,
    create,
    insert,
    opened,
    read_rows,
    require_intact,
    require_ledger,
)
from aerogel.carbon.row import Row, make_rows, require_chain, text_of
from aerogel.carbon.run import Run
from aerogel.core.errors import FormatError, InputError, require

_WAIT_S = 0.01


class Ledger:
    """The ledger at ``path``; None: at AEROGEL_LEDGER, or else in this user's data folder."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = ledger_path() if path is None else path
        self.copy = Copy(self.path.with_name(f"{self.path.name}.copy"))
        self._lock = self.path.with_name(f"{self.path.name}.lock")

    @property
    def advice(self) -> str:
        """What to do about damage."""
        return (
            f"`aerogel carbon ledger --ledger {self.path} --recover NEW` saves what is sound into a new one"
        )

    def add(self, runs: Iterable[Run]) -> int:
        """Keep ``runs``, all or none of them; how many were new. One that is there is not added again.

        InputError where another run has the same id, or the file cannot be written; FormatError where the
        ledger is damaged: nothing is added to one that is."""
        given = list(runs)
        self._make_folder()
        with self._alone(), opened(self.path, self.advice, write=True) as db:
            self._require_not_lost()
            create(db)
            require_ledger(db, self.path, self.advice)
            require_intact(db, self.path, self.advice)
            held = self._checked(db, self.copy.last())
            new = self._new(given, {row.id: row for row in held})
            rows = list(make_rows(new, held[-1] if held else None))
            db.execute("BEGIN IMMEDIATE")
            try:
                insert(db, rows)
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
            self._catch_up([*held, *rows])
        return len(rows)

    def runs(self, since: str | None = None, until: str | None = None) -> list[Run]:
        """Those that began from ``since`` on and before ``until`` (days or times of ISO 8601, in UTC), in the
        order in which they were recorded.

        InputError where there is no ledger; FormatError where it is damaged, whatever the span: a list that
        lacks a run is worse than none."""
        low, high = (None if day is None else _moment(day) for day in (since, until))
        found = [row.run for row in self.rows()]
        return [
            run
            for run in found
            if (low is None or low <= run.began_at) and (high is None or run.began_at < high)
        ]

    def rows(self) -> list[Row]:
        """All rows, checked: every one is sound, none is missing."""
        self._require_there()
        # Read before the database: a writer adds to that first, so its copy is ahead only if rows were lost.
        known = self.copy.last()
        with opened(self.path, self.advice, write=False) as db:
            require_ledger(db, self.path, self.advice)
            return self._checked(db, known)

    def _checked(self, db: sqlite3.Connection, known: Row | None) -> list[Row]:
        """All rows of ``db``; FormatError where one is damaged, or one that the copy knows, ``known``, is not
        among them."""
        rows = read_rows(db)
        require_chain(rows, f"the ledger {self.path}", self.advice)
        copied = 0 if known is None else known.number
        said = f"the ledger {self.path} has lost rows: it holds {len(rows)}, its copy {copied}; {self.advice}"
        require(copied <= len(rows), FormatError, said)
        said = f"the ledger {self.path} and its copy differ in row {copied}; {self.advice}"
        require(known is None or rows[copied - 1] == known, FormatError, said)
        return rows

    def _new(self, given: list[Run], held: Mapping[str, Row]) -> list[Run]:
        new: dict[str, Run] = {}
        for run in given:
            there = new.get(run.id)
            row = held.get(run.id)
            same = (there is None or there == run) and (row is None or row.body == text_of(run))
            said = (
                f"run {run.label!r} has the id {run.id} of another run in {self.path}: give it one of its own"
            )
            require(same, InputError, said)
            if there is None and row is None:
                new[run.id] = run
        return list(new.values())

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"the folder of the ledger {self.path} cannot be made: {error}") from error

    def _require_there(self) -> None:
        self._require_not_lost()
        said = f"there is no ledger at {self.path}: record something with --ledger or AEROGEL_LEDGER first"
        require(self.path.exists(), InputError, said)
        require(not self.path.is_dir(), InputError, f"{self.path} is a folder: name the ledger's file")

    def _require_not_lost(self) -> None:
        """A database that is gone or empty, while its copy has rows, is not a new one."""
        gone = not self.path.exists() or (self.path.is_file() and self.path.stat().st_size == 0)
        if gone and any(self.copy.rows()):
            raise FormatError(f"the ledger {self.path} is lost, its copy is there; {self.advice}")

    def _catch_up(self, rows: Sequence[Row]) -> None:
        """Bring the copy up to the database's ``rows``, whatever became of the process that wrote last."""
        known = self.copy.last()
        if known is not None and rows[known.number - 1] == known:
            self.copy.append(rows[known.number :])
        elif rows or not self.copy.path.exists():
            self.copy.replace(rows)

    @contextlib.contextmanager
    def _alone(self) -> Generator[None]:
        """While no other process adds; InputError where others have been adding for ``BUSY_S``."""
        try:
            lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise InputError(f"the ledger {self.path} cannot be written: {error}") from error
        try:
            _wait_for(lock, self.path)
            yield
        finally:
            os.close(lock)


def ledger_path() -> Path:
    """Where AEROGEL_LEDGER says, or else in the data folder of this user."""
    said = os.environ.get("AEROGEL_LEDGER")
    return Path(said) if said else _data_folder() / "aerogel" / "ledger.sqlite"


def _data_folder() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    given = os.environ.get("XDG_DATA_HOME", "")
    return Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "share"


def _wait_for(lock: int, path: Path) -> None:
    until = time.monotonic() + BUSY_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = f"the ledger {path} is busy: others have been adding to it for {BUSY_S:.0f} s; try again"
            require(time.monotonic() < until, InputError, said)
            time.sleep(_WAIT_S)
        else:
            return


def _moment(text: str) -> datetime:
    try:
        said = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is no time: give a day as 2026-01-31, or a time as 2026-01-31T12:00Z"
        ) from error
    return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)
