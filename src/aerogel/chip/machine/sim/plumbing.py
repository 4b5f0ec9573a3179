"""The root, the repeater, forks and queues in Loop IR: see ``step_cells.py`` and ``step_values.py``."""

from __future__ import annotations

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.sim.arithmetic import always
from aerogel.chip.machine.sim.common import HELD, IDLE, finish, shallower
from aerogel.chip.machine.sim.layout import DONE, OUTPUT, PAYLOAD, C
from aerogel.chip.machine.sim.visit import WORK, Visit, eq, ne, not_
from aerogel.loop.build import i64
from aerogel.loop.nodes import Compare, Load, Select


def root(v: Visit) -> None:
    v.act()

    def again() -> None:
        v.send(0, DONE)
        v.halt()

    def first() -> None:
        v.send(0, PAYLOAD, i64(0))
        v.set(C.PHASE, 1)

    v.cases((eq(v[C.PHASE], IDLE), first), (always(), again))


def repeat(v: Visit) -> None:
    """What is repeated is in MARK and DATA, kind and payload, while PHASE is HELD."""
    _Repeat(v).write()


class _Repeat:
    def __init__(self, v: Visit) -> None:
        self.v = v
        self.signal, self.other = v.first, v.second
        self.holding = v.let(eq(v[C.PHASE], HELD), "holding")

    def write(self) -> None:
        self.v.with_heads(
            [(0, self.signal)],
            lambda: self.v.cases(
                (self.signal.stop, self.stop), (self.signal.done, self.done), (always(), self.payload)
            ),
        )

    def payload(self) -> None:
        self.v.cases(
            (self.holding, self.again), (always(), lambda: self.v.with_heads([(1, self.other)], self.taken))
        )

    def again(self) -> None:
        self.v.send(0, self.v[C.MARK], self.v[C.DATA])
        self.v.act(1)

    def hold(self) -> None:
        self.v.set(C.MARK, self.other.kind)
        self.v.set(C.DATA, self.other.payload)
        self.v.set(C.PHASE, HELD)

    def taken(self) -> None:
        def takes() -> None:
            self.v.send(0, self.other.kind, self.other.payload)
            self.hold()
            self.v.act(3)

        self.v.cases((self.other.ends, lambda: self.v.fault(Fault.MISALIGNED)), (always(), takes))

    def done(self) -> None:
        bad = self.holding | not_(self.other.done)

        def ends() -> None:
            self.v.send(0, DONE)
            self.v.act(3)
            self.v.halt()

        self.v.with_heads(
            [(1, self.other)],
            lambda: self.v.cases((bad, lambda: self.v.fault(Fault.MISALIGNED)), (always(), ends)),
        )

    def last(self) -> None:
        """The stop of a fiber alone."""
        self.v.send(0, self.signal.kind)
        self.v.set(C.PHASE, IDLE)
        self.v.act(1)

    def empty(self) -> None:
        def both() -> None:
            self.v.send(0, self.signal.kind)
            self.v.act(3)

        def one() -> None:
            self.hold()
            self.v.act(2)

        self.v.with_heads(
            [(1, self.other)],
            lambda: self.v.cases(
                (self.other.ends, lambda: self.v.fault(Fault.MISALIGNED)),
                (eq(self.signal.level, 0), both),
                (always(), one),
            ),
        )

    def outer(self) -> None:
        bad = (ne(self.signal.inner, 0) & self.holding) | ne(
            self.other.kind, self.v.let(shallower(self.signal.kind))
        )

        def on() -> None:
            self.v.send(0, self.signal.kind)
            self.v.set(C.PHASE, IDLE)
            self.v.act(3)

        self.v.with_heads(
            [(1, self.other)],
            lambda: self.v.cases((bad, lambda: self.v.fault(Fault.MISALIGNED)), (always(), on)),
        )

    def stop(self) -> None:
        self.v.cases(
            (eq(self.signal.inner, 0) & not_(self.holding), self.empty),
            (eq(self.signal.level, 0), self.last),
            (always(), self.outer),
        )


def fork(v: Visit) -> None:
    def on() -> None:
        with v.code.for_(i64(0), v.own(C.OUTS), "port") as port:
            v.send(port, v.first.kind, v.first.payload)
        v.act(1)
        finish(v, v.first)

    v.with_heads([(0, v.first)], on)


def buffer(v: Visit) -> None:
    """A queue of two words a token in ``WORK``. ``AT``: tokens taken so far; ``END``: given so far."""
    token = v.first
    depth = v.param(0)
    held = v.let(v[C.AT] - v[C.END], "held")
    takes = v.let(token.there & (held < depth), "takes")
    room = v.has_room(0)
    gives = v.let(Compare("gt", held, i64(0)) & room, "gives")
    into = v.let(v.own(C.WORK) + v[C.AT] % depth * 2, "into")
    out = v.let(v.own(C.WORK) + v[C.END] % depth * 2, "out")

    def moves() -> None:
        with v.code.if_(gives):
            kind = v.let(Load(WORK, out), "kind")
            v.send(0, kind, v.let(Load(WORK, out + 1)))
            v.set(C.END, v[C.END] + 1)
            v.code.assign(v.reads, i64(1))
            v.code.assign(v.halted, Select(eq(kind, DONE), i64(1), i64(0)))
        with v.code.if_(takes):
            v.code.store(WORK, into, token.kind)
            v.code.store(WORK, into + 1, token.payload)
            v.set(C.AT, v[C.AT] + 1)
            v.code.assign(v.writes, i64(1))
        v.act(v.let(Select(takes, i64(1), i64(0))))

    def full() -> None:
        v.need(v.let(Select(held < depth, i64(1), i64(0))))
        v.code.assign(v.outcome, i64(OUTPUT))
        v.code.assign(v.blocked, i64(1))

    v.cases((takes | gives, moves), (eq(held, 0), lambda: v.need(1)), (always(), full))
