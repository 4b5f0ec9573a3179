"""The CPU time of everything this process starts: children, their children, and what outlives its parent.

The system adds the CPU time of a process to its parent's once it is waited for, so that of ended processes is
exact to the microsecond, however short they were. Looks in between, with psutil, tell it process by process.
On Linux what outlives its parent comes back to us (as it would to init), so it is neither lost nor left over.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_PR_SET_CHILD_SUBREAPER = 36
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it was last seen. ``cpu_seconds``: its own, all threads, without its children.
    ``name``: the program, and the script it runs; never other arguments, which may hold secrets."""

    pid: int
    name: str
    cpu_seconds: float


class ProcessTree:
    """All processes that are started while this exists, below the present one; a context manager.

    Other children, started before, are left out with all they start. ``living``: how many ran at the last
    look. Without psutil, what still runs and what nobody has waited for is missing from ``cpu_s``, and
    ``processes`` is empty.
    """

    def __init__(self) -> None:
        self._psutil = _psutil()
        self._reaped_before_s = children_s()
        self._seen: dict[tuple[int, float], Process] = {}
        self._living_s = 0.0
        self.living = 0
        self._adopting = False
        self._before = frozenset(key for key, _ in self._children(os.getpid()))

    @property
    def detailed(self) -> bool:
        """Are processes told apart? It takes psutil."""
        return self._psutil is not None

    def __enter__(self) -> Self:
        # Without psutil nobody would look for the orphans, and they would stay as zombies.
        self._adopting = self._psutil is not None and _adopt(adopt=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._adopting:
            _adopt(adopt=False)

    def look(self, keep: int | None = None) -> None:
        """Take down what every process has used by now. Ended orphans are waited for; ``keep`` is a child
        that somebody else waits for as soon as it has ended."""
        living_s, living = 0.0, 0
        for key, process in self._tree():
            own_s, below_s = self._times(process)
            if own_s is None:
                continue
            before = self._seen.get(key)
            name = _name(process) or (before.name if before else "")
            self._seen[key] = Process(key[0], name, own_s)
            ended = _ended(process)
            if ended and (key[0] == keep or (self._adopting and _reap(key[0]))):
                continue  # its time is among that of the ended ones now, or will be
            living_s += own_s + below_s
            living += not ended
        self._living_s, self.living = living_s, living

    def cpu_s(self) -> float:
        """CPU seconds so far of the whole tree, as of the last look; of what was waited for, as of now."""
        ended_s = children_s() - self._reaped_before_s
        # A parent that ignores its children's end is not charged for them: then what was seen is more.
        seen_s = sum(process.cpu_seconds for process in self._seen.values())
        return max(ended_s + self._living_s, seen_s)

    def processes(self) -> tuple[Process, ...]:
        """Those that were seen, the busiest first. One that came and went between two looks was not."""
        return tuple(sorted(self._seen.values(), key=lambda p: (-p.cpu_seconds, p.pid)))

    def _tree(self) -> Iterator[tuple[tuple[int, float], Any]]:
        """Every process of the tree, by number and start: numbers are given out again."""
        if self._psutil is None:
            return
        below: dict[int, list[Any]] = {}
        for process in self._psutil.Process().children(recursive=True):
            below.setdefault(_asked(process.ppid) or 0, []).append(process)
        waiting = [p for p in below.get(os.getpid(), ()) if (p.pid, p.create_time()) not in self._before]
        while waiting:
            process = waiting.pop()
            yield (process.pid, process.create_time()), process
            waiting += below.get(process.pid, ())

    def _children(self, pid: int) -> Iterator[tuple[tuple[int, float], Any]]:
        if self._psutil is not None:
            for process in self._psutil.Process(pid).children():
                yield (process.pid, process.create_time()), process

    @staticmethod
    def _times(process: Any) -> tuple[float | None, float]:
        """Its own CPU seconds, and those of the children it has waited for; None where it has gone."""
        times = _asked(process.cpu_times)
        if times is None:
            return None, 0.0
        return times.user + times.system, times.children_user + times.children_system


def children_s() -> float:
    """CPU seconds of all children that this process has waited for."""
    if sys.platform == "win32":
        return 0.0
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _psutil() -> Any:
    try:
        import psutil
    except ImportError:
        return None
    return psutil


def _name(process: Any) -> str:
    """``python train.py``; "" for what has gone or may not be looked at."""
    words: list[str] = _asked(process.cmdline) or []  # of one that has ended, the system keeps the name alone
    if not words:
        return _asked(process.name) or ""
    shown = [Path(words[0]).name]
    if len(words) > 1 and _is_script(words[1]):
        shown.append(Path(words[1]).name)
    elif len(words) > 2 and words[1] == "-m":
        shown += ["-m", words[2]]
    return " ".join(shown)[:_LONGEST_NAME]


def _is_script(word: str) -> bool:
    return Path(word).suffix in {".py", ".sh", ".pl", ".rb", ".js", ".R", ".jl"} and "=" not in word


def _ended(process: Any) -> bool:
    return _asked(process.status) in (None, "zombie")


def _asked(question: Callable[[], Any]) -> Any:
    """The answer; None where the process has gone, or may not be looked at."""
    import psutil

    try:
        return question()
    except (psutil.Error, OSError):
        return None


def _reap(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return False


def _adopt(*, adopt: bool) -> bool:
    """Let orphans below this process become its children, rather than init's; False where none can."""
    if sys.platform != "linux":
        return False
    return ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0) == 0
