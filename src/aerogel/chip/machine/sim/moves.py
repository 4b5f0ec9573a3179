"""What follows a visit: the cell moves, and wakes whom that gives a token or a place; or it sleeps.

A cell that sleeps is woken once, in the first cycle in which every port that it sleeps for has what it needs:
whoever puts or takes a token there last knows when that is. So no visit is in vain but the one in which a
cell finds that it must wait. Opcodes that can move with one input or another (``ATTENTIVE`` in ``codes.py``)
are looked at whenever any of their channels changes.
"""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.machine.sim import layout
from aerogel.chip.machine.sim.arithmetic import STATE, always, cases, state
from aerogel.chip.machine.sim.layout import EVENT, FOR_ROOM, KIND_BITS, REGISTERS, SLOT, C, H, S
from aerogel.chip.machine.sim.visit import CELLS, CHANNELS, DUE, RING, SENT, TRACE, Visit, eq, ne
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import Binary, Compare, Expr, Load, Select, Unary


class Moves:
    """Of the cells of one opcode in one word of ``due``; ``last``: the last cycle in which something is known
    to happen, ``again``: cells of this word that are due in the next cycle.

    ``ins``, ``outs``: how many ports its cells have, None where that differs; ``attentive``: see above.
    """

    def __init__(
        self, code: Code, now: Expr, groups: Expr, *, ins: int | None, outs: int | None, attentive: bool
    ) -> None:
        self.code, self.now, self.groups = code, now, groups
        self.ins, self.outs, self.attentive = ins, outs, attentive
        self.mask = code.let(state(S.MASK), "mask")
        tracing = Compare("ge", now, state(S.TRACE_FROM)) & (now < state(S.TRACE_TO))
        self.tracing = code.let(tracing, "tracing")
        self.last, self.again = code.define(state(S.LAST), "last"), code.define(i64(0), "again")

    def after(self, visit: Visit, bit: Expr) -> None:
        """What a visit came to; ``bit``: the cell's in its word of ``due``."""
        code = self.code
        asleep = self.now - visit.own(C.SINCE)
        waited = code.let(C.WAITED + visit.own(C.WHY), "waited")
        visit.keep(waited, Load(CELLS, visit.base + waited) + asleep)
        with code.if_(eq(visit.outcome, layout.ACT)):
            self._room(visit)
        cases(
            code,
            (ne(state(S.FAULT), 0), lambda: code.store(STATE, i64(S.FAULT_CELL), visit.base)),
            (lambda: eq(visit.outcome, layout.ACT), lambda: self._commit(visit, bit)),
            (always(), lambda: self._sleep(visit)),
        )

    def close(self, group: Expr) -> None:
        """After all visits of a word of ``due``, that of the ``group``."""
        self.code.store(STATE, i64(S.LAST), self.last)
        self._mark(group, self.again, self.now + 1)

    def _each(self, ports: Expr, count: int | None, body: Callable[[Expr | int], None]) -> None:
        """``body`` of each port whose bit is set."""
        code = self.code
        if count is not None:
            for port in range(count):
                with code.if_(ne(ports & (1 << port), 0)):
                    body(port)
            return
        left = code.define(ports, "ports_left")
        with code.while_(ne(left, 0)):
            port = code.let(Unary("ctz", left), "port")
            code.assign(left, left & (left - 1))
            body(port)

    # --- moving ---------------------------------------------------------------------------------------

    def _room(self, visit: Visit) -> None:
        """Whether every output that something is sent to has room; those that have none block the cell."""
        code = self.code

        def blocks(port: Expr | int) -> None:
            full = Select(visit.has_room(port), i64(0), i64(1) << port)
            code.assign(visit.blocked, visit.blocked | full)

        if self.outs is None:
            self._each(visit.give, None, blocks)
        else:
            for port in range(self.outs):
                blocks(port)
            code.assign(visit.blocked, visit.blocked & visit.give)
        with code.if_(ne(visit.blocked, 0)):
            code.assign(visit.outcome, i64(layout.OUTPUT))

    def _commit(self, visit: Visit, bit: Expr) -> None:
        code = self.code
        for at in REGISTERS:
            if at in visit.changed:
                visit.keep(at, visit[at])
        for at, more in (
            (C.READS, visit.reads),
            (C.WRITES, visit.writes),
            (C.OPERATIONS, visit.work_done),
        ):
            visit.keep(at, visit.own(at) + more)
        visit.keep(C.SINCE, self.now + 1)
        self._later(self.now + 1)
        self._each(visit.take, self.ins, lambda port: self._take(visit, port))
        self._each(visit.give, self.outs, lambda port: self._give(visit, port))
        with code.block() as halts:
            visit.keep(C.HALTED, self.now + 1)
            visit.keep(C.LEFT, i64(0))
            code.store(STATE, i64(S.LIVE), state(S.LIVE) - 1)
        with code.block() as on:
            code.assign(self.again, self.again | bit)
        code.branch(ne(visit.halted, 0), tuple(halts), tuple(on))

    def _take(self, visit: Visit, port: Expr | int) -> None:
        code, where = self.code, visit.channel(C.IN, port)
        code.store(CHANNELS, where + H.HEAD, Load(CHANNELS, where + H.HEAD) + 1)
        code.store(CHANNELS, where + H.POPPED, self.now)
        source = code.let(Load(CHANNELS, where + H.SOURCE), "source")
        self._wake(source, Load(CHANNELS, where + H.SOURCE_PORT), self.now + 1)

    def _give(self, visit: Visit, port: Expr | int) -> None:
        code, where = self.code, visit.channel(C.OUT, port)
        reader = code.let(Load(CHANNELS, where + H.READER), "reader")
        if isinstance(port, int):
            kind, payload = visit.sent[port]
        else:
            kind, payload = code.let(Load(SENT, port), "kind"), Load(SENT, port + layout.OUTPUTS)
        with code.if_(Compare("ge", reader, i64(0))):
            self._put(where, reader, kind, payload)

    def _put(self, where: Expr, reader: Expr, kind: Expr, payload: Expr) -> None:
        code = self.code
        tail = code.let(Load(CHANNELS, where + H.TAIL), "tail")
        place = Load(CHANNELS, where + H.BASE) + (tail & Load(CHANNELS, where + H.MASK)) * SLOT
        slot = code.let(place, "slot")
        arrives = code.let(self.now + Load(CHANNELS, where + H.LATENCY), "arrives")
        code.store(RING, slot, (arrives << KIND_BITS) | kind)
        code.store(RING, slot + 1, payload)
        code.store(CHANNELS, where + H.TAIL, tail + 1)
        count = code.let(where + H.COUNTS + Binary("min", kind, i64(3)), "count")
        code.store(CHANNELS, count, Load(CHANNELS, count) + 1)
        self._later(arrives)
        self._wake(reader, Load(CHANNELS, where + H.READER_PORT), arrives)
        with code.if_(self.tracing):
            at = code.let(state(S.TRACE_COUNT), "event")
            for word, value in enumerate((self.now, Load(CHANNELS, where + H.NUMBER), kind, payload)):
                code.store(TRACE, at * EVENT + word, value)
            code.store(STATE, i64(S.TRACE_COUNT), at + 1)

    # --- sleeping and waking --------------------------------------------------------------------------

    def _sleep(self, visit: Visit) -> None:
        for at, value in (
            (C.SINCE, self.now),
            (C.WHY, visit.outcome),
            (C.NEED_IN, visit.needed),
            (C.NEED_OUT, visit.blocked),
        ):
            visit.keep(at, value)
        arms = [(eq(visit.outcome, layout.MEMORY), lambda: self._sleep_for_memory(visit))]
        if not self.attentive:
            arms.append((always(), lambda: self._sleep_for_ports(visit)))
        cases(self.code, *arms)

    def _sleep_for_memory(self, visit: Visit) -> None:
        self._later(visit.wake)
        self._due(visit.base, Binary("min", visit.wake, self.now + self.mask))

    def _sleep_for_ports(self, visit: Visit) -> None:
        """Tokens that are under way, and places that came free in this cycle, are there for the next ones."""
        code = self.code
        left = code.define(visit.needed | (visit.blocked << FOR_ROOM), "left")
        wake = code.define(self.now + 1, "wake_at")

        def for_token(port: Expr | int) -> None:
            where = visit.channel(C.IN, port)
            head = code.let(Load(CHANNELS, where + H.HEAD), "head")
            with code.if_(ne(Load(CHANNELS, where + H.TAIL), head)):
                place = Load(CHANNELS, where + H.BASE) + (head & Load(CHANNELS, where + H.MASK)) * SLOT
                code.assign(wake, Binary("max", wake, Load(RING, place) >> KIND_BITS))
                code.assign(left, left ^ (i64(1) << port))

        def for_room(port: Expr | int) -> None:
            where = visit.channel(C.OUT, port)
            with code.if_(eq(Load(CHANNELS, where + H.POPPED), self.now)):
                code.assign(left, left ^ (i64(1 << FOR_ROOM) << port))

        self._each(visit.needed, self.ins, for_token)
        self._each(visit.blocked, self.outs, for_room)
        visit.keep(C.LEFT, left)
        visit.keep(C.WAKE, wake)
        with code.if_(eq(left, 0)):
            self._due(visit.base, wake)

    def _wake(self, cell: Expr, port: Expr, cycle: Expr) -> None:
        """The cell that sleeps for this port has what it needs there from ``cycle`` on."""
        code = self.code
        left = code.let(Load(CELLS, cell + C.LEFT), "sleeps_for")
        waits = code.let(left & port, "waits")
        rest = left ^ waits

        def others() -> None:
            wake = code.let(Binary("max", Load(CELLS, cell + C.WAKE), cycle), "wake_at")
            code.store(CELLS, cell + C.WAKE, wake)
            code.store(CELLS, cell + C.LEFT, rest)
            with code.if_(eq(rest, 0)):
                self._due(cell, wake)

        with code.if_(ne(waits, 0)):
            cases(code, (left < 0, lambda: self._due(cell, cycle)), (always(), others))

    def _later(self, cycle: Expr) -> None:
        """Something will happen in ``cycle``: nothing is stuck before."""
        self.code.assign(self.last, Binary("max", self.last, cycle))

    def _due(self, cell: Expr, cycle: Expr) -> None:
        self._mark(Load(CELLS, cell + C.GROUP), Load(CELLS, cell + C.BIT), cycle)

    def _mark(self, group: Expr, bits: Expr, cycle: Expr) -> None:
        place = self.code.let((cycle & self.mask) * self.groups + group, "due_at")
        self.code.store(DUE, place, Load(DUE, place) | bits)
