"""The simulator's machine code: cycle after cycle, every cell that is due is visited, and moves or sleeps.

A cell that cannot move sleeps until a token comes to it, a place in an output comes free, or a line it asked
for is there: nothing else can change that. One that moved is looked at again in the next cycle.
"""

from __future__ import annotations

from functools import cache

from aerogel import native
from aerogel.chip.machine.sim import layout
from aerogel.chip.machine.sim.arithmetic import STATE, always, apply, cases, operate
from aerogel.chip.machine.sim.codes import CODE
from aerogel.chip.machine.sim.layout import CELL, DEADLOCK, EVENT, REGISTERS, SLOT, C, H, S
from aerogel.chip.machine.sim.visit import (
    CELLS,
    CHANNELS,
    DUE,
    MEMORY,
    RING,
    SENT,
    TRACE,
    WINDOWS,
    WORK,
    Visit,
    eq,
    ne,
)
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import (
    I64,
    Alloc,
    Binary,
    Call,
    Compare,
    Expr,
    Function,
    Load,
    Module,
    Select,
    Unary,
    Var,
)

_BASE, _NOW, _WINDOW, _LINE = Var("base", I64), Var("now", I64), Var("window", I64), Var("line", I64)
_PLACE, _SIZE = Var("place", I64), Var("size", I64)
BUFFERS = (STATE, CELLS, CHANNELS, RING, DUE, MEMORY, WINDOWS, WORK, TRACE)


@cache
def machine() -> native.Compiled:
    """The simulator, compiled."""
    return native.compile(machine_module())


def machine_module() -> Module:
    """``simulate(state, cells, channels, ring, due, memory, windows, work, trace)``: see ``layout``."""
    code = Code()
    code.add(Alloc(SENT, 2 * layout.OUTPUTS))
    loop = _Loop(code)
    loop.write()
    entry = Function("simulate", BUFFERS, code.done())
    return Module("chip", (_fetch(), _look(), _flush(), operate(), apply(), entry))


def state(at: S) -> Expr:
    return Load(STATE, i64(at))


def _share(code: Code, words: S) -> Expr:
    """The cycle in which the links that all tiles share have a line's turn; it is taken."""
    size, links = code.let(state(S.LINE), "size_of_line"), code.let(state(S.LINKS), "links")
    turn = code.let(Binary("max", state(words), _NOW * links), "turn")
    code.store(STATE, i64(words), turn + size)
    return code.let(turn // links, "cycle")


def _fetch() -> Function:
    """``fetch(base, window, line, now, cells, windows, state)``: asks for a line unless it is there."""
    code = Code()
    lines = code.let(Load(WINDOWS, _WINDOW + 1), "lines")
    slot = code.let(_WINDOW + 2 + _LINE % lines * 2, "slot")
    with code.if_(ne(Load(WINDOWS, slot), _LINE)):
        turn = _share(code, S.LINK_WORDS)
        free = Binary("max", _NOW, Load(CELLS, _BASE + C.FREE))
        start = code.let(Binary("max", free, turn), "start")
        code.store(CELLS, _BASE + C.FREE, start + state(S.LINE))
        code.store(WINDOWS, slot, _LINE)
        code.store(WINDOWS, slot + 1, start + state(S.LATENCY))
        code.store(STATE, i64(S.FETCHED), state(S.FETCHED) + state(S.LINE))
    return Function("fetch", (_BASE, _WINDOW, _LINE, _NOW, CELLS, WINDOWS, STATE), code.done())


def _look() -> Function:
    """``look(base, window, place, size, now, cells, windows, state)``: ``state[READY]`` is when a word of a
    segment of ``size`` words can be read."""
    code = Code()
    length = code.let(state(S.LINE), "length")
    line = code.let(_PLACE // length, "line_of")
    tables = (_NOW, CELLS, WINDOWS, STATE)
    code.add(Call("fetch", (_BASE, _WINDOW, line, *tables)))
    last = code.let(Load(WINDOWS, _WINDOW), "last")
    with code.if_(ne(line, last)):
        with code.if_(eq(line, last + 1) & ((line + 1) * length < _SIZE)):
            code.add(Call("fetch", (_BASE, _WINDOW, line + 1, *tables)))
        code.store(WINDOWS, _WINDOW, line)
    slot = _WINDOW + 2 + line % Load(WINDOWS, _WINDOW + 1) * 2
    code.store(STATE, i64(S.READY), Load(WINDOWS, slot + 1) + _PLACE % length)
    return Function("look", (_BASE, _WINDOW, _PLACE, _SIZE, *tables), code.done())


def _flush() -> Function:
    """``flush(base, now, cells, state)``: a full line of a result is sent."""
    code = Code()
    turn = _share(code, S.BACK_WORDS)
    free = Binary("max", _NOW + 1, Load(CELLS, _BASE + C.FREE))
    code.store(CELLS, _BASE + C.FREE, Binary("max", free, turn) + state(S.LINE))
    code.store(STATE, i64(S.SENT), state(S.SENT) + state(S.LINE))
    return Function("flush", (_BASE, _NOW, CELLS, STATE), code.done())


class _Loop:
    """The loop over cycles, and what follows a visit."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.mask = code.let(state(S.MASK), "mask")
        self.groups = code.let(state(S.GROUPS), "groups")
        self.until = code.let(state(S.UNTIL), "until")
        self.trace_from, self.trace_to = (
            code.let(state(at), at.name.lower()) for at in (S.TRACE_FROM, S.TRACE_TO)
        )
        self.now = code.define(state(S.NOW), "now")
        self.live, self.visits, self.quiet, self.last = (
            code.define(state(at), at.name.lower()) for at in (S.LIVE, S.VISITS, S.QUIET, S.LAST)
        )

    def write(self) -> None:
        code = self.code
        with code.while_(self._going()):
            row = code.let((self.now & self.mask) * self.groups, "row")
            some = code.define(i64(0), "some")
            with code.for_(i64(0), self.groups, "group") as group:
                place = code.let(row + group, "place")
                bits = code.define(Load(DUE, place), "bits")
                code.store(DUE, place, i64(0))
                code.assign(some, some | bits)
                with code.while_(ne(bits, 0) & eq(state(S.FAULT), 0)):
                    cell = code.let(group * 64 + Unary("ctz", bits), "cell")
                    code.assign(bits, bits & (bits - 1))
                    # One that is done is still woken by whoever takes its last tokens.
                    with code.if_(eq(Load(CELLS, cell * CELL + C.HALTED), 0)):
                        self._visit(cell)
            code.assign(self.quiet, Select(eq(some, 0), self.quiet + 1, i64(0)))
            with code.if_(Compare("gt", self.quiet, self.mask)):
                code.store(STATE, i64(S.FAULT), i64(DEADLOCK))
            with code.if_(eq(state(S.FAULT), 0)):
                code.assign(self.now, self.now + 1)
        for at, value in (
            (S.NOW, self.now),
            (S.LIVE, self.live),
            (S.VISITS, self.visits),
            (S.QUIET, self.quiet),
            (S.LAST, self.last),
        ):
            code.store(STATE, i64(at), value)

    def _going(self) -> Expr:
        """A cycle's tokens must find room in the trace, however many."""
        fits = Compare("le", state(S.TRACE_COUNT), state(S.TRACE_ROOM))
        return (self.now < self.until) & Compare("gt", self.live, i64(0)) & eq(state(S.FAULT), 0) & fits

    def _visit(self, cell: Expr) -> None:
        code = self.code
        base = code.let(cell * CELL, "base")
        code.assign(self.visits, self.visits + 1)
        visit = Visit(code, base, self.now)
        _dispatch(visit, code.let(visit.own(C.OPCODE), "opcode"))
        waited = C.WAITED + visit.own(C.WHY)
        asleep = self.now - visit.own(C.SINCE)
        code.store(CELLS, base + waited, Load(CELLS, base + waited) + asleep)
        fault = ne(state(S.FAULT), 0)
        acting = eq(visit.outcome, layout.ACT)
        with code.if_(acting):
            self._room(visit)

        def failed() -> None:
            code.store(STATE, i64(S.FAULT_CELL), cell)

        cases(
            code,
            (fault, failed),
            (lambda: eq(visit.outcome, layout.ACT), lambda: self._commit(visit, cell)),
            (always(), lambda: self._sleep(visit, cell)),
        )

    def _room(self, visit: Visit) -> None:
        """Whether every output that something is sent to has room; those that have none block the cell."""
        code = self.code
        left = code.define(visit.give, "left")
        with code.while_(ne(left, 0)):
            port = code.let(Unary("ctz", left), "port")
            code.assign(left, left & (left - 1))
            room = visit.has_room(port)
            code.assign(visit.blocked, visit.blocked | Select(room, i64(0), i64(1) << port))
        with code.if_(ne(visit.blocked, 0)):
            code.assign(visit.outcome, i64(layout.OUTPUT))

    def _sleep(self, visit: Visit, cell: Expr) -> None:
        code = self.code
        for at, value in (
            (C.SINCE, self.now),
            (C.WHY, visit.outcome),
            (C.NEED_IN, visit.needed),
            (C.NEED_OUT, visit.blocked),
        ):
            visit.keep(at, value)
        with code.if_(eq(visit.outcome, layout.MEMORY)):
            self._later(visit.wake)
            self._due(cell, Binary("min", visit.wake, self.now + self.mask))

    def _later(self, cycle: Expr) -> None:
        """Something will happen in ``cycle``: nothing is stuck before."""
        self.code.assign(self.last, Binary("max", self.last, cycle))

    def _due(self, cell: Expr, cycle: Expr) -> None:
        code = self.code
        place = code.let((cycle & self.mask) * self.groups + (cell >> 6), "due_at")
        code.store(DUE, place, Load(DUE, place) | (i64(1) << (cell & 63)))

    def _commit(self, visit: Visit, cell: Expr) -> None:
        code = self.code
        for at in REGISTERS:
            visit.keep(at, visit[at])
        for at, more in (
            (C.BUSY, i64(1)),
            (C.READS, visit.reads),
            (C.WRITES, visit.writes),
            (C.OPERATIONS, visit.work_done),
        ):
            visit.keep(at, visit.own(at) + more)
        visit.keep(C.SINCE, self.now + 1)
        self._later(self.now + 1)
        self._take(visit)
        self._give(visit)
        with code.block() as halts:
            visit.keep(C.HALTED, i64(1))
            code.assign(self.live, self.live - 1)
        with code.block() as on:
            self._due(cell, self.now + 1)
        code.branch(ne(visit.halted, 0), tuple(halts), tuple(on))

    def _take(self, visit: Visit) -> None:
        code = self.code
        left = code.define(visit.take, "left")
        with code.while_(ne(left, 0)):
            port = code.let(Unary("ctz", left), "port")
            code.assign(left, left & (left - 1))
            where = code.let(Load(CELLS, visit.base + (C.IN + port)), "channel")
            code.store(CHANNELS, where + H.HEAD, Load(CHANNELS, where + H.HEAD) + 1)
            code.store(CHANNELS, where + H.POPPED, self.now)
            self._due(code.let(Load(CHANNELS, where + H.SOURCE), "source"), self.now + 1)

    def _give(self, visit: Visit) -> None:
        code = self.code
        left = code.define(visit.give, "left")
        with code.while_(ne(left, 0)):
            port = code.let(Unary("ctz", left), "port")
            code.assign(left, left & (left - 1))
            where = code.let(Load(CELLS, visit.base + (C.OUT + port)), "channel")
            reader = code.let(Load(CHANNELS, where + H.READER), "reader")
            with code.if_(Compare("ge", reader, i64(0))):
                kind, payload = code.let(Load(SENT, port), "kind"), Load(SENT, port + layout.OUTPUTS)
                self._put(where, reader, kind, code.let(payload, "payload"))

    def _put(self, where: Expr, reader: Expr, kind: Expr, payload: Expr) -> None:
        code = self.code
        tail = code.let(Load(CHANNELS, where + H.TAIL), "tail")
        place = Load(CHANNELS, where + H.BASE) + (tail & Load(CHANNELS, where + H.MASK)) * SLOT
        slot = code.let(place, "slot")
        arrives = code.let(self.now + Load(CHANNELS, where + H.LATENCY), "arrives")
        for at, value in enumerate((arrives, kind, payload)):
            code.store(RING, slot + at, value)
        code.store(CHANNELS, where + H.TAIL, tail + 1)
        count = code.let(where + H.COUNTS + Binary("min", kind, i64(3)), "count")
        code.store(CHANNELS, count, Load(CHANNELS, count) + 1)
        self._later(arrives)
        self._due(reader, arrives)
        with code.if_(Compare("ge", self.now, self.trace_from) & (self.now < self.trace_to)):
            at = code.let(state(S.TRACE_COUNT), "event")
            for word, value in enumerate((self.now, Load(CHANNELS, where + H.NUMBER), kind, payload)):
                code.store(TRACE, at * EVENT + word, value)
            code.store(STATE, i64(S.TRACE_COUNT), at + 1)


def _dispatch(visit: Visit, opcode: Expr) -> None:
    """The code of the cell's opcode, found by halves."""
    ordered = sorted(CODE)

    def half(low: int, high: int) -> None:
        if high - low == 1:
            CODE[ordered[low]](visit)
            return
        middle = (low + high) // 2
        below = opcode < i64(int(ordered[middle]))
        visit.cases((below, lambda: half(low, middle)), (always(), lambda: half(middle, high)))

    half(0, len(ordered))
