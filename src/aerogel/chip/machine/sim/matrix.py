"""The matrix reducer in Loop IR: see ``step_more.py``.

Registers: FIBER is the row; as it sends, MARK says that a row is open, and END that one was.
"""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.sim.arithmetic import always, unsigned_less
from aerogel.chip.machine.sim.common import FLUSHING, IDLE, shallower
from aerogel.chip.machine.sim.layout import DONE, LEVEL, PAYLOAD, STOP, C
from aerogel.chip.machine.sim.visit import WORK, Visit, eq, ne, not_
from aerogel.chip.machine.sim.workspaces import accumulate, next_in_use
from aerogel.loop.build import i64
from aerogel.loop.nodes import Compare, Expr, Load, Select

ROW = 1


def matrix_reduce(v: Visit) -> None:
    """See above for its registers."""
    _Matrix(v).write()


class _Matrix:
    def __init__(self, v: Visit) -> None:
        self.v = v
        self.outer, self.inner, self.val = v.first, v.second, v.head(2)
        self.rows, self.columns = v.param(1), v.param(2)
        self.extent = v.let(self.rows * self.columns, "extent")

    def write(self) -> None:
        self.v.with_heads(
            [(1, self.inner), (2, self.val)],
            lambda: self.v.cases((eq(self.v[C.PHASE], FLUSHING), self.flushing), (always(), self.fresh)),
        )

    def with_row(self, body: Callable[[], None]) -> None:
        """``body`` with a row in input 0 that is within bounds."""
        self.v.with_heads(
            [(0, self.outer)],
            lambda: self.v.cases(
                (not_(self.outer.plain), lambda: self.v.fault(Fault.MISALIGNED)),
                (unsigned_less(self.outer.payload, self.rows), body),
                (always(), lambda: self.v.fault(Fault.COORDINATE, self.outer.payload)),
            ),
        )

    def value(self) -> None:
        open_ = self.v.let(eq(self.v[C.PHASE], ROW), "open_row")

        def add(row: Expr, take: int) -> None:
            sound = unsigned_less(self.inner.payload, self.columns)

            def kept() -> None:
                place = self.v.let(row * self.columns + self.inner.payload, "place")
                accumulate(self.v, place, self.extent, self.v.number(self.val), take)
                self.v.set(C.PHASE, ROW)
                self.v.set(C.FIBER, row)

            self.v.cases(
                (sound, kept), (always(), lambda: self.v.fault(Fault.COORDINATE, self.inner.payload))
            )

        self.v.cases(
            (not_(self.inner.plain) | self.val.ends, lambda: self.v.fault(Fault.MISALIGNED)),
            (open_, lambda: add(self.v[C.FIBER], 6)),
            (always(), lambda: self.with_row(lambda: add(self.outer.payload, 7))),
        )

    def fresh(self) -> None:
        self.v.cases(
            (self.inner.ends & ne(self.inner.kind, self.val.kind), lambda: self.v.fault(Fault.MISALIGNED)),
            (self.inner.done, self.done),
            (self.inner.stop, self.stop),
            (always(), self.value),
        )

    def done(self) -> None:
        def ends() -> None:
            self.v.send_all(DONE, 3)
            self.v.act(7)
            self.v.halt()

        self.v.with_heads(
            [(0, self.outer)],
            lambda: self.v.cases((self.outer.done, ends), (always(), lambda: self.v.fault(Fault.MISALIGNED))),
        )

    def stop(self) -> None:
        def opens() -> None:
            self.v.set(C.PHASE, ROW)
            self.v.act(1)

        def closes() -> None:
            self.v.set(C.PHASE, IDLE)
            self.v.act(6)

        first = eq(self.inner.level, 0)
        self.v.cases(
            (
                eq(self.inner.inner, 0) & ne(self.v[C.PHASE], ROW),
                lambda: self.with_row(
                    lambda: self.v.cases((first, lambda: self.v.act(7)), (always(), opens))
                ),
            ),
            (first, closes),
            (always(), lambda: self.v.with_heads([(0, self.outer)], self.outside)),
        )

    def outside(self) -> None:
        bad = ne(self.outer.kind, self.v.let(shallower(self.inner.kind))) | (
            ne(self.inner.inner, 0) & eq(self.v[C.PHASE], ROW)
        )

        def idle() -> None:
            self.v.set(C.PHASE, IDLE)
            self.v.act(7)

        def passes() -> None:
            _ended(self.v, self.inner.kind, self.v.let(self.inner.inner - 1))
            idle()

        def flush() -> None:
            self.v.set(C.PHASE, FLUSHING)
            self.v.set(C.AT, Select(eq(self.v[C.EXTRA], 0), i64(0), self.v[C.MORE]))
            self.v.set(C.MARK, 0)
            self.v.set(C.END, 0)
            self.v.act()

        self.v.cases(
            (bad, lambda: self.v.fault(Fault.MISALIGNED)),
            (eq(self.inner.level, 1), idle),
            (Compare("gt", self.inner.inner, i64(2)), passes),
            (always(), flush),
        )

    def flushing(self) -> None:
        def ends() -> None:
            _ended(self.v, self.inner.kind, self.v.let(Select(ne(self.v[C.END], 0), i64(0), i64(1))))
            self.v.set(C.PHASE, IDLE)
            self.v.act(7)

        self.v.cases(
            (eq(self.v[C.EXTRA], 0), lambda: self.v.with_heads([(0, self.outer)], ends)),
            (
                always(),
                lambda: next_in_use(
                    self.v, self.extent, lambda place, clear: _send_place(self.v, place, clear)
                ),
            ),
        )


def _ended(v: Visit, kind: Expr, inner: Expr) -> None:
    """The stop one level less deep, from ``inner`` on, and in output 0 the one that goes with it."""
    below = v.let(kind - LEVEL - (kind & 15) + inner, "below")
    v.send(0, v.let(shallower(below)))
    v.send(1, below)
    v.send(2, below)


def _send_place(v: Visit, place: Expr, clear: Callable[[], None]) -> None:
    row = v.let(place // v.param(2), "row")
    same = v.let(ne(v[C.MARK], 0) & eq(row, v[C.FIBER]), "same")

    def closes() -> None:
        v.send(1, STOP)
        v.send(2, STOP)
        v.set(C.AT, place)
        v.set(C.MARK, 0)
        v.act()

    def sends() -> None:
        room = v.has_room(1) & v.has_room(2) & (same | v.has_room(0))
        value = v.let(Load(WORK, v.own(C.WORK) + place), "value")
        with v.code.if_(room):
            clear()
        with v.code.if_(not_(same)):
            v.send(0, PAYLOAD, row)
        v.send(1, PAYLOAD, v.let(place - row * v.param(2)))
        v.send(2, PAYLOAD, value)
        v.set(C.AT, place + 1)
        v.set(C.MARK, 1)
        v.set(C.FIBER, row)
        v.set(C.END, 1)
        v.act()

    v.cases((ne(v[C.MARK], 0) & not_(same), closes), (always(), sends))
