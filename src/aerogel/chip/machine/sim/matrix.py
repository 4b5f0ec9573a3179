"""The matrix reducer in Loop IR: see ``step_rows.py``.

Registers: those of rows; as it sends, MARK says that a row is open, and END that one was.
"""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.machine.sim.arithmetic import always
from aerogel.chip.machine.sim.common import FLUSHING, IDLE, shallower
from aerogel.chip.machine.sim.layout import LEVEL, PAYLOAD, STOP, C
from aerogel.chip.machine.sim.rows import Rows
from aerogel.chip.machine.sim.visit import WORK, Visit, eq, ne, not_
from aerogel.chip.machine.sim.workspaces import accumulate, next_in_use
from aerogel.loop.build import i64
from aerogel.loop.nodes import Compare, Expr, Load, Select


def matrix_reduce(v: Visit) -> None:
    """See above for its registers."""
    _Matrix(v).write()


class _Matrix(Rows):
    def __init__(self, v: Visit) -> None:
        super().__init__(v, v.param(1), v.param(2), 3)
        self.extent = v.let(self.rows * self.columns, "extent")

    def write(self) -> None:
        self.v.with_heads(
            [(1, self.inner), (2, self.val)],
            lambda: self.v.cases((eq(self.v[C.PHASE], FLUSHING), self.flushing), (always(), self.fresh)),
        )

    def kept(self, row: Expr, take: int) -> None:
        place = self.v.let(row * self.columns + self.inner.payload, "place")
        accumulate(self.v, place, self.extent, self.val, take)

    def ended(self) -> None:
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
