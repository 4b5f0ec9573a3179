"""How much of a computer is ours: the threads reserved for this process, and whether the rest can be seen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Host:
    """``threads``: hardware threads the system shows; ``reserved``: those this process may use, by affinity
    and cgroup quota (a fraction where the quota is one); ``virtual``: a virtual machine, which sees a part of
    the real host only; None where that cannot be told."""

    threads: int
    reserved: float
    virtual: bool | None

    def show(self) -> str:
        whose = " of this virtual machine" if self.virtual else ""
        return f"{self.reserved:g} of {self.threads} threads{whose} reserved"


def this_host(root: Path = Path("/")) -> Host:
    """What this process has; ``root`` is where the system's files are looked up."""
    shown = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else shown
    reserved = min([float(allowed), *_granted(root)])
    return Host(threads=max(shown, allowed), reserved=reserved, virtual=_virtual(root))


@cache  # it does not change, and Linux takes milliseconds to write about many CPUs
def _virtual(root: Path) -> bool | None:
    """x86 hypervisors set the CPU flag ``hypervisor``; other CPUs have no such sign."""
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return "hypervisor" in value.split()
    return None


def _granted(root: Path) -> Iterator[float]:
    """Every limit on CPU time per wall time, in threads: of this process's cgroup and of all above it."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:  # version 2: one file, "quota period"
            mounts, files = ["."], ["cpu.max"]
        elif "cpu" in controllers.split(","):  # version 1: two files
            mounts, files = [controllers, "cpu"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        for mount in {root / "sys/fs/cgroup" / name for name in mounts}:
            group = mount / path.lstrip("/")
            for folder in (group, *group.parents):
                words = " ".join(_text(folder / file) for file in files).split()
                # No limit is written as "max" or -1; a container may see fewer groups than there are.
                if len(words) == 2 and all(_is_count(word) for word in words):
                    yield int(words[0]) / int(words[1])
                if folder == mount:
                    break


def _is_count(word: str) -> bool:
    # isdigit would let through what int refuses, such as a superscript 2.
    return word.isdecimal() and len(word) < 19 and int(word) > 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # another system, or another cgroup version
