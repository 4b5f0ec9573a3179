"""Bit vectors in Loop IR: see ``step_more.py``."""

from __future__ import annotations

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.sim.arithmetic import always, state, unsigned_less
from aerogel.chip.machine.sim.common import CLOSING, OPEN, finish
from aerogel.chip.machine.sim.layout import EMPTY, PAYLOAD, C, S
from aerogel.chip.machine.sim.scanners import advance, between
from aerogel.chip.machine.sim.visit import Visit, eq, ne, not_
from aerogel.chip.machine.step_more import REFERENCE_BITS
from aerogel.loop.build import i64
from aerogel.loop.nodes import Binary, Expr, Select, Unary


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
        v.send(0, PAYLOAD, v.let(v[C.AT] * state(S.WORD_BITS) + bit))
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
