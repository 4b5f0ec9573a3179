"""Folders: written so that there is either the old one or the whole new one."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from aerogel.core.errors import InputError, require


def require_place(path: Path, size_bytes: int = 0) -> None:
    """InputError unless a file or folder may be written at ``path``, of so many bytes: said before the work
    whose result goes there."""
    folder = path.resolve().parent
    require(folder.is_dir(), InputError, f"{path} cannot be written: there is no folder {folder}")
    may = os.access(folder, os.W_OK | os.X_OK)
    require(may, InputError, f"{path} cannot be written: {folder} may not be written to by this user")
    free = shutil.disk_usage(folder).free
    room = f"{path} cannot be written: {folder} has {free / 1e6:.0f} MB free of {size_bytes / 1e6:.0f} needed"
    require(size_bytes <= free, InputError, room)


def replace_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make an empty folder beside ``path``, fill it with ``fill(folder)``, then let it take the place of
    ``path``, and delete what was there.

    InputError, and what was there stays, where a folder cannot be made or written or the disk is full."""
    place = path.resolve()
    mark = secrets.token_hex(4)
    beside, aside = (place.with_name(f".{place.name}.{mark}.{end}") for end in ("part", "old"))
    try:
        beside.mkdir()
        fill(beside)
        _sync(beside)
        _swap(beside, place, aside)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path} could not be written ({reason}): what was there is kept") from error
    finally:
        # Once all went well neither is there, or only the old one.
        shutil.rmtree(beside, ignore_errors=True)
        if place.exists():
            shutil.rmtree(aside, ignore_errors=True)


def _swap(beside: Path, place: Path, aside: Path) -> None:
    """A folder with something in it cannot be renamed over: the old one steps aside first."""
    if not place.exists():
        beside.rename(place)
        return
    place.rename(aside)
    try:
        beside.rename(place)
    except BaseException:
        aside.rename(place)
        raise


def _sync(folder: Path) -> None:
    """What a crash of the system must not lose has to be on the disk before it is renamed."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
