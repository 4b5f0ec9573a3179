"""The copy of a ledger: every row once more, as a line of text in a file beside it.

A database whose pages are damaged may lose rows that nobody can name. From the copy they are known, and can
be had back. It is written after each commit: where it is ahead of the database, that has lost rows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from aerogel.carbon.row import Row
from aerogel.core.files import replace_file

_TAIL_BYTES = 1 << 16


class Copy:
    """The file ``path``, which need not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def last(self) -> Row | None:
        """The row of the last line; None where there is no file, no line, or one that is not sound."""
        try:
            with self.path.open("rb") as file:
                tail = _tail(file)
        except OSError:
            return None
        # Without its end, a line was cut short while it was written.
        return _row(tail.rstrip(b"\n").rpartition(b"\n")[2]) if tail.endswith(b"\n") else None

    def rows(self) -> list[Row | None]:
        """The row of each line; None for a line that is not sound."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except OSError:
            return []
        return [_row(line) for line in lines if line]

    def append(self, rows: Iterable[Row]) -> None:
        """Write ``rows`` at the end, on to the disk."""
        with self.path.open("ab") as file:
            file.write(b"".join(map(_line, rows)))
            file.flush()
            os.fsync(file.fileno())

    def replace(self, rows: Iterable[Row]) -> None:
        """Write ``rows`` in place of what is there, or nothing of them."""

        def fill(file: IO[bytes]) -> None:
            file.writelines(map(_line, rows))

        replace_file(self.path, fill)


def _tail(file: IO[bytes]) -> bytes:
    """The last lines: at least the last one whole."""
    size = file.seek(0, os.SEEK_END)
    reach = _TAIL_BYTES
    while True:
        file.seek(max(0, size - reach))
        tail = file.read()
        if reach >= size or b"\n" in tail.rstrip(b"\n"):
            return tail
        reach *= 4


def _line(row: Row) -> bytes:
    return json.dumps([row.number, row.id, row.body, row.before, row.digest]).encode() + b"\n"


def _row(line: bytes) -> Row | None:
    try:
        match json.loads(line):
            case [int(number), str(id_), str(body), str(before), str(digest)]:
                row = Row(number, id_, body, before, digest)
                return row if row.sound else None
            case _:
                return None
    except (ValueError, RecursionError):
        return None
