"""The parts of a counting pass: counting digits, summing the counts to places.

They are functions of their own because only there does the compiler know that buffers are disjoint: an entry
that waits at a barrier sees its memory change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aerogel.convert.chunks import CHUNKS
from aerogel.core.dtypes import DType
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import (
    I64,
    Barrier,
    Binary,
    Broadcast,
    Buf,
    BufferType,
    Call,
    Cast,
    Compare,
    Const,
    Expr,
    Function,
    If,
    Load,
    Prefetch,
    Reduce,
    Scalar,
    Store,
    ThreadCount,
    ThreadId,
    Var,
    VLoad,
)

BUCKETS, SHIFT, MASK = Var("buckets", I64), Var("shift", I64), Var("mask", I64)
BEGIN, END, AT = Var("begin", I64), Var("end", I64), Var("at", I64)
LANES = 8


class Move(Protocol):
    """Writes the loop that moves entries; ``far``: they go where memory has to be fetched first."""

    def __call__(self, *, far: bool) -> None: ...


# How many entries ahead memory is asked for what will be written: about as many as it takes to come.
AHEAD = 16
# Up to so many entries, what they are written to stays in a core's own cache, and asking costs more.
NEAR = 1 << 16


def counts_of(index: DType) -> Buf:
    """How often each bucket is met in each piece, [piece, bucket]; then where its next entry goes."""
    return Buf("counts", BufferType(index))


def widened(value: Expr) -> Expr:
    """An integer as i64."""
    return value if value.type == I64 else Cast(value, I64)


def narrowed(value: Expr, dtype: DType) -> Expr:
    """An integer as ``dtype``, which holds it."""
    return value if value.type.dtype is dtype else Cast(value, Scalar(dtype))


def digit(key: Buf, i: Expr) -> Expr:
    """``key[i] >> shift & mask``."""
    return (widened(Load(key, i)) >> SHIFT) & MASK


def histogram(key: Buf, counts: Buf) -> Function:
    """``histogram(begin, end, at, buckets, shift, mask, key, counts)``: the digits of one piece, counted from
    ``counts[at]`` on."""
    code = Code()
    dtype = counts.type.dtype
    with code.for_(AT, AT + BUCKETS, "bucket") as bucket:
        code.store(counts, bucket, Const(0, Scalar(dtype)))
    with code.for_(BEGIN, END) as i:
        add_one(code, counts, AT + digit(key, i))
    return Function("histogram", (BEGIN, END, AT, BUCKETS, SHIFT, MASK, key, counts), code.done())


def add_one(code: Code, counters: Buf, at: Expr) -> Expr:
    """What a counter was (i64), before one is added to it."""
    at = code.let(at, "slot")
    was = code.let(Load(counters, at), "was")
    code.store(counters, at, was + 1)
    return widened(was)


def total(counts: Buf) -> Function:
    """``total(end, buckets, chunks, counts, sum)``: all counts of the buckets before ``end``.

    Every thread sums for itself where its own buckets begin, rather than wait for another.
    """
    out = sum_of(counts.type.dtype)
    code = Code()
    zero = Const(0, Scalar(counts.type.dtype))
    lanes, rest = code.define(Broadcast(zero, LANES), "lanes"), code.define(zero, "rest")
    whole = code.let(END / LANES * LANES, "whole")
    with code.for_(i64(0), CHUNKS, "chunk") as chunk:
        row = code.let(chunk * BUCKETS, "row")
        with code.for_(i64(0), whole, "bucket", LANES) as bucket:
            code.assign(lanes, lanes + VLoad(counts, row + bucket, LANES))
        with code.for_(whole, END, "bucket") as bucket:
            code.assign(rest, rest + Load(counts, row + bucket))
    code.store(out, i64(0), Reduce("add", lanes) + rest)
    return Function("total", (END, BUCKETS, CHUNKS, counts, out), code.done())


def sum_of(index: DType) -> Buf:
    """Where ``total`` leaves its sum."""
    return Buf("sum", BufferType(index))


def ask_for(code: Code, arrays: Sequence[Buf], place: Expr) -> None:
    """Have memory fetched that entries to come will be written to. A place may be off by a few by then."""
    there = code.let(widened(place), "there")
    for array in arrays:
        code.add(Prefetch(array, there))


def ask_ahead(code: Code, arrays: Sequence[Buf], counts: Buf, key: Buf, p: Expr) -> None:
    """``ask_for`` where the entry ``AHEAD`` of entry ``p`` of a piece will go, by its ``key``."""
    ahead = code.let(Binary("min", p + AHEAD, END - 1), "ahead")
    ask_for(code, arrays, Load(counts, AT + widened(Load(key, ahead))))


def near_or_far(code: Code, move: Move) -> None:
    """The entries of a piece, moved by the code that ``move`` writes: once for few, once for many."""
    with code.block() as near:
        move(far=False)
    with code.block() as far:
        move(far=True)
    code.branch(Compare("le", END - BEGIN, i64(NEAR)), tuple(near), tuple(far))


def places(counts: Buf, starts: Buf | None = None) -> Function:
    """``places(begin, end, buckets, chunks, sum, counts[, starts])``: counts of some buckets become places.

    A place is where the next entry of a piece and bucket goes; ``sum`` entries are in the buckets before.
    ``starts``: also gets where each bucket begins.
    """
    code = Code()
    before = Var("before", Scalar(counts.type.dtype))
    running = code.define(before, "running")

    def turn(slot: Expr) -> None:
        slot = code.let(slot, "slot")
        count = code.let(Load(counts, slot), "count")
        code.store(counts, slot, running)
        code.assign(running, running + count)

    with code.block() as alone, code.for_(BEGIN, END, "bucket") as bucket:
        if starts is not None:
            code.store(starts, bucket, running)
        turn(bucket)
    with code.block() as shared, code.for_(BEGIN, END, "bucket") as bucket:
        if starts is not None:
            code.store(starts, bucket, running)
        with code.for_(i64(0), CHUNKS, "chunk") as chunk:
            turn(chunk * BUCKETS + bucket)
    # A loop within the loop would cost more than what it does, once.
    code.branch(Compare("eq", CHUNKS, i64(1)), tuple(alone), tuple(shared))
    last = () if starts is None else (starts,)
    return Function("places", (BEGIN, END, BUCKETS, CHUNKS, before, counts, *last), code.done())


def call_places(code: Code, counts: Buf, entries: Expr, starts: Buf | None = None) -> None:
    """In the entry of a module: counts become places, threads sharing the buckets; waits before and after.

    ``starts``: as in ``places``, and one more for where the last bucket ends, after all ``entries``. The
    entry begins with ``Alloc(sum_of(...), 1)``.
    """
    sum_ = sum_of(counts.type.dtype)
    code.add(Barrier())
    low = code.let(ThreadId() * BUCKETS / ThreadCount(), "low")
    high = code.let((ThreadId() + 1) * BUCKETS / ThreadCount(), "high")
    code.add(Call("total", (low, BUCKETS, CHUNKS, counts, sum_)))
    # Places are written where counts stand: not before all have summed.
    code.add(Barrier())
    last = () if starts is None else (starts,)
    code.add(Call("places", (low, high, BUCKETS, CHUNKS, Load(sum_, i64(0)), counts, *last)))
    if starts is not None:
        end = Store(starts, BUCKETS, narrowed(entries, starts.type.dtype))
        code.add(If(Compare("eq", ThreadId(), i64(0)), (end,)))
    code.add(Barrier())
