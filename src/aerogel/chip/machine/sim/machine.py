"""The simulator's machine code: cycle after cycle, every cell that is due is visited, and moves or sleeps.

A cell that cannot move sleeps until a token comes to it, a place in an output comes free, or a line it asked
for is there: nothing else can change that. One that moved is looked at again in the next cycle. Cells of one
opcode are looked at together, by code of their own: it is found once for up to 64 of them, and a branch in
it goes the same way more often than it would among others.
"""

from __future__ import annotations

from functools import cache

from aerogel import native
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.machine.ports import fixed_counts
from aerogel.chip.machine.sim import layout
from aerogel.chip.machine.sim.arithmetic import STATE, always, apply, cases, operate, state
from aerogel.chip.machine.sim.codes import ATTENTIVE, CODE
from aerogel.chip.machine.sim.fetching import fetching
from aerogel.chip.machine.sim.layout import CELL, DEADLOCK, C, S
from aerogel.chip.machine.sim.moves import Moves
from aerogel.chip.machine.sim.visit import (
    CELLS,
    CHANNELS,
    DUE,
    GROUPS,
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
from aerogel.loop.nodes import I64, Alloc, Call, Compare, Expr, Function, Load, Module, Select, Unary, Var

BUFFERS = (STATE, CELLS, CHANNELS, RING, DUE, GROUPS, MEMORY, WINDOWS, WORK, TRACE)
_BITS, _GROUP, _NOW = Var("bits_due", I64), Var("due_word", I64), Var("now", I64)


@cache
def machine() -> native.Compiled:
    """The simulator, compiled."""
    return native.compile(machine_module())


def machine_module() -> Module:
    """``simulate(state, cells, channels, ring, due, groups, memory, windows, work, trace)``: see
    ``layout``."""
    called = (*fetching(), operate(), apply(), *map(_visits, sorted(CODE)))
    return Module("chip", (*called, _simulate()))


def _simulate() -> Function:
    """The loop over cycles."""
    code = Code()
    mask, groups = code.let(state(S.MASK), "mask"), code.let(state(S.GROUPS), "groups")
    until = code.let(state(S.UNTIL), "until")
    now, visits, quiet = (code.define(state(at), at.name.lower()) for at in (S.NOW, S.VISITS, S.QUIET))
    with code.while_(_going(now, until)):
        row = code.let((now & mask) * groups, "row")
        some = code.define(i64(0), "some")
        with code.for_(i64(0), groups, "group") as group:
            place = code.let(row + group, "place")
            bits = code.let(Load(DUE, place), "bits")
            with code.if_(ne(bits, 0) & eq(state(S.FAULT), 0)):
                code.store(DUE, place, i64(0))
                code.assign(some, i64(1))
                code.assign(visits, visits + Unary("popcount", bits))
                _dispatch(code, code.let(Load(GROUPS, group * 2), "opcode"), bits, group, now)
        code.assign(quiet, Select(eq(some, 0), quiet + 1, i64(0)))
        with code.if_(Compare("gt", quiet, mask)):
            code.store(STATE, i64(S.FAULT), i64(DEADLOCK))
        with code.if_(eq(state(S.FAULT), 0)):
            code.assign(now, now + 1)
    for at, value in ((S.NOW, now), (S.VISITS, visits), (S.QUIET, quiet)):
        code.store(STATE, i64(at), value)
    return Function("simulate", BUFFERS, code.done())


def _going(now: Expr, until: Expr) -> Expr:
    """A cycle's tokens must find room in the trace, however many."""
    fits = Compare("le", state(S.TRACE_COUNT), state(S.TRACE_ROOM))
    return (now < until) & Compare("gt", state(S.LIVE), i64(0)) & eq(state(S.FAULT), 0) & fits


def _dispatch(code: Code, opcode: Expr, bits: Expr, group: Expr, now: Expr) -> None:
    """The visits to cells of an opcode, found by halves."""
    ordered = sorted(CODE)

    def half(low: int, high: int) -> None:
        if high - low == 1:
            code.add(Call(_name(ordered[low]), (bits, group, now, *BUFFERS)))
            return
        middle = (low + high) // 2
        below = opcode < i64(int(ordered[middle]))
        cases(code, (below, lambda: half(low, middle)), (always(), lambda: half(middle, high)))

    half(0, len(ordered))


def _name(opcode: Opcode) -> str:
    return f"visit_{opcode.name.lower()}"


def _visits(opcode: Opcode) -> Function:
    """``visit_<opcode>(bits_due, due_word, now, ...)``: visits to the cells of a word of ``due``."""
    code = Code()
    ins, outs = fixed_counts(opcode)
    if outs is None:
        code.add(Alloc(SENT, 2 * layout.OUTPUTS))
    groups = code.let(state(S.GROUPS), "groups")
    first = code.let(Load(GROUPS, _GROUP * 2 + 1), "first")
    attentive = opcode in ATTENTIVE
    moves = Moves(code, _NOW, groups, ins=ins, outs=outs, attentive=attentive)
    bits = code.define(_BITS, "bits")
    with code.while_(ne(bits, 0) & eq(state(S.FAULT), 0)):
        bit = code.let(bits & (i64(0) - bits), "bit")
        base = code.let(first + Unary("ctz", bits) * CELL, "base")
        code.assign(bits, bits ^ bit)
        # One that is done is still woken by whoever takes its last tokens, if it minds them all.
        with code.when(eq(Load(CELLS, base + C.HALTED), 0) if attentive else None):
            visit = Visit(code, base, _NOW, outs)
            CODE[opcode](visit)
            moves.after(visit, bit)
    moves.close(_GROUP)
    return Function(_name(opcode), (_BITS, _GROUP, _NOW, *BUFFERS), code.done())
