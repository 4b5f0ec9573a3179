"""The opcodes of dense mode in Loop IR: ``step_dense.py`` once more. See there for what and why."""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.machine.affine import LOOPS
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.machine.opcodes import OPERATIONS
from aerogel.chip.machine.sim.arithmetic import F64, STATE, always, bits_of, f64, number_of, state
from aerogel.chip.machine.sim.layout import DONE, OUTPUT, PAYLOAD, VALUES, C, S
from aerogel.chip.machine.sim.visit import WORK, Head, Visit, eq, ne, not_
from aerogel.loop.build import i64
from aerogel.loop.nodes import F32, Cast, Compare, Expr, Load, Select, Unary

ON, ENDED = 0, 1
WIDEST = float(1 << 31)


def address(v: Visit) -> None:
    """``AT``: the address; ``WORK``: extents, strides and counts of the loops. Ends in phase ``ENDED``."""

    def again() -> None:
        v.send(0, DONE)
        v.act()
        v.halt()

    def value(words: list[Expr]) -> None:
        room = v.has_room(0)
        with v.code.if_(room):
            step(v)
        v.send(0, PAYLOAD, words[0])
        v.code.assign(v.reads, i64(1))
        v.act()

    v.cases((eq(v[C.PHASE], ENDED), again), (always(), lambda: v.read(0, [v[C.AT]], value)))


def step(v: Visit) -> None:
    """To the next address: the innermost loop that has a step left takes it, those within it begin again."""
    code, work = v.code, v.let(v.own(C.WORK), "loops")
    loop = code.define(i64(LOOPS - 1), "loop")
    v.set(C.PHASE, ENDED)
    with code.while_(Compare("ge", loop, i64(0))):
        extent = v.let(Load(WORK, work + loop), "extent")
        stride = v.let(Load(WORK, work + LOOPS + loop), "stride")
        place = v.let(work + 2 * LOOPS + loop, "place")
        count = v.let(Load(WORK, place) + 1, "count")
        on = v.let(count < extent, "on")
        code.store(WORK, place, Select(on, count, i64(0)))
        v.set(C.AT, v.let(v[C.AT] + Select(on, stride, (i64(1) - extent) * stride)))
        v.set(C.PHASE, Select(on, i64(ON), v[C.PHASE]))
        code.assign(loop, Select(on, i64(-1), loop - 1))


def multiply_add(v: Visit) -> None:
    """``AT``: products so far; ``DATA``: their sum; ``END``: whether a sum, ``FIBER``, is ready; ``MARK``:
    how many sums of others are still to be passed on."""
    a, b, coming = v.first, v.second, v.head(2)
    count, chain = v.param(0), v.param(1)
    running = v.let(eq(v[C.PHASE], ON), "running")
    passing, ready = v.let(Compare("gt", v[C.MARK], i64(0)), "passing"), v.let(ne(v[C.END], 0), "ready")
    both = v.let(running & a.there & b.there, "both")
    ends = v.let(both & a.done & b.done, "ends")
    closing = v.let(not_(running) & not_(passing) & not_(ready) & (eq(chain, 0) | coming.there), "closing")
    wrong = v.let(
        (both & (_unlike(a, b) | (ends & ne(v[C.AT], 0))))
        | (passing & coming.there & coming.done)
        | (closing & ne(chain, 0) & not_(coming.done)),
        "wrong",
    )
    stray = v.let((both & (_stray(a) | _stray(b))) | (passing & coming.there & _stray(coming)), "stray")

    def sound() -> None:
        room = [v.has_room(port) for port in range(3)]
        passes = v.let(passing & coming.there, "passes")
        own = v.let(not_(passing) & ready, "own")
        out = v.let((passes | own | closing) & room[0], "out")
        handed = v.let(not_(ready) | (own & room[0]), "handed")
        last = v.let(eq(v[C.AT] + 1, count), "last")
        able = v.let(both & (ends | handed | not_(last)), "able")
        goes = v.let(able & room[1] & room[2], "goes")
        v.cases(
            (out | goes, lambda: moves(out, goes, passes, own, last)),
            (always(), lambda: waits(passes | own | closing, able, room)),
        )

    def moves(out: Expr, goes: Expr, passes: Expr, own: Expr, last: Expr) -> None:
        take = v.let(
            Select(goes, i64(3), i64(0)) | Select(out & (passes | (closing & ne(chain, 0))), i64(4), i64(0)),
            "taken",
        )
        v.act(take)
        with v.code.if_(out):
            hand_over(v, coming, passes, own, chain)
        with v.code.if_(goes):
            v.send(1, a.kind, a.payload)
            v.send(2, b.kind, b.payload)
            v.cases((ends, lambda: v.set(C.PHASE, ENDED)), (always(), lambda: add_product(v, a, b, last)))

    def waits(wanted: Expr, able: Expr, room: list[Expr]) -> None:
        full = Select(wanted & not_(room[0]), i64(1), i64(0))
        for port in (1, 2):
            full = full | Select(able & not_(room[port]), i64(1 << port), i64(0))
        blocked = v.let(full, "full")
        lacking = Select(running & not_(a.there), i64(1), i64(0))
        lacking = lacking | Select(running & not_(b.there), i64(2), i64(0))
        chained = ne(chain, 0) & not_(coming.there) & (passing | not_(running))

        def for_input() -> None:
            v.need(v.let(lacking | Select(chained, i64(4), i64(0))))

        def for_room() -> None:
            v.code.assign(v.outcome, i64(OUTPUT))
            v.code.assign(v.blocked, blocked)

        v.cases((ne(blocked, 0), for_room), (always(), for_input))

    v.cases(
        (stray, lambda: v.fault(Fault.STRAY)),
        (wrong, lambda: v.fault(Fault.MISALIGNED)),
        (always(), sound),
    )


def _unlike(a: Head, b: Head) -> Expr:
    return ne(a.kind, b.kind)


def _stray(head: Head) -> Expr:
    return head.stop | head.empty


def hand_over(v: Visit, coming: Head, passes: Expr, own: Expr, chain: Expr) -> None:
    """A sum of another cell, or this one's own, or, after all of them, done."""

    def pass_on() -> None:
        v.send(0, PAYLOAD, coming.payload)
        v.set(C.MARK, v.let(v[C.MARK] - 1))

    def mine() -> None:
        v.send(0, PAYLOAD, v[C.FIBER])
        v.set(C.END, 0)
        v.set(C.MARK, chain)

    def done() -> None:
        v.send(0, DONE)
        v.halt()

    v.cases((passes, pass_on), (own, mine), (always(), done))


def add_product(v: Visit, a: Head, b: Head, last: Expr) -> None:
    """One more product; the ``last`` makes the sum ready. Sums are twice as wide as bf16 and int16 are."""
    product = number_of(v.number(a)) * number_of(v.number(b))
    total = v.code.define(number_of(v[C.DATA]) + product, "total")
    values = v.let(state(S.VALUES), "values")
    floats = eq(values, VALUES.index("bf16")) | eq(values, VALUES.index("f32"))

    def whole() -> None:
        with v.code.if_(not_(Unary("abs", total) < f64(WIDEST))):
            v.code.store(STATE, i64(S.FAULT), i64(Fault.OVERFLOW))

    v.cases(
        (floats, lambda: v.code.assign(total, Cast(Cast(total, F32), F64))),
        (eq(values, VALUES.index("int16")), whole),
    )
    v.code.assign(v.work_done, i64(1))

    def finished() -> None:
        v.set(C.FIBER, v.operate(i64(OPERATIONS.index("add")), v.let(bits_of(total)), i64(0)))
        v.set(C.END, 1)
        v.set(C.AT, 0)
        v.set(C.DATA, 0)

    def on() -> None:
        v.set(C.DATA, v.let(bits_of(total)))
        v.set(C.AT, v.let(v[C.AT] + 1))

    v.cases((last, finished), (always(), on))


DENSE: dict[Opcode, Callable[[Visit], None]] = {
    Opcode.ADDRESS: address,
    Opcode.MULTIPLY_ADD: multiply_add,
}
