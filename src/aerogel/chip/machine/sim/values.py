"""Arrays, arithmetic and the scalar reducer in Loop IR: see ``step_values.py``."""

from __future__ import annotations

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.sim.arithmetic import always, unsigned_less
from aerogel.chip.machine.sim.common import CLOSING, IDLE, alike, shallower, through
from aerogel.chip.machine.sim.layout import DONE, PAYLOAD, C
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
            (v.first.empty, lambda: send(i64(0))),
            (unsigned_less(ref, v.own(C.SIZE0)), lambda: v.read(0, [ref], read)),
            (always(), lambda: v.fault(Fault.REFERENCE, ref)),
        )

    through(v, value)


def computed(v: Visit, bits: Expr, take: int) -> None:
    v.send(0, PAYLOAD, bits)
    v.code.assign(v.work_done, i64(1))
    v.act(take)


def alu(v: Visit) -> None:
    a, b = v.first, v.second

    def value() -> None:
        computed(v, v.operate(v.param(0), v.number(a), v.number(b)), 3)

    v.with_heads([(0, a), (1, b)], lambda: v.cases((a.ends | b.ends, lambda: alike(v, 1)), (always(), value)))


def alu_constant(v: Visit) -> None:
    def value() -> None:
        constant, reverse, a = v.param(1), v.let(ne(v.param(2), 0)), v.number(v.first)
        x, y = Select(reverse, constant, a), Select(reverse, a, constant)
        computed(v, v.operate(v.param(0), v.let(x), v.let(y)), 1)

    through(v, value)


def alu_function(v: Visit) -> None:
    through(v, lambda: computed(v, v.apply(v.param(0), v.number(v.first)), 1))


def reduce_(v: Visit) -> None:
    """``MARK``: a sum has begun."""
    token = v.first
    total = v.let(Select(ne(v[C.MARK], 0), v[C.DATA], v.own(C.IDENTITY)), "total")

    def done() -> None:
        v.send(0, DONE)
        v.act(1)
        v.halt()

    def value() -> None:
        v.set(C.DATA, v.operate(v.param(0), total, v.number(token)))
        v.set(C.MARK, 1)
        v.code.assign(v.work_done, i64(1))
        v.act(1)

    def outer() -> None:
        def on() -> None:
            v.send(0, v.let(shallower(token.kind)))
            v.set(C.PHASE, IDLE)
            v.act(1)

        v.cases((eq(token.level, 0), lambda: v.fault(Fault.DEPTH)), (always(), on))

    def total_out() -> None:
        last = v.let(eq(token.level, 0), "last")
        v.send(0, PAYLOAD, total)
        v.set(C.MARK, 0)
        v.set(C.PHASE, Select(last, i64(IDLE), i64(CLOSING)))
        v.act(v.let(Select(last, i64(1), i64(0))))

    def stop() -> None:
        v.cases(
            (ne(token.inner, 0) | eq(v[C.PHASE], CLOSING), outer),
            (always(), total_out),
        )

    v.with_heads([(0, token)], lambda: v.cases((token.done, done), (token.stop, stop), (always(), value)))
