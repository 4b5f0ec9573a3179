"""The system's files of one number: read, or an error that names them; and the command that opens closed
ones."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from aerogel.core.errors import MeasureError, require

_MOST = 1 << 16
"""Bytes that are read of a file; the system's own have a page at most."""


def read_text(path: Path) -> str:
    """What a file says, without blanks around it. OSError or UnicodeDecodeError where it cannot be read."""
    # Twice a second for as long as anything is metered: a text file of Python's takes five times as long.
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, _MOST).decode("ascii").strip()
    finally:
        os.close(file)


def read_number(path: Path, label: str) -> int:
    """A file with one whole number; MeasureError naming it, and the counter ``label``, otherwise."""
    try:
        text = read_text(path)
    except OSError as error:
        if error.errno == errno.EACCES:
            raise MeasureError(f"{label}: {path} may not be read by this user") from error
        raise MeasureError(f"{label}: {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise MeasureError(f"{label}: {path} holds no number") from error
    fits = text.isdecimal() and len(text) < 19
    require(fits, MeasureError, f"{label}: {path} holds {text[:40]!r}, not a number")
    return int(text)


def grant(files: Iterable[Path]) -> str:
    """The command that opens what this user may not read; "" where that is not what is wrong."""
    closed = [str(file) for file in files if _is_closed(file)]
    return f"until the next boot: sudo chmod a+r {shlex.join(closed)}" if closed else ""


def _is_closed(file: Path) -> bool:
    try:
        read_text(file)
    except OSError as error:
        return error.errno == errno.EACCES  # a device that is asleep says EPERM, which no mode changes
    except UnicodeDecodeError:
        return False
    return False
