"""How much of a computer is ours: the threads and the memory reserved for this process, and of which CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aerogel.energy.processor import Processor, processor


@dataclass(frozen=True, slots=True)
class Host:
    """``threads``: hardware threads the system shows; ``reserved``: those this process may use, by affinity
    and cgroup quota (a fraction where the quota is one); ``virtual``: a virtual machine, which sees a part of
    the real host only; None where that cannot be told.

    cpu: which CPU it is, as far as that is told. memory_gb: the memory reserved for this process in units of
    2^30 bytes: what its cgroup may use at most, else as large a part of what is seen as of the threads; None
    where it is not told. installed_gb: all memory that the system shows.
    """

    threads: int
    reserved: float
    virtual: bool | None
    cpu: Processor = field(default_factory=Processor)
    memory_gb: float | None = None
    installed_gb: float | None = None

    def show(self) -> str:
        whose = " of this virtual machine" if self.virtual else ""
        memory = "" if self.memory_gb is None else f" and {self.memory_gb:.3g} GB"
        return f"{self.reserved:g} of {self.threads} threads{memory}{whose} reserved"


def this_host(root: Path = Path("/")) -> Host:
    """What this process has; ``root`` is where the system's files are looked up."""
    shown = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else shown
    reserved = min([float(allowed), *_granted(root)])
    threads = max(shown, allowed)
    cpu = processor(root)
    installed = _installed_bytes(root)
    memory_gb = None if installed is None else _memory_gb(root, installed, reserved / threads)
    installed_gb = None if installed is None else installed / 2**30
    return Host(threads, reserved, cpu.virtual, cpu, memory_gb, installed_gb)


def _granted(root: Path) -> Iterator[float]:
    """Every limit on CPU time per wall time, in threads: of this process's cgroup and of all above it."""
    for words in _limits(root, "cpu", ["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        # No limit is written as "max" or -1; a container may see fewer groups than there are.
        if len(words) == 2 and all(_is_count(word) for word in words):
            yield int(words[0]) / int(words[1])


def _installed_bytes(root: Path) -> int | None:
    found = [
        line.split()[1] for line in _text(root / "proc/meminfo").splitlines() if line.startswith("MemTotal:")
    ]
    if not found or not _is_count(found[0]):
        return None
    return int(found[0]) * 1024


def _memory_gb(root: Path, total: int, share: float) -> float:
    """What cgroups let this process have, else ``share`` of the ``total`` that the system shows."""
    granted = [
        int(words[0])
        for words in _limits(root, "memory", ["memory.max"], ["memory.limit_in_bytes"])
        if len(words) == 1 and _is_count(words[0])
    ]
    # Version 1 writes no limit as a number that no computer reaches.
    least = min(granted, default=total)
    return (least if least < total else total * share) / 2**30


def _limits(root: Path, controller: str, version_2: list[str], version_1: list[str]) -> Iterator[list[str]]:
    """The words in the files of this process's cgroup and of all above it, for one controller."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:  # version 2: one tree for all
            mounts, files = ["."], version_2
        elif controller in controllers.split(","):  # version 1: a tree for each
            mounts, files = [controllers, controller], version_1
        else:
            continue
        for mount in {root / "sys/fs/cgroup" / name for name in mounts}:
            group = mount / path.lstrip("/")
            for folder in (group, *group.parents):
                yield " ".join(_text(folder / file) for file in files).split()
                if folder == mount:
                    break


def _is_count(word: str) -> bool:
    # isdigit would let through what int refuses, such as a superscript 2.
    return word.isdecimal() and len(word) < 20 and int(word) > 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # another system, or another cgroup version
