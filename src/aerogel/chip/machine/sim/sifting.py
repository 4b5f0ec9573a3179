"""Fibers that come by, made to fit coordinates that met others, in Loop IR: see ``step_sift.py``.

Registers: PHASE is PASSING or DROPPING within a fiber; MARK the inner level and 1 of a stop that is kept
back; END that the stop which still waits ended the fiber too.
"""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.sim.arithmetic import always
from aerogel.chip.machine.sim.common import IDLE
from aerogel.chip.machine.sim.layout import DONE, LEVEL, STOP, C
from aerogel.chip.machine.sim.visit import Visit, eq, ne, not_
from aerogel.loop.build import i64
from aerogel.loop.nodes import Compare, Expr, Select

PASSING, DROPPING = 1, 2


def sift(v: Visit, *, union: bool) -> None:
    _Sift(v, union=union).write()


class _Sift:
    def __init__(self, v: Visit, *, union: bool) -> None:
        self.v, self.union = v, union
        self.own, self.other = v.first, v.first if union else v.second
        self.last = 1 if union else 2
        self.marks = (1 << self.last) - 1
        self.fiber = v.second if union else v.head(2)
        self.levels = v.param(0)

    def write(self) -> None:
        v = self.v
        marks = [(0, self.own)] if self.union else [(0, self.own), (1, self.other)]
        v.cases(
            (eq(v[C.PHASE], IDLE), lambda: v.with_heads(marks, self.coordinate)),
            (always(), lambda: v.with_heads([(self.last, self.fiber)], self.within)),
        )

    def coordinate(self) -> None:
        v, own, other = self.v, self.own, self.other
        ends = v.let(own.ends | other.ends, "ends")
        bad = (ends & ne(own.kind, other.kind)) | (ne(v[C.END], 0) & own.plain)
        v.cases(
            (bad, lambda: v.fault(Fault.MISALIGNED)),
            (ends, lambda: v.with_heads([(self.last, self.fiber)], self.ended)),
            (always(), self.opened),
        )

    def opened(self) -> None:
        """What becomes of the coordinate's fiber. Where one goes out, the stop of that before it does now."""
        v = self.v
        passing = v.let(self.own.plain & self.other.plain, "passing")
        out = always() if self.union else passing
        with v.code.if_(v.let(out & ne(v[C.MARK], 0), "owed")):
            v.send(0, v.let(i64(STOP - 1) + (self.levels - 1) * LEVEL + v[C.MARK], "kept_back"))
        empty = self.levels if self.union else v[C.MARK]
        v.set(C.MARK, Select(passing, i64(0), empty))
        dropping = Select(self.own.plain, i64(DROPPING), i64(IDLE))
        v.set(C.PHASE, Select(passing, i64(PASSING), dropping))
        v.act(self.marks)

    def within(self) -> None:
        v, token = self.v, self.fiber
        passing = v.let(eq(v[C.PHASE], PASSING), "passing")

        def on() -> None:
            with v.code.if_(passing):
                v.send(0, token.kind, token.payload)
            v.act(1 << self.last)

        def over() -> None:
            around = v.let(Compare("ge", token.level, self.levels), "around")
            v.set(C.END, Select(around, i64(1), i64(0)))
            v.set(C.MARK, Select(passing, token.inner + 1, v[C.MARK]))
            v.set(C.PHASE, IDLE)
            v.act(v.let(Select(around, i64(0), i64(1 << self.last)), "taken"))

        v.cases(
            (token.done, lambda: v.fault(Fault.MISALIGNED)),
            (not_(token.stop), on),
            (Compare("ge", token.inner, self.levels), lambda: v.fault(Fault.MISALIGNED)),
            (Compare("lt", token.level, self.levels - 1), on),
            (always(), over),
        )

    def ended(self) -> None:
        """The coordinates' fiber ends: so must the fibers'."""
        v, own, token = self.v, self.own, self.fiber
        everything = self.marks | 1 << self.last
        empty = v.let(own.kind + self.levels * (LEVEL + 1), "empty")
        around = token.stop & eq(token.level, own.level + self.levels) & eq(own.inner, 0)
        fits = Select(ne(v[C.END], 0), around, eq(token.kind, empty))
        owed = v.let(ne(v[C.MARK], 0), "owed")

        def done() -> None:
            v.send(0, DONE)
            v.act(everything)
            v.halt()

        def stop() -> None:
            v.send(0, v.let(Select(owed, empty - (empty & 15) + v[C.MARK] - 1, empty)))
            v.set(C.MARK, 0)
            v.set(C.END, 0)
            v.act(everything)

        misaligned: Callable[[], None] = lambda: v.fault(Fault.MISALIGNED)  # noqa: E731 (one of several arms)
        bad: Expr = not_(fits) | (owed & ne(own.inner, 0))
        v.cases(
            (own.done & token.done, done),
            (own.done, misaligned),
            (bad, misaligned),
            (always(), stop),
        )
