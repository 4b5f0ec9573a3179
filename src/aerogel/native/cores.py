"""How many threads make sense here: affinity, cgroup quota, and what the user asked for."""

from __future__ import annotations

import logging
import math
import os
import sys
from functools import cache
from pathlib import Path

from aerogel.core import sysctl
from aerogel.core.environment import RAW
from aerogel.core.errors import InputError
from aerogel.native.runtime import PARKING

MOST = 256
_log = logging.getLogger("aerogel")


def affinity() -> int:
    """Cores that this process may run on; on macOS the fast ones: at a barrier all wait for the slowest."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    fast = sysctl.whole_number(b"hw.perflevel0.logicalcpu") if sys.platform == "darwin" else None
    return fast or os.cpu_count() or 1


def quota(root: Path = Path("/")) -> float | None:
    """CPU time per second of wall time that cgroups grant this process, in cores; None without a limit."""
    found: list[float] = []
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            mounts, read = [root / "sys/fs/cgroup"], _quota_v2
        elif "cpu" in controllers.split(","):
            mounts = [root / "sys/fs/cgroup" / name for name in (controllers, "cpu")]
            read = _quota_v1
        else:
            continue
        for mount in mounts:
            folder = mount / path.strip().lstrip("/")
            # A limit on any group above binds as well.
            for group in (folder, *folder.parents):
                if group == mount.parent:
                    break
                limit = read(group)
                if limit is not None:
                    found.append(limit)
    return min(found, default=None)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        # No such file is the ordinary case: another cgroup version, or none.
        return []


def _quota_v2(group: Path) -> float | None:
    words = " ".join(_lines(group / "cpu.max")).split()
    # No limit is written as "max".
    return _ratio(*words) if len(words) == 2 else None


def _quota_v1(group: Path) -> float | None:
    # No limit is written as -1.
    return _ratio(*(" ".join(_lines(group / f"cpu.cfs_{name}_us")) for name in ("quota", "period")))


def _ratio(quota: str, period: str) -> float | None:
    granted, every = _whole(quota), _whole(period)
    return granted / every if granted is not None and every else None


def _whole(text: str) -> int | None:
    """A whole number that fits a machine word; None for anything else."""
    # isdigit would let through what int refuses, such as a superscript 2.
    return int(text) if text.isdecimal() and len(text) < 19 else None


@cache
def _granted() -> float | None:
    return quota()


def limit() -> int:
    """The most threads a program gets: cores granted, capped by ``AEROGEL_NUM_THREADS``.

    ``AEROGEL_OVERSUBSCRIBE=1`` lifts the count of cores (for tests): then at most 256.
    """
    if not PARKING.AVAILABLE:
        return 1
    if RAW.get(b"AEROGEL_OVERSUBSCRIBE") == b"1":
        return MOST
    granted = _granted()
    cores = affinity() if granted is None else min(affinity(), max(1, math.ceil(granted)))
    if not RAW.get(b"AEROGEL_NUM_THREADS"):
        return min(cores, MOST)
    wanted = os.environ.get("AEROGEL_NUM_THREADS", "").strip()
    if not wanted:
        return min(cores, MOST)
    threads = _whole(wanted)
    if not threads:
        raise InputError(
            f"AEROGEL_NUM_THREADS={wanted!r} is not a thread count: give a whole number from 1 on"
        )
    return min(cores, threads, MOST)
