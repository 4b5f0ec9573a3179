"""One interface for all that tells energy: what a source finds, what it counts in a block, and for what part.

A source is a function ``survey(where) -> Survey`` in a file of its own and a line in ``SOURCES`` of sources.py.
Its survey says what can be read and what cannot, and why; ``Survey.begin`` starts to count. A failed read must
never become a number: what cannot be told is a MeasureError that names the counter.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aerogel.core.errors import MeasureError

MACHINE, CPU, MEMORY, GPU = "machine", "cpu", "memory", "gpu:"
"""What a part covers: all of the computer, its CPU packages, the memory beside them, or one GPU: ``gpu:`` and
what tells it from others."""
PEAK = 10.0
"""The power at a block's ends, and in its gaps, is taken to be at most so many times its mean power."""


@dataclass(frozen=True, slots=True)
class Where:
    """``root``: below which the system's files are looked up; ``wall_log``: the user's log of a wall meter."""

    root: Path = Path("/")
    wall_log: Path | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one counter or sensor counted in a block: ``joules``, between ``low`` and ``high``.

    source: a key of ``SOURCES``; label: of the counter, "package-0"; covers: see ``MACHINE`` and the others.
    joules: None where it failed in the block, and only bounds are known.
    summed: whether it is in the reading's joules; False where it is within, or contains, what is summed.
    """

    source: str
    label: str
    covers: str
    joules: float | None
    low: float
    high: float
    summed: bool = True


@dataclass(frozen=True, slots=True)
class Counted:
    """What a source counted in a block. about: which meter, what it covers and what is known of its error;
    notes: each fault that was seen on the way, and how it was dealt with; obstacle: why the joules of a part
    are None, "" where none is."""

    parts: tuple[Part, ...]
    about: str
    notes: tuple[str, ...] = ()
    obstacle: str = ""


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
    channels: the labels of what would be read; left_out: what else is there, and overlaps with it.
    obstacle: why nothing can be measured, "" where it can; advice: the command that grants it, if there is one.
    present: False where the hardware or system for it is not there at all, so that nothing is amiss.
    """

    source: str
    about: str
    channels: tuple[str, ...] = ()
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
