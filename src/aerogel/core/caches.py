"""The sizes of this CPU's caches, as Linux tells them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_FOLDER = "sys/devices/system/cpu"
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True, slots=True)
class Cache:
    """``level``: 1 is nearest to the core; ``threads``: hardware threads that share its ``nbytes`` bytes."""

    level: int
    nbytes: int
    threads: int


def caches(root: Path = Path("/")) -> tuple[Cache, ...]:
    """Those for data of a core that this process may run on, nearest first; none where the system does not
    tell. Instruction caches are left out."""
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    found: dict[int, Cache] = {}
    for folder in sorted((root / _FOLDER / f"cpu{core}" / "cache").glob("index*")):
        cache = _cache(folder)
        if cache is not None:
            found[cache.level] = cache
    return tuple(found[level] for level in sorted(found))


def _cache(folder: Path) -> Cache | None:
    """None for a cache of instructions, and for what cannot be read."""
    try:
        kind, level, size, shared = (
            (folder / name).read_text(encoding="ascii").strip()
            for name in ("type", "level", "size", "shared_cpu_list")
        )
        if kind == "Instruction":
            return None
        return Cache(int(level), _bytes(size), _count(shared))
    except (OSError, ValueError):
        return None


def _bytes(text: str) -> int:
    unit = _UNITS.get(text[-1:], 0)
    return int(text[:-1]) * unit if unit else int(text)


def _count(ranges: str) -> int:
    """``0-3,8``: five."""
    bounds = [part.partition("-") for part in ranges.split(",")]
    return sum(int(last or first) - int(first) + 1 for first, _, last in bounds)
