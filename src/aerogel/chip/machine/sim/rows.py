"""Rows in Loop IR: what the matrix reducer and the joiner read. See ``step_rows.py``.

Registers: PHASE is ROW while a row is open, and FIBER which.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.sim.arithmetic import always, unsigned_less
from aerogel.chip.machine.sim.common import IDLE, shallower
from aerogel.chip.machine.sim.layout import DONE, C
from aerogel.chip.machine.sim.visit import Visit, eq, ne, not_
from aerogel.loop.nodes import Expr

ROW = 1


class Rows(ABC):
    """Rows of fewer than ``columns`` places, their coordinates below ``rows``; ``outs``: outputs.

    ``kept`` says what becomes of a value, ``ended`` what of the stop that ends all rows.
    """

    def __init__(self, v: Visit, rows: Expr, columns: Expr, outs: int) -> None:
        self.v, self.rows, self.columns, self.outs = v, rows, columns, outs
        self.outer, self.inner, self.val = v.first, v.second, v.head(2)

    @abstractmethod
    def kept(self, row: Expr, take: int) -> None: ...

    @abstractmethod
    def ended(self) -> None: ...

    def fresh(self) -> None:
        """With the heads of inputs 1 and 2."""
        self.v.cases(
            (self.inner.ends & ne(self.inner.kind, self.val.kind), lambda: self.v.fault(Fault.MISALIGNED)),
            (self.inner.done, self.done),
            (self.inner.stop, self.stop),
            (always(), self.value),
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
                self.kept(row, take)
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

    def done(self) -> None:
        def ends() -> None:
            self.v.send_all(DONE, self.outs)
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
        self.v.cases((bad, lambda: self.v.fault(Fault.MISALIGNED)), (always(), self.ended))
