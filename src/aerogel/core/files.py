"""Files: written so that there is either the old one or the new one, read so that errors name them."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from aerogel.core.errors import InputError, require


def read_json(path: Path) -> Any:
    """What a JSON file holds; InputError, naming it, where it cannot be read or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """``read_json`` of a file that must hold an object."""
    read = read_json(path)
    require(isinstance(read, dict), InputError, f"{path} must hold a JSON object")
    return read


def replace_file(path: Path, fill: Callable[[IO[bytes]], None]) -> None:
    """Write beside ``path`` with ``fill(file)``, then rename over it.

    InputError, and the old file stays, where the folder is missing or not writable or the disk is full."""
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path} could not be written ({reason}): the old file, if any, is kept") from error
    finally:
        if temporary is not None:
            # After the rename it is gone already.
            with contextlib.suppress(OSError):
                Path(temporary).unlink()


def write_file(path: Path, raw: bytes) -> None:
    """``replace_file`` with what is known beforehand."""

    def fill(file: IO[bytes]) -> None:
        file.write(raw)

    replace_file(path, fill)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
