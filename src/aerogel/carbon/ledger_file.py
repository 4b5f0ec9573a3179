"""The SQLite file of a ledger: opening it, its table, and what its errors mean to the user."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Sequence
from pathlib import Path

from aerogel.carbon.row import Row
from aerogel.core.errors import FormatError, InputError, refuse, require

SCHEMA = 1
"""Changes whenever the table does; bodies of rows say for themselves what they are."""

BUSY_S = 30.0
"""For how long a writer waits for others."""

_APPLICATION = 0x6165726F  # "aero", by which a stranger's database is told from a ledger
_CREATE = f"""
CREATE TABLE run (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL,
    before TEXT NOT NULL, digest TEXT NOT NULL) STRICT;
CREATE TRIGGER run_is_not_changed BEFORE UPDATE ON run
    BEGIN SELECT RAISE(ABORT, 'a ledger is only added to'); END;
CREATE TRIGGER run_is_not_removed BEFORE DELETE ON run
    BEGIN SELECT RAISE(ABORT, 'a ledger is only added to'); END;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {SCHEMA};
"""
_SELECT = "SELECT number, id, body, before, digest FROM run"


@contextlib.contextmanager
def opened(path: Path, advice: str, *, write: bool) -> Generator[sqlite3.Connection]:
    """The database at ``path``, to be read, or written and made where it is missing.

    FormatError, with ``advice``, where it is damaged; InputError where it cannot be reached or is busy."""
    with telling(path, advice):
        # Read-only opening would fail where a writer was killed: recovery of its log needs to write.
        mode = "rwc" if write else "rw"
        uri = f"{path.resolve().as_uri()}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            connection.execute("PRAGMA synchronous = FULL")
            yield connection
        finally:
            connection.close()


@contextlib.contextmanager
def telling(path: Path, advice: str) -> Generator[None]:
    """Turns errors of SQLite into ones that say what is so, and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        match code:
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                said = (
                    f"the ledger {path} is busy: others have been writing to it for {BUSY_S:.0f} s; try again"
                )
                raise InputError(said) from error
            case (
                sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_FULL
            ):
                said = f"the ledger {path} cannot be used ({error}): it and its folder must be writable"
                raise InputError(said) from error
            case sqlite3.SQLITE_IOERR:
                raise InputError(f"the ledger {path} cannot be read or written ({error})") from error
            case _:
                raise FormatError(f"the ledger {path} is damaged ({error}); {advice}") from error
    except (UnicodeDecodeError, OverflowError) as error:
        raise FormatError(f"the ledger {path} is damaged ({error}); {advice}") from error


def create(connection: sqlite3.Connection) -> None:
    """The table, where the file is new. To be called by one process at a time."""
    if _is_empty(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN IMMEDIATE; {_CREATE} COMMIT;")


def require_ledger(connection: sqlite3.Connection, path: Path, advice: str) -> None:
    """FormatError unless this is a ledger, of a version that is known."""
    application = _pragma(connection, "application_id")
    known = f"{path} is not a ledger of aerogel, or its beginning is damaged; {advice}"
    require(application == _APPLICATION, FormatError, known)
    version = _pragma(connection, "user_version")
    if version > SCHEMA:
        refuse(
            FormatError,
            f"the ledger {path} is of schema {version}, this aerogel knows up to {SCHEMA}: update it",
        )
    require(version == SCHEMA, FormatError, f"the ledger {path} is of no known schema ({version}); {advice}")


def require_intact(connection: sqlite3.Connection, path: Path, advice: str) -> None:
    """FormatError unless SQLite finds the pages, the index and the constraints in order."""
    found = [str(line[0]) for line in connection.execute("PRAGMA integrity_check(3)")]
    require(found == ["ok"], FormatError, f"the ledger {path} is damaged ({'; '.join(found)}); {advice}")


def read_rows(connection: sqlite3.Connection) -> list[Row]:
    """All rows, in order, as they were at one moment."""
    return [_row(r) for r in connection.execute(f"{_SELECT} ORDER BY number").fetchall()]


def read_row(connection: sqlite3.Connection, number: int) -> Row | None:
    """One row, whether or not it is sound."""
    found = connection.execute(f"{_SELECT} WHERE number = ?", (number,)).fetchone()
    return None if found is None else _row(found)


def last_row(connection: sqlite3.Connection) -> Row | None:
    """The last, or None."""
    found = connection.execute(f"{_SELECT} ORDER BY number DESC LIMIT 1").fetchone()
    return None if found is None else _row(found)


def insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Add ``rows``, within the transaction that is open."""
    values = [(r.number, r.id, r.body, r.before, r.digest) for r in rows]
    connection.executemany("INSERT INTO run VALUES (?, ?, ?, ?, ?)", values)


def _row(values: Sequence[object]) -> Row:
    match values:
        case (int(number), str(id_), str(body), str(before), str(digest)):
            return Row(number, id_, body, before, digest)
        case _:
            # No digest fits: the row is told apart as damaged by whoever checks it.
            return Row(0, "", "", "", "")


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
