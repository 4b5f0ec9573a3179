"""Whose energy it was: what idling takes apart from the load, and the load by CPU time among processes.

A meter of a whole machine counts everybody. Of what it counted,

    idle      = idle power x seconds                                  nobody's in particular
    process i = (total - idle) x CPU seconds of i / CPU seconds of the machine

CPU time is a convention, not a measurement: a second of wide vector instructions takes more than a second of
waiting for memory. It says nothing of GPUs, whose energy stays a part by itself. Where the idle power is not
known, a process has bounds alone: from nothing, if all of it was idling, to its share of everything. A power
model charges the reserved share of a computer, so there the load is that of the processes followed, and
idling is what the model says without load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from aerogel.core.errors import InputError, require
from aerogel.energy.process_tree import Process
from aerogel.energy.reading import Reading, joules_text
from aerogel.energy.source import GPU

_TICKS_S = 100.0
"""Linux shows CPU time in hundredths of a second (USER_HZ), whatever its own clock is."""
Kind = Literal["idle", "gpu", "process", "unseen", "others"]


@dataclass(frozen=True, slots=True)
class Span:
    """A quantity between bounds; ``value`` None where the bounds are all that is known."""

    value: float | None
    low: float
    high: float

    def times(self, factor: float) -> Span:
        value = None if self.value is None else self.value * factor
        return Span(value, self.low * factor, self.high * factor)

    def less(self, other: Span) -> Span:
        """What is left without ``other``; never below nothing."""
        both = self.value is not None and other.value is not None
        value = max(0.0, self.value - other.value) if both else None  # pyright: ignore[reportOperatorIssue]
        return Span(value, max(0.0, self.low - other.high), max(0.0, self.high - other.low))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        if self.value is None:
            return f"{joules_text(self.low)} to {joules_text(self.high)}"
        return f"{joules_text(self.value)} [{joules_text(self.low)}, {joules_text(self.high)}]"


@dataclass(frozen=True, slots=True)
class Part:
    """``joules`` of ``what``. kind: "idle"; "gpu": all of one; a "process"; "unseen": processes of the tree
    after they were last looked at, or that never were; "others": the rest of the machine."""

    kind: Kind
    what: str
    joules: Span
    cpu_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Attribution:
    """``parts`` of a reading: where all have a value, these sum to the reading's. ``own``: of the tree that
    was followed, without idling and without GPUs. ``by``: how it was shared out, in words."""

    parts: tuple[Part, ...]
    own: Span
    by: str

    def to_json(self) -> dict[str, Any]:
        return {"by": self.by, "own": self.own.to_json(), "parts": [part.to_json() for part in self.parts]}


def attribute(
    reading: Reading,
    processes: Sequence[Process],
    *,
    tree_s: float,
    machine_s: float | None,
    idle_watts: Span | None = None,
    idle_joules: Span | None = None,
) -> Attribution | None:
    """Share out ``reading``. None where not even its bounds are known.

    tree_s: CPU seconds of all that was followed, ``processes`` among it. machine_s: of the whole machine, and
    with it the reading is taken to be of the whole machine; None: the reading is of the tree alone.
    idle_watts: of the machine; or ``idle_joules`` in the block; neither: not known.
    """
    if reading.low is None or reading.high is None:
        return None
    total, gpus = by_processor(reading)
    require(tree_s >= 0, InputError, f"tree_s={tree_s!r}: CPU time is never negative")
    if idle_watts is not None:
        idle_joules = idle_watts.times(reading.seconds)
    active, idle = _apart(total, idle_joules)
    # The clocks of a machine and of its processes are read at slightly different times.
    busy_s = max(tree_s, machine_s or 0.0)
    parts = [*([] if idle is None else [Part("idle", "idling", idle)]), *gpus]
    seen_s = sum(process.cpu_seconds for process in processes)
    tree_s = max(tree_s, seen_s)
    busy_s = max(busy_s, tree_s)
    for process in processes:
        of_it = active.times(_share(process.cpu_seconds, busy_s))
        parts.append(Part("process", f"{process.name or '?'} ({process.pid})", of_it, process.cpu_seconds))
    rests: tuple[tuple[Kind, str, float], ...] = (
        ("unseen", "ended between two looks", tree_s - seen_s),
        ("others", "other processes of the machine", busy_s - tree_s),
    )
    for kind, what, rest_s in rests:
        if rest_s > 0:
            parts.append(Part(kind, what, active.times(_share(rest_s, busy_s)), rest_s))
    return Attribution(tuple(parts), active.times(_share(tree_s, busy_s)), _by(machine_s, idle))


def by_processor(reading: Reading) -> tuple[Span, list[Part]]:
    """What can be shared out by CPU time, and what each GPU took."""
    assert reading.low is not None and reading.high is not None
    summed = [part for part in reading.parts if part.summed]
    gpus = [part for part in summed if part.covers.startswith(GPU)]
    if not gpus:
        return Span(reading.joules, reading.low, reading.high), []
    rest = [part for part in summed if part not in gpus]
    known = [part.joules for part in rest if part.joules is not None]
    value = sum(known) if len(known) == len(rest) else None
    cpu = Span(value, sum(part.low for part in rest), sum(part.high for part in rest))
    return cpu, [Part("gpu", part.label, Span(part.joules, part.low, part.high)) for part in gpus]


def _apart(total: Span, idle: Span | None) -> tuple[Span, Span | None]:
    """What the load took, and what idling took; the latter cannot be more than all."""
    if idle is None:
        return Span(None, 0.0, total.high), None
    capped = Span(
        None if idle.value is None else min(idle.value, total.high if total.value is None else total.value),
        min(idle.low, total.low),
        min(idle.high, total.high),
    )
    return total.less(capped), capped


def _share(part_s: float, whole_s: float) -> float:
    return part_s / whole_s if whole_s > 0 else 0.0


def _by(machine_s: float | None, idle: Span | None) -> str:
    of = "the machine's" if machine_s is not None else "the command's"
    apart = "idling apart" if idle is not None else "idling not known, so bounds alone"
    return f"by {of} CPU time, {apart}"


def machine_busy_s(root: Path = Path("/")) -> float | None:
    """CPU seconds that all of the machine has worked since boot; None where the system does not tell.

    user + nice + system + irq + softirq: neither waiting, nor what was stolen, nor guests, who are users.
    """
    try:
        words = (root / "proc/stat").read_text(encoding="ascii", errors="replace").split("\n", 1)[0].split()
    except OSError:
        return _busy_elsewhere()
    counts = words[1:8]
    if words[:1] != ["cpu"] or len(counts) < 7 or not all(count.isdecimal() for count in counts):
        return None
    user, nice, system, _, _, irq, softirq = map(int, counts)
    return (user + nice + system + irq + softirq) / _TICKS_S


def _busy_elsewhere() -> float | None:
    try:
        import psutil
    except ImportError:
        return None
    times = psutil.cpu_times()
    return times.user + times.system + getattr(times, "nice", 0.0)
