"""The file of a sweep: a line of JSON for each point that is done, so that a sweep that was killed goes on.

The first line binds the file to the work and the base fabric by a digest. Each line is on the disk before the
next point is asked for; a last line that was cut off is done again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from aerogel.chip.sweep.outcome import Outcome
from aerogel.core.errors import FormatError, InputError, require

FORMAT, VERSION = "aerogel chip sweep", 1


class Record:
    """The file at ``path``; None: nothing is kept. ``done``: what it holds already, by the point's name."""

    def __init__(self, path: Path | None, digest: str, about: dict[str, Any]) -> None:
        """FormatError for a file that is no sweep, InputError for one of other work, and where none can be
        written."""
        self.path, self.done = path, dict[str, Outcome]()
        if path is None:
            return
        try:
            whole = path.read_bytes() if path.exists() else b""
            lines = whole.split(b"\n")
            # What follows the last end of a line was cut off while it was written.
            lines.pop()
            if not lines:
                header = {"format": FORMAT, "version": VERSION, "digest": digest, **about}
                path.write_bytes(_line(header))
                return
            self._read(lines, digest)
            kept = sum(len(line) + 1 for line in lines)
            if kept != len(whole):
                os.truncate(path, kept)
        except OSError as error:
            raise InputError(f"the sweep {path} cannot be kept: {error.strerror or error}") from error

    def _read(self, lines: list[bytes], digest: str) -> None:
        header = _parsed(lines[0], f"{self.path}, line 1")
        own = isinstance(header, dict) and header.get("format") == FORMAT
        require(own, FormatError, f"{self.path} is no sweep: give another file, or none that is there")
        require(
            header.get("version") == VERSION,
            FormatError,
            f"{self.path} is of version {header.get('version')!r} of sweeps, and this reads {VERSION}",
        )
        require(
            header.get("digest") == digest,
            InputError,
            f"{self.path} is a sweep of other work, operands, energies or base fabric: give another file",
        )
        for number, line in enumerate(lines[1:], 2):
            where = f"{self.path}, line {number}"
            found = Outcome.from_json(_parsed(line, where), where)
            self.done[found.point] = found

    def add(self, outcome: Outcome) -> None:
        """Keeps a point; InputError where the disk is full."""
        self.done[outcome.point] = outcome
        if self.path is None:
            return
        try:
            with self.path.open("ab") as file:
                file.write(_line(outcome.to_json()))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"the sweep {self.path} cannot be kept: {error.strerror or error}") from error


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, allow_nan=False).encode() + b"\n"


def _parsed(line: bytes, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is no JSON: the file is damaged: give another") from error
