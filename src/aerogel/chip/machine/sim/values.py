"""Arrays, arithmetic and the scalar reducer in Loop IR: see ``step_values.py``."""

from __future__ import annotations

from aerogel.chip.graph.arithmetic import BOTH, KEPT, LEFT, RIGHT
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.opcodes import FUNCTIONS, OPERATIONS
from aerogel.chip.machine.sim.arithmetic import always, unsigned_less
from aerogel.chip.machine.sim.common import CLOSING, IDLE, alike, among, shallower, through
from aerogel.chip.machine.sim.layout import DONE, EMPTY, PAYLOAD, C
from aerogel.chip.machine.sim.visit import Visit, eq, ne
from aerogel.loop.build import i64
from aerogel.loop.nodes import Expr, Select


def array(v: Visit) -> None:
    ref = v.first.payload

    def send(bits: Expr) -> None:
        v.send(0, PAYLOAD, bits)
        v.act(1)

    def read(words: list[Expr]) -> None:
        v.code.assign(v.reads, i64(1))
        send(words[0])

    def value() -> None:
        v.cases(
            (v.first.empty, lambda: nothing(v, 1)),
            (unsigned_less(ref, v.own(C.SIZE0)), lambda: v.read(0, [ref], read)),
            (always(), lambda: v.fault(Fault.REFERENCE, ref)),
        )

    through(v, value)


def nothing(v: Visit, take: int) -> None:
    """Empty goes out."""
    v.send(0, EMPTY)
    v.act(take)


def computed(v: Visit, bits: Expr, take: int) -> None:
    v.send(0, PAYLOAD, bits)
    v.code.assign(v.work_done, i64(1))
    v.act(take)


def alu(v: Visit) -> None:
    a, b = v.first, v.second

    def value() -> None:
        op = v.param(0)
        gone = (
            (a.empty & among(op, OPERATIONS, LEFT))
            | (b.empty & among(op, OPERATIONS, RIGHT))
            | (a.empty & b.empty & among(op, OPERATIONS, BOTH))
        )
        v.cases(
            (v.let((a.empty | b.empty) & gone, "gone"), lambda: nothing(v, 3)),
            (always(), lambda: computed(v, v.operate(op, v.number(a), v.number(b)), 3)),
        )

    v.with_heads([(0, a), (1, b)], lambda: v.cases((a.ends | b.ends, lambda: alike(v, 1)), (always(), value)))


def alu_constant(v: Visit) -> None:
    def value() -> None:
        constant, reverse, a = v.param(1), v.let(ne(v.param(2), 0)), v.number(v.first)
        x, y = Select(reverse, constant, a), Select(reverse, a, constant)
        op = v.param(0)
        found = v.operate(op, v.let(x), v.let(y))
        gone = Select(reverse, among(op, OPERATIONS, RIGHT), among(op, OPERATIONS, LEFT))
        computed(v, found, 1)
        with v.code.if_(v.let(v.first.empty & (gone | eq(found << 1, 0)), "gone")):
            v.send(0, EMPTY)

    through(v, value)


def alu_function(v: Visit) -> None:
    def value() -> None:
        op = v.param(0)
        v.cases(
            (v.let(v.first.empty & among(op, FUNCTIONS, KEPT), "gone"), lambda: nothing(v, 1)),
            (always(), lambda: computed(v, v.apply(op, v.number(v.first)), 1)),
        )

    through(v, value)


def fill(v: Visit) -> None:
    def value() -> None:
        v.send(0, PAYLOAD, v.let(Select(v.first.empty, v.param(0), v.first.payload), "filled"))
        v.act(1)

    through(v, value)


def reduce_(v: Visit) -> None:
    """``MARK``: a sum has begun."""
    token = v.first
    total = v.let(Select(ne(v[C.MARK], 0), v[C.DATA], v.own(C.IDENTITY)), "total")

    def done() -> None:
        v.send(0, DONE)
        v.act(1)
        v.halt()

    sparse = v.let(ne(v.param(1), 0), "sparse")

    def value() -> None:
        v.set(C.DATA, v.operate(v.param(0), total, v.number(token)))
        v.set(C.MARK, 1)
        v.code.assign(v.work_done, i64(1))
        v.act(1)

    def some() -> None:
        v.cases((v.let(sparse & token.empty, "left_out"), lambda: v.act(1)), (always(), value))

    def outer() -> None:
        def on() -> None:
            v.send(0, v.let(shallower(token.kind)))
            v.set(C.PHASE, IDLE)
            v.act(1)

        v.cases((eq(token.level, 0), lambda: v.fault(Fault.DEPTH)), (always(), on))

    def total_out() -> None:
        last = v.let(eq(token.level, 0), "last")
        none = v.let(sparse & eq(v[C.MARK], 0), "none")
        v.send(0, v.let(Select(none, i64(EMPTY), i64(PAYLOAD)), "total_kind"), total)
        v.set(C.MARK, 0)
        v.set(C.PHASE, Select(last, i64(IDLE), i64(CLOSING)))
        v.act(v.let(Select(last, i64(1), i64(0))))

    def stop() -> None:
        v.cases(
            (ne(token.inner, 0) | eq(v[C.PHASE], CLOSING), outer),
            (always(), total_out),
        )

    v.with_heads([(0, token)], lambda: v.cases((token.done, done), (token.stop, stop), (always(), some)))
