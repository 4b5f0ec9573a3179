"""What each opcode does, in Loop IR: ``step_cells.py`` once more. See there for what and why."""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.machine.sim.arithmetic import STATE, always, unsigned_less
from aerogel.chip.machine.sim.layout import (
    DEEPER,
    DONE,
    EMPTY,
    LEVEL,
    MOST_STOP,
    OUTPUT,
    OUTPUTS,
    PAYLOAD,
    SHALLOWER_BOTH,
    STOP,
    C,
    S,
)
from aerogel.chip.machine.sim.visit import CELLS, MEMORY, SENT, WORK, Head, Visit, eq, ne, not_
from aerogel.loop.build import i64
from aerogel.loop.nodes import Binary, Call, Compare, Expr, Load, Select, Unary, Var

IDLE, OPEN, CLOSING, AFTER, HELD = 0, 1, 2, 3, 1
FAR = 1 << 40


def shallower(kind: Expr) -> Expr:
    """The stop one level less deep."""
    return Select(eq(kind & 15, 0), kind - LEVEL, kind - SHALLOWER_BOTH)


def root(v: Visit) -> None:
    v.act()

    def again() -> None:
        v.send(0, DONE)
        v.halt()

    def first() -> None:
        v.send(0, PAYLOAD, i64(0))
        v.set(C.PHASE, 1)

    v.cases((eq(v[C.PHASE], IDLE), first), (always(), again))


# --- scanners -----------------------------------------------------------------------------------------


def scan_compressed(v: Visit) -> None:
    def coordinate() -> None:
        v.read(1, [v[C.AT]], lambda words: emit(words[0]))

    def emit(crd: Expr) -> None:
        v.code.assign(v.reads, i64(1))
        emit_pair(v, crd)

    scanning(v, coordinate, lambda: open_compressed(v))


def scan_dense(v: Visit) -> None:
    def fiber() -> None:
        size, ref = v.param(0), v.first.payload
        sound = unsigned_less(ref, i64(FAR))
        v.cases(
            (sound, lambda: opened(v, v.let(ref * size), v.let(ref * size + size))),
            (always(), lambda: v.fault(Fault.REFERENCE, ref)),
        )

    scanning(v, lambda: emit_pair(v, v.let(v[C.AT] - v[C.FIBER])), fiber)


def emit_pair(v: Visit, crd: Expr) -> None:
    v.send(0, PAYLOAD, crd)
    v.send(1, PAYLOAD, v[C.AT])
    advance(v)
    v.act()


def advance(v: Visit) -> None:
    """To the next position of the fiber, or to its end."""
    following = v.let(v[C.AT] + 1, "following")
    v.set(C.PHASE, Select(following < v[C.END], i64(OPEN), i64(CLOSING)))
    v.set(C.AT, following)


def scanning(v: Visit, inside: Callable[[], None], fiber: Callable[[], None]) -> None:
    """A scanner: ``inside`` of a fiber; ``fiber`` opens the one that a reference names."""
    v.cases((eq(v[C.PHASE], OPEN), inside), (always(), lambda: between(v, fiber, lambda: None)))


def between(
    v: Visit,
    fiber: Callable[[], None],
    ended: Callable[[], None],
    *,
    empty: Callable[[], None] | None = None,
    after: bool = False,
) -> None:
    """A scanner between fibers; ``ended``: what else happens with each stop it sends; ``empty``: opens the
    fiber of an empty reference. ``after``: it goes on when it has sent done."""
    token = v.first
    closing = v.let(eq(v[C.PHASE], CLOSING), "closing")

    def stop() -> None:
        kind = v.let(Select(closing, token.kind + LEVEL, token.kind + DEEPER), "stop")
        deep = Compare("ge", token.kind, i64(MOST_STOP))

        def passes() -> None:
            v.send_all(kind, 2)
            v.set(C.PHASE, IDLE)
            v.act(1)
            ended()

        v.cases(
            (closing & ne(token.inner, 0), lambda: v.fault(Fault.MISALIGNED)),
            (deep, lambda: v.fault(Fault.DEPTH)),
            (always(), passes),
        )

    def done() -> None:
        def whole() -> None:
            v.send_all(DONE, 2)
            v.act(1)
            if after:
                v.set(C.PHASE, AFTER)
            else:
                v.halt()

        def close() -> None:
            v.send_all(STOP, 2)
            v.set(C.PHASE, IDLE)
            v.act()
            ended()

        v.cases((closing, close), (always(), whole))

    def opens() -> None:
        with v.code.if_(closing):
            v.send_all(STOP, 2)
            ended()
        v.cases((token.empty, empty or (lambda: opened(v, i64(0), i64(0)))), (always(), fiber))

    v.with_heads([(0, token)], lambda: v.cases((token.stop, stop), (token.done, done), (always(), opens)))


def opened(v: Visit, start: Expr, end: Expr) -> None:
    """A fiber from ``start`` to before ``end``."""
    v.set(C.AT, start)
    v.set(C.FIBER, start)
    v.set(C.END, end)
    v.set(C.PHASE, Select(start < end, i64(OPEN), i64(CLOSING)))
    v.act(1)


def open_compressed(v: Visit) -> None:
    ref = v.first.payload

    def spans(words: list[Expr]) -> None:
        start, end = words
        sound = Compare("le", i64(0), start) & Compare("le", start, end)
        sound = sound & Compare("le", end, v.own(C.SIZE1))

        def fiber() -> None:
            v.code.assign(v.reads, i64(2))
            opened(v, start, end)

        v.cases((sound, fiber), (always(), lambda: v.fault(Fault.SPAN, start)))

    sound = v.let(unsigned_less(ref, v.own(C.SIZE0) - 1), "sound")
    v.cases(
        (sound, lambda: v.read(0, [ref, v.let(ref + 1)], spans)),
        (always(), lambda: v.fault(Fault.REFERENCE, ref)),
    )


def locate(v: Visit) -> None:
    crd, ref = v.first, v.second

    def payload() -> None:
        size = v.param(0)
        v.cases(
            (ref.ends, lambda: v.fault(Fault.MISALIGNED)),
            (ref.empty, nothing),
            (not_(unsigned_less(crd.payload, size)), lambda: v.fault(Fault.COORDINATE, crd.payload)),
            (not_(unsigned_less(ref.payload, i64(FAR))), lambda: v.fault(Fault.REFERENCE, ref.payload)),
            (always(), lambda: found(size)),
        )

    def nothing() -> None:
        v.send(0, PAYLOAD, crd.payload)
        v.send(1, EMPTY)
        v.act(3)

    def found(size: Expr) -> None:
        v.send(0, PAYLOAD, crd.payload)
        v.send(1, PAYLOAD, v.let(ref.payload * size + crd.payload))
        v.act(3)

    v.with_heads([(0, crd), (1, ref)], lambda: v.cases((crd.plain, payload), (always(), lambda: alike(v, 2))))


def alike(v: Visit, outs: int) -> None:
    """Both heads are the same stop, or done, and go on; else the streams do not fit."""

    def on() -> None:
        v.send_all(v.first.kind, outs)
        v.act(3)
        finish(v, v.first)

    v.cases((eq(v.first.kind, v.second.kind), on), (always(), lambda: v.fault(Fault.MISALIGNED)))


def finish(v: Visit, head: Head) -> None:
    v.code.assign(v.halted, Select(head.done, i64(1), i64(0)))


def repeat(v: Visit) -> None:
    signal, other = v.first, v.second
    holding = v.let(eq(v[C.PHASE], HELD), "holding")

    def payload() -> None:
        v.cases((holding, again), (always(), lambda: v.with_heads([(1, other)], taken)))

    def again() -> None:
        v.send(0, v[C.MARK], v[C.DATA])
        v.act(1)

    def hold() -> None:
        v.set(C.MARK, other.kind)
        v.set(C.DATA, other.payload)
        v.set(C.PHASE, HELD)

    def taken() -> None:
        def takes() -> None:
            v.send(0, other.kind, other.payload)
            hold()
            v.act(3)

        v.cases((other.ends, lambda: v.fault(Fault.MISALIGNED)), (always(), takes))

    def done() -> None:
        bad = holding | not_(other.done)

        def ends() -> None:
            v.send(0, DONE)
            v.act(3)
            v.halt()

        v.with_heads(
            [(1, other)], lambda: v.cases((bad, lambda: v.fault(Fault.MISALIGNED)), (always(), ends))
        )

    def last() -> None:
        """The stop of a fiber alone."""
        v.send(0, signal.kind)
        v.set(C.PHASE, IDLE)
        v.act(1)

    def empty() -> None:
        def both() -> None:
            v.send(0, signal.kind)
            v.act(3)

        def one() -> None:
            hold()
            v.act(2)

        v.with_heads(
            [(1, other)],
            lambda: v.cases(
                (other.ends, lambda: v.fault(Fault.MISALIGNED)),
                (eq(signal.level, 0), both),
                (always(), one),
            ),
        )

    def outer() -> None:
        bad = (ne(signal.inner, 0) & holding) | ne(other.kind, v.let(shallower(signal.kind)))

        def on() -> None:
            v.send(0, signal.kind)
            v.set(C.PHASE, IDLE)
            v.act(3)

        v.with_heads([(1, other)], lambda: v.cases((bad, lambda: v.fault(Fault.MISALIGNED)), (always(), on)))

    def stop() -> None:
        v.cases((eq(signal.inner, 0) & not_(holding), empty), (eq(signal.level, 0), last), (always(), outer))

    v.with_heads(
        [(0, signal)], lambda: v.cases((signal.stop, stop), (signal.done, done), (always(), payload))
    )


# --- merging ------------------------------------------------------------------------------------------


def merge(v: Visit, *, union: bool, skip: bool = False) -> None:
    """Sides of a coordinate and references each; side b's coordinate is input 1 + left."""
    left, right = v.param(0), v.param(1)
    b = v.let(left + 1, "b")
    first, second = v.first, v.head(b)
    both_there = first.there & second.there
    missing = Select(first.there, i64(0), i64(1)) | Select(second.there, i64(0), i64(1) << b)

    def turn() -> None:
        both = v.let(first.plain & second.plain, "both")
        none = v.let(first.ends & second.ends, "none")
        takes_a = v.let(
            Select(both, Compare("le", first.payload, second.payload), none | first.plain), "takes_a"
        )
        takes_b = v.let(
            Select(both, Compare("le", second.payload, first.payload), none | second.plain), "takes_b"
        )
        # Done cannot meet a coordinate, nor two stops that differ.
        bad = (none & ne(first.kind, second.kind)) | (not_(both) & not_(none) & (first.done | second.done))
        v.cases(
            (first.empty | second.empty, lambda: v.fault(Fault.STRAY)),
            (bad, lambda: v.fault(Fault.MISALIGNED)),
            (always(), lambda: move(takes_a, takes_b)),
        )

    def move(takes_a: Expr, takes_b: Expr) -> None:
        side_a = (i64(1) << (left + 1)) - 1
        side_b = ((i64(1) << (right + 1)) - 1) << b
        take = v.let(Select(takes_a, side_a, i64(0)) | Select(takes_b, side_b, i64(0)), "taken")
        kind = v.let(Select(takes_a, first.kind, second.kind), "kind")
        crd = v.let(Select(takes_a, first.payload, second.payload), "crd")
        lacking, odd = v.code.define(i64(0), "lacking"), v.code.define(i64(0), "odd")
        kept = v.let(always() if union else takes_a & takes_b, "kept")
        for start, count, taken, out in ((i64(1), left, takes_a, i64(1)), (b + 1, right, takes_b, b)):
            with v.code.for_(i64(0), count, "along") as along:
                along_side(start, along, taken, out, kind, lacking, odd)

        def on() -> None:
            v.act(take)

            def sends() -> None:
                v.send(0, kind, crd)
                refs = (i64(1) << (left + right + 1)) - 1
                v.code.assign(v.give, v.give | refs)
                v.code.assign(v.halted, Select(eq(kind, DONE), i64(1), i64(0)))
                if skip:
                    with v.code.if_(Compare("ge", kind, i64(DONE))):
                        v.send(v.let(left + right + 1), kind)
                        v.send(v.let(left + right + 2), kind)

            def behind() -> None:
                port = v.let(left + right + Select(takes_a, i64(1), i64(2)), "behind")
                other = v.let(Select(takes_a, second.plain, first.plain), "other")
                hint = Select(takes_a, second.payload, first.payload)

                most = (i64(1) << Load(STATE, i64(S.WORD_BITS))) - 1
                with v.code.if_(v.has_room(port)):
                    v.send(port, PAYLOAD, v.let(Select(other, hint, most)))

            v.cases((kept, sends), *([(always(), behind)] if skip else []))

        v.cases(
            (ne(lacking, 0), lambda: v.need(lacking)),
            (ne(odd, 0), lambda: v.fault(Fault.MISALIGNED)),
            (always(), on),
        )

    def along_side(
        start: Expr, along: Expr, taken: Expr, out: Expr, kind: Expr, lacking: Var, odd: Var
    ) -> None:
        """A side's reference: it is taken with its coordinate, and sent, or empty is sent instead of it."""
        port = v.let(start + along, "port")
        head = v.head(port)

        def comes() -> None:
            with v.code.if_(not_(head.there)):
                v.code.assign(lacking, lacking | (i64(1) << port))
            # A payload or empty beside a coordinate; beside a stop, the very same.
            same = Select(Compare("ge", kind, i64(DONE)), eq(head.kind, kind), not_(head.ends))
            with v.code.if_(not_(same)):
                v.code.assign(odd, i64(1))
            v.code.store(SENT, out + along, head.kind)
            v.code.store(SENT, out + along + OUTPUTS, head.payload)

        v.cases((taken, comes), (always(), lambda: v.code.store(SENT, out + along, i64(EMPTY))))

    v.cases((both_there, turn), (always(), lambda: v.need(v.let(missing))))


# --- values -------------------------------------------------------------------------------------------


def through(v: Visit, value: Callable[[], None]) -> None:
    """One input: its values become others; stops and done go on."""

    def on() -> None:
        v.send(0, v.first.kind)
        v.act(1)
        finish(v, v.first)

    v.with_heads([(0, v.first)], lambda: v.cases((v.first.ends, on), (always(), value)))


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


# --- workspaces: two words of ``WORK`` for every place's value and a bit in use, 64 to a word -------------


FLUSHING = 2


def words_of(v: Visit, extent: Expr) -> Expr:
    """Where the words with the bits in use begin: behind the values."""
    return v.let(v.own(C.WORK) + extent, "used")


def accumulate(v: Visit, place: Expr, extent: Expr, value: Expr, take: int | Expr) -> None:
    """One more value for a place. ``EXTRA``: places in use; ``MORE``: the lowest of them."""
    code = v.code
    used = words_of(v, extent)
    group = v.let(used + (place >> 6), "group")
    bits = v.let(Load(WORK, group), "bits")
    bit = v.let(i64(1) << (place & 63), "bit")
    where = v.let(v.own(C.WORK) + place, "where")

    def more() -> None:
        v.code.store(WORK, where, v.operate(v.param(0), v.let(Load(WORK, where)), value))
        code.assign(v.work_done, i64(1))

    def first() -> None:
        code.store(WORK, where, value)
        code.store(WORK, group, bits | bit)
        none = eq(v[C.EXTRA], 0)
        v.set(C.MORE, Select(none, place, Binary("min", place, v[C.MORE])))
        v.set(C.EXTRA, v[C.EXTRA] + 1)

    v.cases((ne(bits & bit, 0), more), (always(), first))
    code.assign(v.reads, i64(1))
    code.assign(v.writes, i64(1))
    v.act(take)


def next_in_use(v: Visit, extent: Expr, found: Callable[[Expr, Callable[[], None]], None]) -> None:
    """``found`` of the next place in use of those seen at once, and how it is cleared; else goes on to the
    next ones."""
    group = v.let(v[C.AT] >> 6, "group")
    where = v.let(words_of(v, extent) + group, "where")
    bits = v.let(Load(WORK, where), "bits")
    # What lies before AT was cleared as it was sent.
    here = v.let((bits >> (v[C.AT] & 63)) << (v[C.AT] & 63), "here")

    def clear() -> None:
        v.code.store(WORK, where, bits ^ (here & (i64(0) - here)))
        v.code.assign(v.reads, i64(1))
        v.code.assign(v.writes, i64(1))
        v.set(C.EXTRA, v[C.EXTRA] - 1)

    def some() -> None:
        found(v.let(group * 64 + Unary("ctz", here), "place"), clear)

    def none() -> None:
        v.set(C.AT, v.let((group + 1) * 64))
        v.act()

    v.cases((ne(here, 0), some), (always(), none))


def vector_reduce(v: Visit) -> None:
    crd, val = v.first, v.second
    extent = v.param(1)

    def flush() -> None:
        def rest() -> None:
            next_in_use(v, extent, emit)

        v.cases((eq(v[C.EXTRA], 0), lambda: ends(PAYLOAD)), (always(), rest))

    def emit(place: Expr, clear: Callable[[], None]) -> None:
        room = v.let(v.has_room(0) & v.has_room(1), "room_for_both")
        value = v.let(Load(WORK, v.own(C.WORK) + place), "value")
        with v.code.if_(room):
            clear()
        v.send(0, PAYLOAD, place)
        v.send(1, PAYLOAD, value)
        v.set(C.AT, v.let(place + 1))
        v.act()

    def ends(_: int) -> None:
        """The stop that is left when the innermost level is gone."""
        v.send_all(v.let(crd.kind - LEVEL - crd.inner), 2)
        v.set(C.PHASE, IDLE)
        v.act(3)

    def stop() -> None:
        def begin() -> None:
            v.set(C.PHASE, FLUSHING)
            v.set(C.AT, v[C.MORE])
            v.act()

        def pass_on() -> None:
            v.send_all(v.let(shallower(crd.kind)), 2)
            v.act(3)

        v.cases(
            (eq(crd.level, 0), lambda: v.act(3)),
            (Compare("gt", crd.inner, i64(1)), pass_on),
            (eq(v[C.EXTRA], 0), lambda: ends(0)),
            (always(), begin),
        )

    def done() -> None:
        v.send_all(DONE, 2)
        v.act(3)
        v.halt()

    def value() -> None:
        bad = not_(crd.plain) | val.ends
        sound = unsigned_less(crd.payload, extent)
        v.cases(
            (bad, lambda: v.fault(Fault.MISALIGNED)),
            (sound, lambda: accumulate(v, crd.payload, extent, v.number(val), 3)),
            (always(), lambda: v.fault(Fault.COORDINATE, crd.payload)),
        )

    def fresh() -> None:
        v.cases(
            (crd.ends & ne(crd.kind, val.kind), lambda: v.fault(Fault.MISALIGNED)),
            (crd.done, done),
            (crd.stop, stop),
            (always(), value),
        )

    v.with_heads([(0, crd), (1, val)], lambda: v.cases((eq(v[C.PHASE], FLUSHING), flush), (always(), fresh)))


# --- results ------------------------------------------------------------------------------------------


def store(v: Visit, port: int, at: Expr, value: Expr, then: Callable[[], None]) -> None:
    """Appends a word to a result, once there is room on the way to it."""
    code = v.code
    step = port * (C.BASE1 - C.BASE0)
    line = v.let(Load(STATE, i64(S.LINE)), "line")
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


KEPT, DROPPED = 1, 2


def drop_fibers(v: Visit) -> None:
    outer, inner = v.first, v.second
    phase, mark = v[C.PHASE], v[C.MARK]

    def with_outer(body: Callable[[], None]) -> None:
        v.with_heads(
            [(0, outer)],
            lambda: v.cases((outer.plain, body), (always(), lambda: v.fault(Fault.MISALIGNED))),
        )

    def pending() -> None:
        v.send(1, STOP)
        v.set(C.MARK, 0)
        v.act()

    def more() -> None:
        v.send(1, PAYLOAD, inner.payload)
        v.act(2)

    def first() -> None:
        v.send(0, PAYLOAD, outer.payload)
        v.send(1, PAYLOAD, inner.payload)
        v.set(C.PHASE, KEPT)
        v.act(3)

    def payload() -> None:
        v.cases((ne(mark, 0), pending), (eq(phase, KEPT), more), (always(), lambda: with_outer(first)))

    def nothing() -> None:
        def both() -> None:
            v.act(3)

        def one() -> None:
            v.set(C.PHASE, DROPPED)
            v.act(1)

        with_outer(lambda: v.cases((eq(inner.level, 0), both), (always(), one)))

    def last() -> None:
        v.set(C.PHASE, IDLE)
        v.set(C.MARK, 1)
        v.act(2)

    def whole() -> None:
        def on() -> None:
            opened_ = eq(phase, KEPT) | ne(mark, 0)
            deeper = inner.kind - inner.inner + Binary("max", inner.inner, i64(1))
            v.send(0, outer.kind)
            v.send(1, v.let(Select(opened_, inner.kind, deeper)))
            v.set(C.PHASE, IDLE)
            v.set(C.MARK, 0)
            v.act(3)

        open_ = ne(phase, IDLE) | ne(mark, 0)
        bad = ne(outer.kind, v.let(shallower(inner.kind))) | (ne(inner.inner, 0) & open_)
        v.with_heads([(0, outer)], lambda: v.cases((bad, lambda: v.fault(Fault.MISALIGNED)), (always(), on)))

    def stop() -> None:
        v.cases(
            (eq(inner.inner, 0) & eq(phase, IDLE), nothing), (eq(inner.level, 0), last), (always(), whole)
        )

    def done() -> None:
        v.with_heads([(0, outer)], lambda: alike(v, 2))

    v.with_heads(
        [(1, inner)],
        lambda: v.cases(
            (inner.stop, stop),
            (inner.done, done),
            (inner.empty, lambda: v.fault(Fault.STRAY)),
            (always(), payload),
        ),
    )


# --- plumbing -----------------------------------------------------------------------------------------


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


CODE: dict[Opcode, Callable[[Visit], None]] = {
    Opcode.ROOT: root,
    Opcode.SCAN_COMPRESSED: scan_compressed,
    Opcode.SCAN_DENSE: scan_dense,
    Opcode.REPEAT: repeat,
    Opcode.INTERSECT: lambda v: merge(v, union=False),
    Opcode.UNION: lambda v: merge(v, union=True),
    Opcode.LOCATE: locate,
    Opcode.ARRAY: array,
    Opcode.ALU: alu,
    Opcode.ALU_CONSTANT: alu_constant,
    Opcode.ALU_FUNCTION: alu_function,
    Opcode.REDUCE: reduce_,
    Opcode.VECTOR_REDUCE: vector_reduce,
    Opcode.DROP: drop,
    Opcode.WRITE_LEVEL: write_level,
    Opcode.WRITE_VALUES: write_values,
    Opcode.FORK: fork,
    Opcode.BUFFER: buffer,
}
