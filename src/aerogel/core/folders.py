"""Folders: written so that there is either the old one or the whole new one."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from aerogel.core.errors import InputError


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
