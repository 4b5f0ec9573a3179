"""Writers and droppers in Loop IR: see ``step_values.py``."""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.sim.arithmetic import STATE, always, state
from aerogel.chip.machine.sim.common import IDLE, alike, finish, shallower
from aerogel.chip.machine.sim.layout import PAYLOAD, STOP, C, S
from aerogel.chip.machine.sim.visit import CELLS, MEMORY, Visit, eq, ne, not_
from aerogel.loop.build import i64
from aerogel.loop.nodes import Binary, Call, Compare, Expr, Select

KEPT, DROPPED = 1, 2


def store(v: Visit, port: int, at: Expr, value: Expr, then: Callable[[], None]) -> None:
    """Appends a word to a result, once there is room on the way to it."""
    code = v.code
    step = port * (C.BASE1 - C.BASE0)
    line = v.let(state(S.LINE), "line")
    windowed = eq(v.own(C.RESIDENT), 0)
    ready = v.let(Select(windowed & eq(at % line, 0), v.own(C.FREE) - line, i64(0)), "ready")

    def keep() -> None:
        code.store(MEMORY, v.own(C.BASE0 + step) + at, value)
        code.assign(v.writes, i64(1))
        with code.if_(windowed & eq(at % line, line - 1)):
            code.add(Call("flush", (v.base, v.now, CELLS, STATE)))
        then()

    v.cases(
        (Compare("ge", at, v.own(C.SIZE0 + step)), lambda: v.fault(Fault.FULL, v.own(C.SIZE0 + step))),
        (Compare("gt", ready, v.now), lambda: v.wait_memory(ready)),
        (always(), keep),
    )


def write_values(v: Visit) -> None:
    token = v.first

    def ends() -> None:
        v.act(1)
        finish(v, token)

    def then() -> None:
        v.set(C.AT, v[C.AT] + 1)
        v.act(1)

    def value() -> None:
        store(v, 0, v[C.AT], v.number(token), then)

    v.with_heads([(0, token)], lambda: v.cases((token.ends, ends), (always(), value)))


def write_level(v: Visit) -> None:
    token = v.first

    def begin() -> None:
        def then() -> None:
            v.set(C.END, 1)
            v.act()

        store(v, 0, i64(0), i64(0), then)

    def done() -> None:
        v.act(1)
        v.halt()

    def fiber() -> None:
        def then() -> None:
            v.set(C.END, v[C.END] + 1)
            v.act(1)

        store(v, 0, v[C.END], v[C.AT], then)

    def coordinate() -> None:
        def then() -> None:
            v.set(C.AT, v[C.AT] + 1)
            v.act(1)

        store(v, 1, v[C.AT], token.payload, then)

    def on() -> None:
        v.cases(
            (token.done, done),
            (token.empty, lambda: v.fault(Fault.STRAY)),
            (token.stop & ne(token.inner, 0), lambda: v.act(1)),
            (token.stop, fiber),
            (always(), coordinate),
        )

    v.cases((eq(v[C.END], 0), begin), (always(), lambda: v.with_heads([(0, token)], on)))


def drop(v: Visit) -> None:
    v.cases((ne(v.param(0), 0), lambda: drop_values(v)), (always(), lambda: drop_fibers(v)))


def drop_values(v: Visit) -> None:
    outer, value = v.first, v.second

    def payload() -> None:
        # Twice the bits: a zero of either sign is none.
        zero = v.let(value.empty | eq(value.payload << 1, 0), "zero")
        with v.code.if_(not_(zero)):
            v.send(0, PAYLOAD, outer.payload)
            v.send(1, PAYLOAD, value.payload)
        v.act(3)

    v.with_heads(
        [(0, outer), (1, value)],
        lambda: v.cases(
            (outer.ends | value.ends, lambda: alike(v, 2)),
            (outer.empty, lambda: v.fault(Fault.STRAY)),
            (always(), payload),
        ),
    )


def drop_fibers(v: Visit) -> None:
    """See ``step_values._drop_fiber``."""
    _Drop(v).write()


class _Drop:
    def __init__(self, v: Visit) -> None:
        self.v = v
        self.outer, self.inner = v.first, v.second
        self.phase, self.mark = v[C.PHASE], v[C.MARK]

    def write(self) -> None:
        self.v.with_heads(
            [(1, self.inner)],
            lambda: self.v.cases(
                (self.inner.stop, self.stop),
                (self.inner.done, self.done),
                (self.inner.empty, lambda: self.v.fault(Fault.STRAY)),
                (always(), self.payload),
            ),
        )

    def with_outer(self, body: Callable[[], None]) -> None:
        self.v.with_heads(
            [(0, self.outer)],
            lambda: self.v.cases(
                (self.outer.plain, body), (always(), lambda: self.v.fault(Fault.MISALIGNED))
            ),
        )

    def pending(self) -> None:
        self.v.send(1, STOP)
        self.v.set(C.MARK, 0)
        self.v.act()

    def more(self) -> None:
        self.v.send(1, PAYLOAD, self.inner.payload)
        self.v.act(2)

    def first(self) -> None:
        self.v.send(0, PAYLOAD, self.outer.payload)
        self.v.send(1, PAYLOAD, self.inner.payload)
        self.v.set(C.PHASE, KEPT)
        self.v.act(3)

    def payload(self) -> None:
        self.v.cases(
            (ne(self.mark, 0), self.pending),
            (eq(self.phase, KEPT), self.more),
            (always(), lambda: self.with_outer(self.first)),
        )

    def nothing(self) -> None:
        def both() -> None:
            self.v.act(3)

        def one() -> None:
            self.v.set(C.PHASE, DROPPED)
            self.v.act(1)

        self.with_outer(lambda: self.v.cases((eq(self.inner.level, 0), both), (always(), one)))

    def last(self) -> None:
        self.v.set(C.PHASE, IDLE)
        self.v.set(C.MARK, 1)
        self.v.act(2)

    def whole(self) -> None:
        def on() -> None:
            opened_ = eq(self.phase, KEPT) | ne(self.mark, 0)
            deeper = self.inner.kind - self.inner.inner + Binary("max", self.inner.inner, i64(1))
            self.v.send(0, self.outer.kind)
            self.v.send(1, self.v.let(Select(opened_, self.inner.kind, deeper)))
            self.v.set(C.PHASE, IDLE)
            self.v.set(C.MARK, 0)
            self.v.act(3)

        open_ = ne(self.phase, IDLE) | ne(self.mark, 0)
        bad = ne(self.outer.kind, self.v.let(shallower(self.inner.kind))) | (ne(self.inner.inner, 0) & open_)
        self.v.with_heads(
            [(0, self.outer)],
            lambda: self.v.cases((bad, lambda: self.v.fault(Fault.MISALIGNED)), (always(), on)),
        )

    def stop(self) -> None:
        self.v.cases(
            (eq(self.inner.inner, 0) & eq(self.phase, IDLE), self.nothing),
            (eq(self.inner.level, 0), self.last),
            (always(), self.whole),
        )

    def done(self) -> None:
        self.v.with_heads([(0, self.outer)], lambda: alike(self.v, 2))
