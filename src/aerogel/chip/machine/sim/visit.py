"""What the code of every opcode is written with: heads of inputs, registers, tokens to send, what to wait
for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.sim import layout
from aerogel.chip.machine.sim.arithmetic import STATE, always, bits_of, cases, number_of, state
from aerogel.chip.machine.sim.layout import (
    CELL,
    DONE,
    EMPTY,
    KIND_BITS,
    PAYLOAD,
    PORT,
    REGISTERS,
    SLOT,
    STOP,
    C,
    H,
    S,
)
from aerogel.core.dtypes import DType
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import (
    Binary,
    Buf,
    BufferType,
    Call,
    Compare,
    Expr,
    Load,
    Scalar,
    Select,
    Unary,
    Var,
)

CELLS, CHANNELS, RING, DUE, GROUPS, MEMORY, WINDOWS, WORK, TRACE = (
    Buf(name, BufferType(DType.I64))
    for name in ("cells", "channels", "ring", "due", "words_of_due", "memory", "windows", "work", "trace")
)
SENT = Buf("sent", BufferType(DType.I64))
"""What a visit sends: the kind of each output's token, then the payload of each."""
BOOL = Scalar(DType.BOOL)


class Head:
    """The first token of an input, where ``there``: its kind and payload."""

    def __init__(self, there: Expr, kind: Expr, payload: Expr) -> None:
        self.there, self.kind, self.payload = there, kind, payload

    @property
    def stop(self) -> Expr:
        return Compare("ge", self.kind, i64(STOP))

    @property
    def done(self) -> Expr:
        return Compare("eq", self.kind, i64(DONE))

    @property
    def empty(self) -> Expr:
        return Compare("eq", self.kind, i64(EMPTY))

    @property
    def plain(self) -> Expr:
        """A payload, not empty."""
        return Compare("eq", self.kind, i64(PAYLOAD))

    @property
    def ends(self) -> Expr:
        """A stop, or done."""
        return Compare("ge", self.kind, i64(DONE))

    @property
    def inner(self) -> Expr:
        return self.kind & 15

    @property
    def level(self) -> Expr:
        return (self.kind >> 4) - 1


class Visit:
    """The visit of the cell whose record begins at ``base``, in cycle ``now``. ``outs``: its outputs, where
    all cells of the opcode have as many.

    An opcode's code sets what it comes to: ``act``, ``need`` (input) or ``wait_memory``; what it takes and
    sends, and its registers. Nothing of it counts unless all outputs it sends to have room.
    """

    def __init__(self, code: Code, base: Expr, now: Expr, outs: int | None) -> None:
        self.code, self.base, self.now, self.outs = code, base, now, outs
        self.outcome = code.define(i64(layout.INPUT), "outcome")
        (
            self.take,
            self.give,
            self.needed,
            self.blocked,
            self.reads,
            self.writes,
            self.work_done,
            self.halted,
        ) = (
            code.define(i64(0), hint)
            for hint in ("take", "give", "needed", "blocked", "reads", "writes", "work_done", "halted")
        )
        self.wake = code.define(i64(0), "wake")
        self.registers: dict[C, Var] = {
            at: code.define(self.own(at), f"register_{at.name.lower()}") for at in REGISTERS
        }
        self.changed: set[C] = set()
        self.sent = [
            (code.define(i64(0), "sent_kind"), code.define(i64(0), "sent")) for _ in range(outs or 0)
        ]
        self.first, self.second = self.head(0), self.head(1)

    # --- what is there --------------------------------------------------------------------------------

    def own(self, at: int) -> Expr:
        """A word of the cell's record."""
        return Load(CELLS, self.base + at)

    def keep(self, at: int | Expr, value: Expr) -> None:
        self.code.store(CELLS, self.base + at, value)

    def param(self, at: int) -> Expr:
        return self.code.let(self.own(C.P0 + at), f"param_{at}")

    def __getitem__(self, at: C) -> Var:
        return self.registers[at]

    def set(self, at: C, value: Expr | int) -> None:
        self.changed.add(at)
        self.code.assign(self.registers[at], i64(value) if isinstance(value, int) else value)

    def head(self, port: Expr | int) -> Head:
        """The head of an input; of one that there is not, nothing is there."""
        code = self.code
        where = self.channel(C.IN, port)
        at = code.let(Load(CHANNELS, where + H.HEAD), "head")
        some = Compare("ne", Load(CHANNELS, where + H.TAIL), at)
        place = Load(CHANNELS, where + H.BASE) + (at & Load(CHANNELS, where + H.MASK)) * SLOT
        slot = code.let(place, "slot")
        word = code.let(Load(RING, slot), "arrival")
        there = code.let(some & Compare("le", word >> KIND_BITS, self.now), "there")
        kind = code.let(word & ((1 << KIND_BITS) - 1), "kind")
        return Head(there, kind, code.let(Load(RING, slot + 1), "payload"))

    def channel(self, side: C, port: Expr | int) -> Expr:
        """Where the record of an input's or output's channel begins; ``side``: ``IN`` or ``OUT``."""
        return self.code.let(Load(CELLS, self.base + (side + PORT * port)), "channel")

    def has_room(self, port: Expr | int) -> Expr:
        """Whether an output had room for a token as the cycle began."""
        code = self.code
        where = self.channel(C.OUT, port)
        held = code.let(Load(CHANNELS, where + H.TAIL) - Load(CHANNELS, where + H.HEAD), "held")
        just = Select(Compare("eq", Load(CHANNELS, where + H.POPPED), self.now), i64(1), i64(0))
        return code.let(held + just < Load(CHANNELS, where + H.CAPACITY), "room")

    # --- what it comes to -----------------------------------------------------------------------------

    def cases(self, *arms: tuple[Expr | Callable[[], Expr], Callable[[], None]]) -> None:
        cases(self.code, *arms)

    def need(self, ports: int | Expr) -> None:
        """It waits for tokens in these inputs, a bit each."""
        self.code.assign(self.outcome, i64(layout.INPUT))
        self.code.assign(self.needed, i64(ports) if isinstance(ports, int) else ports)

    def with_heads(self, heads: Sequence[tuple[int, Head]], body: Callable[[], None]) -> None:
        """``body`` where all these heads are there; else the cell waits for those that are not."""
        there: Expr = heads[0][1].there
        for _, head in heads[1:]:
            there = there & head.there

        def waits() -> None:
            self.need(self.missing(heads))

        self.cases((there, body), (always(), waits))

    def missing(self, heads: Sequence[tuple[int, Head]]) -> Expr:
        lacking: Expr = i64(0)
        for port, head in heads:
            lacking = lacking | Select(head.there, i64(0), i64(1 << port))
        return lacking

    def act(self, take: int | Expr = 0) -> None:
        self.code.assign(self.outcome, i64(layout.ACT))
        self.code.assign(self.take, i64(take) if isinstance(take, int) else take)

    def send(self, port: Expr | int, kind: Expr | int, payload: Expr | None = None) -> None:
        code = self.code
        what = i64(kind) if isinstance(kind, int) else kind
        if self.outs is None:
            at = i64(port) if isinstance(port, int) else port
            code.store(SENT, at, what)
            if payload is not None:
                code.store(SENT, at + layout.OUTPUTS, payload)
            code.assign(self.give, self.give | (i64(1) << at))
            return
        assert isinstance(port, int)
        code.assign(self.sent[port][0], what)
        if payload is not None:
            code.assign(self.sent[port][1], payload)
        code.assign(self.give, self.give | (1 << port))

    def send_all(self, kind: Expr | int, outs: int | None = None) -> None:
        """The same to every output; ``outs``: how many there are, where that is known."""
        outs = self.outs if outs is None else outs
        if outs is not None:
            for port in range(outs):
                self.send(port, kind)
            return
        what = self.code.let(i64(kind) if isinstance(kind, int) else kind, "what")
        with self.code.for_(i64(0), self.own(C.OUTS), "port") as port:
            self.send(port, what)

    def halt(self) -> None:
        self.code.assign(self.halted, i64(1))

    def wait_memory(self, until: Expr) -> None:
        self.code.assign(self.outcome, i64(layout.MEMORY))
        self.code.assign(self.wake, until)

    def fault(self, fault: Fault, detail: Expr | None = None) -> None:
        self.code.store(STATE, i64(S.FAULT), i64(fault))
        self.code.store(STATE, i64(S.DETAIL), i64(0) if detail is None else detail)
        self.code.assign(self.outcome, i64(layout.FAULT))

    # --- memory and values ----------------------------------------------------------------------------

    def read(self, port: int, places: Sequence[Expr], body: Callable[[list[Expr]], None]) -> None:
        """``body`` of words of a segment, which are within it, once the tile has them."""
        code = self.code
        step = port * (C.BASE1 - C.BASE0)
        ready = code.define(self.now, "ready")
        window = code.let(self.own(C.WINDOW0 + step), "window")
        with code.if_(Compare("ne", window, i64(0))):
            for place in places:
                size = self.own(C.SIZE0 + step)
                code.add(Call("look", (self.base, window, place, size, self.now, CELLS, WINDOWS, STATE)))
                code.assign(ready, Binary("max", ready, state(S.READY)))

        def found() -> None:
            start = code.let(self.own(C.BASE0 + step), "start")
            body([code.let(Load(MEMORY, start + place), "word") for place in places])

        late = Compare("gt", ready, self.now)
        self.cases((late, lambda: self.wait_memory(ready)), (always(), found))

    def operate(self, op: Expr, a: Expr, b: Expr) -> Expr:
        """``a op b`` as bits, of bits."""
        self.code.add(Call("operate", (op, number_of(a), number_of(b), STATE)))
        return self.code.let(state(S.RESULT), "result")

    def apply(self, op: Expr, a: Expr) -> Expr:
        self.code.add(Call("apply", (op, number_of(a), STATE)))
        return self.code.let(state(S.RESULT), "result")

    def number(self, head: Head) -> Expr:
        """The bits of a value; of an empty token those of 0."""
        return self.code.let(Select(head.empty, i64(0), head.payload), "number")

    def let(self, value: Expr, hint: str = "t") -> Expr:
        return self.code.let(value, hint)


def not_(cond: Expr) -> Expr:
    return Unary("not", cond)


def eq(a: Expr, b: Expr | int) -> Expr:
    return Compare("eq", a, i64(b) if isinstance(b, int) else b)


def ne(a: Expr, b: Expr | int) -> Expr:
    return Compare("ne", a, i64(b) if isinstance(b, int) else b)


__all__ = [
    "BOOL", "CELL", "CELLS", "CHANNELS", "DUE", "GROUPS", "MEMORY", "RING", "SENT", "TRACE", "WINDOWS",
    "WORK", "Head", "Visit", "bits_of", "eq", "ne", "not_",
]  # fmt: skip
