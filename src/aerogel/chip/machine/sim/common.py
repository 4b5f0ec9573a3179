"""What several opcodes have in common: phases of scanners, stops, streams that go on as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.sim.arithmetic import always
from aerogel.chip.machine.sim.layout import LEVEL, SHALLOWER_BOTH
from aerogel.chip.machine.sim.visit import Head, Visit, eq, ne
from aerogel.loop.build import i64
from aerogel.loop.nodes import Expr, Select

IDLE, OPEN, CLOSING, AFTER, HELD = 0, 1, 2, 3, 1
FLUSHING = 2


def shallower(kind: Expr) -> Expr:
    """The stop one level less deep."""
    return Select(eq(kind & 15, 0), kind - LEVEL, kind - SHALLOWER_BOTH)


def alike(v: Visit, outs: int) -> None:
    """Both heads are the same stop, or done, and go on; else the streams do not fit."""

    def on() -> None:
        v.send_all(v.first.kind, outs)
        v.act(3)
        finish(v, v.first)

    v.cases((eq(v.first.kind, v.second.kind), on), (always(), lambda: v.fault(Fault.MISALIGNED)))


def among(op: Expr, names: Sequence[str], some: AbstractSet[str]) -> Expr:
    """Whether number ``op`` of ``names`` is one of ``some``."""
    bits = sum(1 << at for at, name in enumerate(names) if name in some)
    return ne((i64(bits) >> op) & 1, 0)


def finish(v: Visit, head: Head) -> None:
    v.code.assign(v.halted, Select(head.done, i64(1), i64(0)))


def through(v: Visit, value: Callable[[], None]) -> None:
    """One input: its values become others; stops and done go on."""

    def on() -> None:
        v.send(0, v.first.kind)
        v.act(1)
        finish(v, v.first)

    v.with_heads([(0, v.first)], lambda: v.cases((v.first.ends, on), (always(), value)))
