"""Levels joined to one, and split into two again, in Loop IR: see ``step_rows.py``.

Registers of a joiner: those of rows. Of a splitter: MARK says that a row is open, FIBER which.
"""

from __future__ import annotations

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.sim.arithmetic import always
from aerogel.chip.machine.sim.common import IDLE, shallower
from aerogel.chip.machine.sim.layout import DEEPER, DONE, LEVEL, MOST_STOP, PAYLOAD, STOP, C
from aerogel.chip.machine.sim.rows import Rows
from aerogel.chip.machine.sim.visit import Visit, eq, ne, not_
from aerogel.chip.machine.step_rows import MOST_ROWS
from aerogel.loop.build import i64
from aerogel.loop.nodes import Compare, Expr, Select


def join(v: Visit) -> None:
    _Join(v).write()


class _Join(Rows):
    def __init__(self, v: Visit) -> None:
        super().__init__(v, i64(MOST_ROWS), v.param(0), 2)

    def write(self) -> None:
        self.v.with_heads([(1, self.inner), (2, self.val)], self.fresh)

    def kept(self, row: Expr, take: int) -> None:
        self.v.send(0, PAYLOAD, self.v.let(row * self.columns + self.inner.payload, "joined"))
        self.v.send(1, self.val.kind, self.val.payload)
        self.v.act(take)

    def ended(self) -> None:
        self.v.send_all(self.v.let(shallower(self.inner.kind)), self.outs)
        self.v.set(C.PHASE, IDLE)
        self.v.act(7)


def split(v: Visit) -> None:
    crd, val = v.first, v.second

    def done() -> None:
        v.send_all(DONE, 3)
        v.act(3)
        v.halt()

    def stop() -> None:
        open_ = v.let(ne(v[C.MARK], 0), "open_row")
        below = v.let(crd.kind + Select(open_, i64(LEVEL), i64(DEEPER)), "below")

        def ends() -> None:
            v.send(0, crd.kind)
            v.send(1, below)
            v.send(2, below)
            v.set(C.MARK, 0)
            v.act(3)

        v.cases(
            (open_ & ne(crd.inner, 0), lambda: v.fault(Fault.MISALIGNED)),
            (Compare("ge", crd.kind, i64(MOST_STOP)), lambda: v.fault(Fault.DEPTH)),
            (always(), ends),
        )

    v.with_heads(
        [(0, crd), (1, val)],
        lambda: v.cases(
            ((crd.ends | val.ends) & ne(crd.kind, val.kind), lambda: v.fault(Fault.MISALIGNED)),
            (crd.done, done),
            (crd.stop, stop),
            (not_(crd.plain), lambda: v.fault(Fault.MISALIGNED)),
            (always(), lambda: _split_value(v)),
        ),
    )


def _split_value(v: Visit) -> None:
    """The stop of a row goes out before the first of the next."""
    crd, val = v.first, v.second
    row = v.let(crd.payload // v.param(0), "row")
    open_ = v.let(ne(v[C.MARK], 0), "open_row")
    same = v.let(open_ & eq(row, v[C.FIBER]), "same")

    def closes() -> None:
        v.send(1, STOP)
        v.send(2, STOP)
        v.set(C.MARK, 0)
        v.act()

    def sends() -> None:
        with v.code.if_(not_(same)):
            v.send(0, PAYLOAD, row)
        v.send(1, PAYLOAD, v.let(crd.payload - row * v.param(0)))
        v.send(2, val.kind, val.payload)
        v.set(C.MARK, 1)
        v.set(C.FIBER, row)
        v.act(3)

    v.cases((open_ & not_(same), closes), (always(), sends))
