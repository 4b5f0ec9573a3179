"""``step_more.py`` in Loop IR: skips, bit vectors, the matrix reducer, lanes. See there for what and why."""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.machine.sim import layout
from aerogel.chip.machine.sim.arithmetic import STATE, always, unsigned_less
from aerogel.chip.machine.sim.cells import (
    AFTER,
    CLOSING,
    FLUSHING,
    IDLE,
    OPEN,
    accumulate,
    advance,
    between,
    finish,
    merge,
    next_in_use,
    open_compressed,
    shallower,
)
from aerogel.chip.machine.sim.layout import DONE, EMPTY, LEVEL, PAYLOAD, REGISTERS, STOP, C, S
from aerogel.chip.machine.sim.visit import WORK, Visit, eq, ne, not_
from aerogel.chip.machine.step_more import REFERENCE_BITS
from aerogel.loop.build import i64
from aerogel.loop.nodes import Binary, Compare, Expr, Load, Select, Unary

# --- skips: FIBER is the stride, DATA the position not below the skip, EXTRA and MORE stops sent and seen
# ----


def scan_skip(v: Visit) -> None:
    skip = v.second

    def after() -> None:
        def takes() -> None:
            v.act(2)
            finish(v, skip)

        v.with_heads([(1, skip)], takes)

    def with_skip() -> None:
        held_up = v.let(_held_up(v), "held_up")
        with v.code.if_(held_up):
            for at in REGISTERS:
                v.set(at, v.own(at))
            v.act()
            for nothing in (v.give, v.reads):
                v.code.assign(nothing, i64(0))
        v.code.assign(v.take, v.take | 2)
        mine = eq(v.own(C.PHASE), OPEN) & eq(v.own(C.MORE), v.own(C.EXTRA))
        higher = v.let(skip.plain & mine & Compare("gt", skip.payload, v.own(C.MARK)), "higher")
        with v.code.if_(higher):
            v.set(C.MARK, skip.payload)
            v.set(C.DATA, -1)
            v.set(C.FIBER, 1)
        v.set(C.MORE, v[C.MORE] + Select(skip.stop, i64(1), i64(0)))
        with v.code.if_(ne(v[C.PHASE], OPEN)):
            v.set(C.MARK, 0)

    def on() -> None:
        v.cases((eq(v[C.PHASE], OPEN), lambda: _leap(v)), (always(), lambda: _outside(v)))
        with v.code.if_(skip.there & ne(v.outcome, layout.FAULT)):
            with_skip()

    v.cases((eq(v[C.PHASE], AFTER), after), (always(), on))


def _held_up(v: Visit) -> Expr:
    room = v.has_room(0) & v.has_room(1)
    return ne(v.outcome, layout.ACT) | (ne(v.give, 0) & not_(room))


def _outside(v: Visit) -> None:
    def ended() -> None:
        v.set(C.EXTRA, v[C.EXTRA] + 1)
        v.set(C.MARK, 0)

    between(v, lambda: open_compressed(v), ended, after=True)
    with v.code.if_(eq(v[C.PHASE], OPEN) | eq(v[C.PHASE], CLOSING)):
        v.set(C.MARK, 0)
        v.set(C.FIBER, 1)
        v.set(C.DATA, -1)


def _leap(v: Visit) -> None:
    at, high = v[C.AT], v[C.DATA]
    found = v.let(eq(high, at), "found")
    unknown = v.let(high < 0, "unknown")
    near = Binary("min", at + v[C.FIBER], v[C.END]) - 1
    probe = v.let(Select(found, at, Select(unknown, near, (at + high) // 2)), "probe")

    def look(words: list[Expr]) -> None:
        crd = words[0]
        v.code.assign(v.reads, i64(1))
        v.act()
        below = (crd < v[C.MARK]) & not_(found)

        def on() -> None:
            v.set(C.FIBER, Select(unknown, v[C.FIBER] * 2, v[C.FIBER]))
            v.set(C.PHASE, Select(eq(probe + 1, v[C.END]), i64(CLOSING), i64(OPEN)))
            v.set(C.AT, probe + 1)

        def emit() -> None:
            v.send(0, PAYLOAD, crd)
            v.send(1, PAYLOAD, at)
            advance(v)
            v.set(C.DATA, -1)
            v.set(C.FIBER, 1)

        v.cases(
            (below, on),
            (Compare("gt", probe, at), lambda: v.set(C.DATA, probe)),
            (always(), emit),
        )

    v.read(1, [probe], look)


# --- bit vectors --------------------------------------------------------------------------------------


def scan_bits(v: Visit) -> None:
    """``FIBER``: the reference of the next word's first set bit; ``MARK``: the fiber is empty."""
    words = v.param(1)

    def emit(reads: int, word: Expr) -> None:
        v.code.assign(v.reads, i64(reads))
        v.send(0, PAYLOAD, word)
        v.send(1, PAYLOAD, v.let((word << REFERENCE_BITS) | v[C.FIBER]))
        v.set(C.FIBER, v[C.FIBER] + Unary("popcount", word))
        advance(v)
        v.act()

    def inside() -> None:
        v.cases(
            (ne(v[C.MARK], 0), lambda: emit(0, i64(0))),
            (always(), lambda: v.read(0, [v[C.AT]], lambda found: emit(1, found[0]))),
        )

    def opens(start: Expr, reference: Expr, mark: int) -> None:
        v.set(C.AT, start)
        v.set(C.END, start + words)
        v.set(C.FIBER, reference)
        v.set(C.MARK, mark)
        v.set(C.PHASE, Select(eq(words, 0), i64(CLOSING), i64(OPEN)))
        v.act(1)

    def fiber() -> None:
        ref = v.first.payload
        start = v.let(ref * (words + 1), "start")

        def opened(found: list[Expr]) -> None:
            v.code.assign(v.reads, i64(1))
            opens(v.let(start + 1), found[0], 0)

        v.cases(
            (unsigned_less(ref, v.own(C.SIZE0) // (words + 1)), lambda: v.read(0, [start], opened)),
            (always(), lambda: v.fault(Fault.REFERENCE, ref)),
        )

    v.cases(
        (eq(v[C.PHASE], OPEN), inside),
        (
            always(),
            lambda: between(v, fiber, lambda: None, empty=lambda: opens(i64(0), i64(0), 1)),
        ),
    )


def bit_merge(v: Visit, *, both: bool) -> None:
    heads = [v.first, v.second, v.head(2), v.head(3)]
    a, ref_a, b, ref_b = heads
    some_end: Expr = a.ends
    differ: Expr = ne(ref_a.kind, a.kind)
    some_empty: Expr = a.empty
    for head in heads[1:]:
        some_end, some_empty = some_end | head.ends, some_empty | head.empty
        differ = differ | ne(head.kind, a.kind)

    def ends() -> None:
        v.send_all(a.kind, 3)
        v.act(15)
        finish(v, a)

    def words() -> None:
        v.send(0, PAYLOAD, v.let(Binary("and" if both else "or", a.payload, b.payload)))
        v.send(1, PAYLOAD, ref_a.payload)
        v.send(2, PAYLOAD, ref_b.payload)
        v.act(15)

    v.with_heads(
        list(enumerate(heads)),
        lambda: v.cases(
            (some_end & differ, lambda: v.fault(Fault.MISALIGNED)),
            (some_end, ends),
            (some_empty, lambda: v.fault(Fault.STRAY)),
            (always(), words),
        ),
    )


def bit_expand(v: Visit) -> None:
    """``AT``: words of the fiber before this one; ``MARK``: bits of this one that are done with."""
    count = v.param(0)
    bits = v.first
    everything = v.let((i64(1) << (count + 1)) - 1, "everything")

    def on() -> None:
        v.cases(
            (bits.ends, ends),
            (bits.empty, lambda: v.fault(Fault.MISALIGNED)),
            (always(), word),
        )

    def ends() -> None:
        v.send_all(bits.kind)
        v.act(everything)
        v.set(C.AT, 0)
        finish(v, bits)

    def word() -> None:
        mark = v.let(v[C.MARK] & 63, "done_with")
        left = v.let((bits.payload >> mark) << mark, "bits_left")

        def none() -> None:
            v.set(C.AT, v[C.AT] + 1)
            v.set(C.MARK, 0)
            v.act(everything)

        v.cases((eq(left, 0), none), (always(), lambda: emit(left)))

    def emit(left: Expr) -> None:
        bit = v.let(Unary("ctz", left), "bit")
        v.send(0, PAYLOAD, v.let(v[C.AT] * Load(STATE, i64(S.WORD_BITS)) + bit))
        with v.code.for_(i64(1), count + 1, "side") as side:
            packed = v.head(side).payload
            own, first = packed >> REFERENCE_BITS, packed & ((1 << REFERENCE_BITS) - 1)
            held = v.let(own, "own_word")
            before = Unary("popcount", held & ((i64(1) << bit) - 1))
            has = eq((held >> bit) & 1, 1)
            v.send(side, v.let(Select(has, i64(PAYLOAD), i64(EMPTY))), v.let(first + before))
        last = v.let(eq(left & (left - 1), 0), "last")
        v.set(C.AT, v[C.AT] + Select(last, i64(1), i64(0)))
        v.set(C.MARK, Select(last, i64(0), bit + 1))
        v.act(v.let(Select(last, everything, i64(0))))

    lacking = v.code.define(Select(bits.there, i64(0), i64(1)), "lacking")
    odd = v.code.define(i64(0), "odd")
    with v.code.for_(i64(1), count + 1, "side") as side:
        head = v.head(side)
        with v.code.if_(not_(head.there)):
            v.code.assign(lacking, lacking | (i64(1) << side))
        with v.code.if_(ne(head.kind, bits.kind)):
            v.code.assign(odd, i64(1))
    v.cases(
        (ne(lacking, 0), lambda: v.need(lacking)),
        (ne(odd, 0), lambda: v.fault(Fault.MISALIGNED)),
        (always(), on),
    )


# --- the matrix reducer: FIBER is the row; as it sends, MARK says that a row is open, END that one was
# --------

ROW = 1


def matrix_reduce(v: Visit) -> None:
    outer, inner, val = v.first, v.second, v.head(2)
    rows, columns = v.param(1), v.param(2)
    extent = v.let(rows * columns, "extent")

    def with_row(body: Callable[[], None]) -> None:
        """``body`` with a row in input 0 that is within bounds."""
        v.with_heads(
            [(0, outer)],
            lambda: v.cases(
                (not_(outer.plain), lambda: v.fault(Fault.MISALIGNED)),
                (unsigned_less(outer.payload, rows), body),
                (always(), lambda: v.fault(Fault.COORDINATE, outer.payload)),
            ),
        )

    def value() -> None:
        open_ = v.let(eq(v[C.PHASE], ROW), "open_row")

        def add(row: Expr, take: int) -> None:
            sound = unsigned_less(inner.payload, columns)

            def kept() -> None:
                place = v.let(row * columns + inner.payload, "place")
                accumulate(v, place, extent, v.number(val), take)
                v.set(C.PHASE, ROW)
                v.set(C.FIBER, row)

            v.cases((sound, kept), (always(), lambda: v.fault(Fault.COORDINATE, inner.payload)))

        v.cases(
            (not_(inner.plain) | val.ends, lambda: v.fault(Fault.MISALIGNED)),
            (open_, lambda: add(v[C.FIBER], 6)),
            (always(), lambda: with_row(lambda: add(outer.payload, 7))),
        )

    def fresh() -> None:
        v.cases(
            (inner.ends & ne(inner.kind, val.kind), lambda: v.fault(Fault.MISALIGNED)),
            (inner.done, done),
            (inner.stop, stop),
            (always(), value),
        )

    def done() -> None:
        def ends() -> None:
            v.send_all(DONE, 3)
            v.act(7)
            v.halt()

        v.with_heads(
            [(0, outer)],
            lambda: v.cases((outer.done, ends), (always(), lambda: v.fault(Fault.MISALIGNED))),
        )

    def stop() -> None:
        def opens() -> None:
            v.set(C.PHASE, ROW)
            v.act(1)

        def closes() -> None:
            v.set(C.PHASE, IDLE)
            v.act(6)

        first = eq(inner.level, 0)
        v.cases(
            (
                eq(inner.inner, 0) & ne(v[C.PHASE], ROW),
                lambda: with_row(lambda: v.cases((first, lambda: v.act(7)), (always(), opens))),
            ),
            (first, closes),
            (always(), lambda: v.with_heads([(0, outer)], outside)),
        )

    def outside() -> None:
        bad = ne(outer.kind, v.let(shallower(inner.kind))) | (ne(inner.inner, 0) & eq(v[C.PHASE], ROW))

        def idle() -> None:
            v.set(C.PHASE, IDLE)
            v.act(7)

        def passes() -> None:
            _ended(v, inner.kind, v.let(inner.inner - 1))
            idle()

        def flush() -> None:
            v.set(C.PHASE, FLUSHING)
            v.set(C.AT, Select(eq(v[C.EXTRA], 0), i64(0), v[C.MORE]))
            v.set(C.MARK, 0)
            v.set(C.END, 0)
            v.act()

        v.cases(
            (bad, lambda: v.fault(Fault.MISALIGNED)),
            (eq(inner.level, 1), idle),
            (Compare("gt", inner.inner, i64(2)), passes),
            (always(), flush),
        )

    def flushing() -> None:
        def ends() -> None:
            _ended(v, inner.kind, v.let(Select(ne(v[C.END], 0), i64(0), i64(1))))
            v.set(C.PHASE, IDLE)
            v.act(7)

        v.cases(
            (eq(v[C.EXTRA], 0), lambda: v.with_heads([(0, outer)], ends)),
            (always(), lambda: next_in_use(v, extent, lambda place, clear: _send_place(v, place, clear))),
        )

    v.with_heads(
        [(1, inner), (2, val)],
        lambda: v.cases((eq(v[C.PHASE], FLUSHING), flushing), (always(), fresh)),
    )


def _ended(v: Visit, kind: Expr, inner: Expr) -> None:
    """The stop one level less deep, from ``inner`` on, and in output 0 the one that goes with it."""
    below = v.let(kind - LEVEL - (kind & 15) + inner, "below")
    v.send(0, v.let(shallower(below)))
    v.send(1, below)
    v.send(2, below)


def _send_place(v: Visit, place: Expr, clear: Callable[[], None]) -> None:
    row = v.let(place // v.param(2), "row")
    same = v.let(ne(v[C.MARK], 0) & eq(row, v[C.FIBER]), "same")

    def closes() -> None:
        v.send(1, STOP)
        v.send(2, STOP)
        v.set(C.AT, place)
        v.set(C.MARK, 0)
        v.act()

    def sends() -> None:
        room = v.has_room(1) & v.has_room(2) & (same | v.has_room(0))
        value = v.let(Load(WORK, v.own(C.WORK) + place), "value")
        with v.code.if_(room):
            clear()
        with v.code.if_(not_(same)):
            v.send(0, PAYLOAD, row)
        v.send(1, PAYLOAD, v.let(place - row * v.param(2)))
        v.send(2, PAYLOAD, value)
        v.set(C.AT, place + 1)
        v.set(C.MARK, 1)
        v.set(C.FIBER, row)
        v.set(C.END, 1)
        v.act()

    v.cases((ne(v[C.MARK], 0) & not_(same), closes), (always(), sends))


# --- lanes: AT is whose turn it is ----------------------------------------------------------------------

_WIDTH = 4
"""Bits for the stop that a lane keeps back: its inner level and 1, or 0 for none."""


def parallelize(v: Visit) -> None:
    token = v.first
    ways, level = v.param(0), v.param(1)
    lane = v[C.AT]
    following = v.let((lane + 1) % ways, "following")
    shift = v.let(lane * _WIDTH, "shift")
    kept = v.let((v[C.DATA] >> shift) & 15, "kept_back")

    def everyone() -> None:
        def on() -> None:
            v.send_all(token.kind)
            v.set(C.AT, 0)
            v.act(1)

        v.cases((ne(v[C.DATA], 0), lambda: v.fault(Fault.MISALIGNED)), (always(), on))

    def done() -> None:
        v.send_all(DONE)
        v.act(1)
        v.halt()

    def late() -> None:
        v.send(lane, v.let(i64(STOP) + (level - 1) * LEVEL + (kept - 1)))
        v.set(C.DATA, v[C.DATA] ^ (kept << shift))
        v.act()

    def payload() -> None:
        v.send(lane, token.kind, token.payload)
        v.set(C.AT, Select(eq(level, 0), following, lane))
        v.act(1)

    def keeps() -> None:
        v.set(C.DATA, v[C.DATA] | ((token.inner + 1) << shift))
        v.set(C.AT, following)
        v.act(1)

    def within() -> None:
        v.send(lane, token.kind)
        v.act(1)

    def last() -> None:
        with v.code.for_(i64(0), ways, "way") as way:
            back = v.let((v[C.DATA] >> (way * _WIDTH)) & 15, "back")
            inner = Select(eq(back, 0), level, back - 1)
            kind = Select(eq(way, lane), token.kind, token.kind - token.inner + inner)
            v.send(way, v.let(kind))
        v.set(C.AT, 0)
        v.set(C.DATA, 0)
        v.act(1)

    v.with_heads(
        [(0, token)],
        lambda: v.cases(
            (token.done, done),
            (token.stop & Compare("ge", token.inner, level), everyone),
            (ne(kept, 0), late),
            (not_(token.stop), payload),
            (token.level < level - 1, within),
            (eq(token.level, level - 1), keeps),
            (always(), last),
        ),
    )


def serialize(v: Visit) -> None:
    """``MARK``: lanes that have ended, a bit each."""
    ways, level = v.param(0), v.param(1)
    lane = v.let(v[C.AT] + 0, "lane")
    token = v.head(lane)
    following = v.let((lane + 1) % ways, "following")
    one = v.let(i64(1) << lane, "one")

    def everyone(start: Expr, kind: Expr, bad: Expr, then: Callable[[Expr], None]) -> None:
        """``then``, with their bits, where lanes from ``start`` on have this stop; waits until all have
        one."""
        lacking, odd = v.code.define(i64(0), "lacking"), v.code.define(i64(0), "odd")
        with v.code.for_(start, ways, "way") as way:
            head = v.head(way)
            with v.code.if_(not_(head.there)):
                v.code.assign(lacking, lacking | (i64(1) << way))
            with v.code.if_(ne(head.kind, kind)):
                v.code.assign(odd, i64(1))
        those = v.let((i64(1) << ways) - (i64(1) << start), "those")
        v.cases(
            (ne(lacking, 0), lambda: v.need(lacking)),
            (bad | ne(odd, 0), lambda: v.fault(Fault.MISALIGNED)),
            (always(), lambda: then(those)),
        )

    def whole(take: Expr) -> None:
        v.send(0, token.kind)
        v.set(C.AT, 0)
        v.set(C.MARK, 0)
        v.act(take)
        finish(v, token)

    def payload() -> None:
        v.send(0, token.kind, token.payload)
        v.set(C.AT, Select(eq(level, 0), following, lane))
        v.act(one)

    def within() -> None:
        v.send(0, token.kind)
        v.set(C.AT, Select(eq(token.level, level - 1), following, lane))
        v.act(one)

    def ends() -> None:
        ended = v.let(v[C.MARK] | one, "ended")

        def more() -> None:
            other = v.head(following)
            over = other.stop & Compare("ge", other.inner, level)
            v.cases(
                (not_(other.there), lambda: v.need(v.let(i64(1) << following))),
                (over, rest),
                (always(), on),
            )

        def rest() -> None:
            kind = v.let(token.kind - token.inner + level, "nothing")
            no = ne(level, level)
            everyone(v.let(lane + 1), kind, no, lambda those: whole(v.let(those | one)))

        def on() -> None:
            v.send(0, v.let(i64(STOP) + (level - 1) * LEVEL + token.inner))
            v.set(C.AT, following)
            v.set(C.MARK, ended)
            v.act(one)

        v.cases((ne((ended >> following) & 1, 0), lambda: whole(one)), (always(), more))

    def on() -> None:
        final = token.done | (token.stop & Compare("ge", token.inner, level))
        v.cases(
            (final, lambda: everyone(i64(0), token.kind, ne(v[C.MARK], 0), whole)),
            (not_(token.stop), payload),
            (token.level < level, within),
            (always(), ends),
        )

    v.cases((token.there, on), (always(), lambda: v.need(one)))


MORE: dict[Opcode, Callable[[Visit], None]] = {
    Opcode.SCAN_SKIP: scan_skip,
    Opcode.INTERSECT_SKIP: lambda v: merge(v, union=False, skip=True),
    Opcode.SCAN_BITS: scan_bits,
    Opcode.BIT_INTERSECT: lambda v: bit_merge(v, both=True),
    Opcode.BIT_UNION: lambda v: bit_merge(v, both=False),
    Opcode.BIT_EXPAND: bit_expand,
    Opcode.MATRIX_REDUCE: matrix_reduce,
    Opcode.PARALLELIZE: parallelize,
    Opcode.SERIALIZE: serialize,
}
