"""One interface for all that tells energy: what a source finds, what it counts in a block, of what part.

A source is a function ``survey(where) -> Survey`` in a file of its own and a line in ``SOURCES`` of
sources.py. Its survey says what can be read and what cannot, and why; ``Survey.begin`` starts to count. A
failed read must never become a number: what cannot be told is a MeasureError that names the counter.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from aerogel.core.errors import MeasureError
from aerogel.energy.host import Host, this_host
from aerogel.energy.models import Method, Model, WattsPerThread

MACHINE, CPU, MEMORY, GPU = "machine", "cpu", "memory", "gpu:"
"""What a part covers: all of the computer, its CPU packages, the memory beside them, or one GPU: ``gpu:`` and
what tells it from others."""
PEAK = 10.0
"""The power at a block's ends, and in its gaps, is taken to be at most so many times its mean power."""


def cpu_s() -> float:
    """CPU time of this process and of its children that have been waited for, in seconds."""
    if sys.platform == "win32":
        return time.process_time()
    import resource

    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


CpuTime = Callable[[], float]
"""CPU seconds so far."""


@dataclass(frozen=True, slots=True)
class Where:
    """What a source looks at.

    root: below which the system's files are looked up; wall_log: the user's log of a wall meter.
    model, host, cpu_time: of the estimate: by which power model, of which share of the computer, and the CPU
    seconds so far of whatever is charged for the block.
    """

    root: Path = Path("/")
    wall_log: Path | None = None
    model: Model = field(default_factory=WattsPerThread)
    host: Host = field(default_factory=this_host)
    cpu_time: CpuTime = cpu_s


@dataclass(frozen=True, slots=True)
class Part:
    """What one counter or sensor counted in a block: ``joules``, between ``low`` and ``high``.

    source: a key of ``SOURCES``; label: of the counter, "package-0"; covers: see ``MACHINE`` and the others.
    joules: None where a power model gives bounds alone.
    method: "measured", or that of the power model.
    summed: whether it is in the reading's joules; False where it is within, or contains, what is summed.
    """

    source: str
    label: str
    covers: str
    joules: float | None
    low: float
    high: float
    method: Method = "measured"
    summed: bool = True


@dataclass(frozen=True, slots=True)
class Counted:
    """What a source counted in a block. about: which meter, what it covers and what is known of its error;
    notes: each fault that was seen on the way, and how it was dealt with; covers: in words, where the parts
    do not say it."""

    parts: tuple[Part, ...]
    about: str
    notes: tuple[str, ...] = ()
    covers: str = ""


class Following(Protocol):
    """A source through one block. ``pause_s``: how far apart looks should lie, in seconds."""

    @property
    def pause_s(self) -> float: ...

    def look(self) -> None:
        """Read what there is; nothing that goes wrong is raised here, for the block must not fail for it."""
        ...

    def finish(self) -> Counted:
        """Read for the last time. MeasureError where what was counted cannot be told."""
        ...


def _nothing() -> Following:
    raise MeasureError("there is nothing here to follow")


@dataclass(frozen=True, slots=True)
class Survey:
    """What a source finds on a machine.

    source: its key in ``SOURCES``; about: what it measures, in a few words.
    channels: the labels of what would be read; covers: the parts of the computer that it tells of, or would;
    left_out: what else is there, and overlaps with it.
    obstacle: why nothing can be measured, "" where it can; advice: the command that grants it, if there is
    one.
    present: False where the hardware or system for it is not there at all, so that nothing is amiss.
    """

    source: str
    about: str
    channels: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    obstacle: str = ""
    advice: str = ""
    present: bool = True
    begin: Callable[[], Following] = _nothing


def asleep_s() -> float:
    """How long the system has been suspended since boot, in seconds; 0 where it does not tell."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class Awake:
    """Was the system suspended since this was made? That may reset counters, and no sample was taken then."""

    def __init__(self) -> None:
        self._asleep_s = asleep_s()

    def check(self) -> None:
        """MeasureError where it was suspended for more than a second."""
        asleep = asleep_s() - self._asleep_s
        if asleep > 1:
            raise MeasureError(f"the system was suspended for {asleep:.0f} s, which may reset the counters")
