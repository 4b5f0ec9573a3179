"""Machine code kept between runs, per user. An entry is checked in full before LLVM sees a byte of it.

Whatever is wrong with the cache (unwritable, full, corrupt, someone else's) is logged, and the code is
built again: the cache can make a program faster, never wrong.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import stat
import sys
import tempfile
import time
from pathlib import Path

import llvmlite

from aerogel.core.errors import CacheError

_log = logging.getLogger("aerogel")

# An entry: magic, length of the code, SHA-256 over key and code, code.
_MAGIC = b"AEROCODE"
_HEADER = len(_MAGIC) + 8 + 32
# What a file is called while it is written.
PART = ".part"

# An entry is some 100 KB: thousands of programs.
MOST_BYTES = 512 << 20
# No process writes for so long: what is older was interrupted.
_INTERRUPTED_S = 24 * 3600


def builder() -> str:
    """What builds the code that is kept here: it changes with LLVM and with the machine."""
    return f"llvmlite {llvmlite.__version__} {sys.platform} {platform.machine()}"


def cache_root() -> Path:
    """``AEROGEL_CACHE_DIR``, else ``XDG_CACHE_HOME/aerogel``, else ``~/.cache/aerogel``.

    CacheError where that is in the home of a user who has none, or in a working directory that is gone.
    """
    own = os.environ.get("AEROGEL_CACHE_DIR")
    shared = os.environ.get("XDG_CACHE_HOME")
    # The XDG specification: relative paths are invalid and to be ignored.
    if not own and shared and Path(shared).is_absolute():
        return Path(shared) / "aerogel"
    wanted = own or "~/.cache/aerogel"
    try:
        return Path(wanted).expanduser().absolute()
    except (RuntimeError, OSError) as error:
        raise CacheError(f"there is no cache folder {wanted} ({error}): set AEROGEL_CACHE_DIR") from error


def private_folder(name: str) -> Path:
    """The folder ``name`` in the cache, made if need be; CacheError unless it is this user's alone."""
    folder = cache_root() / name
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise CacheError(f"{folder} is not a folder: remove it, or set AEROGEL_CACHE_DIR")
        if hasattr(os, "geteuid"):
            if found.st_uid != os.geteuid():
                raise CacheError(f"{folder} belongs to user {found.st_uid}: set AEROGEL_CACHE_DIR")
            if stat.S_IMODE(found.st_mode) & 0o077:
                folder.chmod(0o700)
    except OSError as error:
        raise CacheError(
            f"the cache folder {folder} cannot be used ({error}): set AEROGEL_CACHE_DIR"
        ) from error
    return folder


def load(key: str) -> bytes | None:
    """The code stored under ``key``; None if there is none that is whole."""
    try:
        path = private_folder("code") / key
        # Never through a link: what it points at may be anyone's.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
            entry = file.read()
    except FileNotFoundError:
        return None
    except (OSError, CacheError) as error:
        _log.warning("code cache not read: %s", error)
        return None
    code = entry[_HEADER:]
    if entry[:_HEADER] != _header(key, code):
        _log.warning("code cache entry %s is corrupt: it will be rebuilt", path)
        return None
    return code


def store(key: str, code: bytes) -> None:
    """Keep ``code`` under ``key``: written beside, then renamed, so that nobody sees half of it.

    The folder is kept below MOST_BYTES: the entries written first go first.
    """
    try:
        folder = private_folder("code")
        tidy(folder, MOST_BYTES - _HEADER - len(code), key)
        number, beside = tempfile.mkstemp(prefix=f"{key}.", suffix=PART, dir=folder)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(_header(key, code) + code)
            Path(beside).replace(folder / key)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except (OSError, CacheError) as error:
        _log.warning("code cache not written: %s", error)


def tidy(folder: Path, most: int, key: str) -> None:
    """Remove what interrupted processes left, then the oldest entries until at most ``most`` bytes are left
    beside ``key``, which is about to be replaced.

    Of several processes that do so at once, each may find files gone already.
    """
    entries: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(found.st_mode) or path.name == key:
            continue
        if path.suffix != PART:
            entries.append((found.st_mtime, found.st_size, path))
        elif time.time() - found.st_mtime > _INTERRUPTED_S:
            path.unlink(missing_ok=True)
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= most:
            break
        path.unlink(missing_ok=True)
        total -= size


def _header(key: str, code: bytes) -> bytes:
    # The key is part of the digest: whole code under another program's name is refused as well.
    return _MAGIC + len(code).to_bytes(8, "little") + hashlib.sha256(key.encode() + code).digest()
