"""Looking inside: ``AEROGEL_DUMP=folder`` writes every stage, ``AEROGEL_PERF=1`` names the code for perf."""

from __future__ import annotations

import logging
import os
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aerogel.core.errors import InputError
from aerogel.core.target import Target
from aerogel.loop.nodes import Module
from aerogel.loop.printer import show

if TYPE_CHECKING:
    from aerogel.native.codegen import Build

_log = logging.getLogger("aerogel")


def dump_folder() -> Path | None:
    """Where stages are to be written, if at all; InputError for the home of an unknown user."""
    wanted = os.environ.get("AEROGEL_DUMP")
    try:
        return Path(wanted).expanduser() if wanted else None
    except RuntimeError as error:
        raise InputError(f"AEROGEL_DUMP={wanted}: {error}") from error


def dump(folder: Path, key: str, module: Module, target: Target, build: Build) -> None:
    """Write Loop IR, LLVM, optimised LLVM and assembly as ``name-target-key.*``."""
    stem = f"{re.sub(r'[^A-Za-z0-9_.-]', '_', module.name)}-{target.name}-{key[:8]}"
    stages = {"loop": show(module), "ll": build.given, "opt.ll": build.optimised, "s": build.assembly}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, text in stages.items():
            (folder / f"{stem}.{suffix}").write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"AEROGEL_DUMP={folder}: {error}") from error


def perf_wanted() -> bool:
    """Whether symbols are to be written for ``perf report``."""
    return os.environ.get("AEROGEL_PERF") == "1"


def perf_map() -> Path:
    """The file in which perf looks for this process's generated code."""
    return Path(f"/tmp/perf-{os.getpid()}.map")  # noqa: S108 (perf looks nowhere else)


def write_perf_map(module: str, sizes: Mapping[str, int], addresses: Mapping[str, int]) -> None:
    """Append one line per function: address, size, name. A map that cannot be written is logged: perf then
    shows addresses, and the program runs all the same."""
    lines = [f"{addresses[name]:x} {size:x} aerogel:{module}:{name}\n" for name, size in sizes.items()]
    # Others may write to /tmp as well: never through a link of theirs.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(perf_map(), flags, 0o600), "a") as file:
            file.writelines(lines)
    except OSError as error:
        _log.warning("AEROGEL_PERF: no names for perf: %s", error)


_SYMTAB, _FUNCTION, _GLOBAL = 2, 2, 1


def function_sizes(code: bytes) -> dict[str, int]:
    """Bytes of machine code per exported function of a 64-bit little-endian ELF object; else empty."""
    if code[:6] != b"\x7fELF\x02\x01":
        return {}
    (sections_at,) = struct.unpack_from("<Q", code, 40)
    size, count = struct.unpack_from("<HH", code, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, sections_at + size * i) for i in range(count)]
    found: dict[str, int] = {}
    for _, kind, _, _, offset, length, link, _, _, each in sections:
        if kind == _SYMTAB:
            found.update(_symbols(code, range(offset, offset + length, each), sections[link][4]))
    return found


def _symbols(code: bytes, entries: range, names: int) -> Iterator[tuple[str, int]]:
    for at in entries:
        name, info, _, _, _, size = struct.unpack_from("<IBBHQQ", code, at)
        if info == _GLOBAL << 4 | _FUNCTION and size:
            end = code.index(b"\0", names + name)
            yield code[names + name : end].decode(), size
