"""The parts of a counting pass: counting digits, summing the counts to places.

They are functions of their own because only there does the compiler know that buffers are disjoint: an entry
that waits at a barrier sees its memory change.
"""

from __future__ import annotations

from aerogel.convert.chunks import CHUNKS
from aerogel.core.dtypes import DType
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import (
    I64,
    Barrier,
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


def counts_of(index: DType) -> Buf:
    """How often each bucket is met in each piece, [piece, bucket]."""
    return Buf("counts", BufferType(index))


def places_of(index: DType) -> Buf:
    """Where the next entry of each bucket goes, [piece, bucket]."""
    return Buf("places", BufferType(index))


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


def places(counts: Buf, out: Buf, starts: Buf | None = None) -> Function:
    """``places(begin, end, buckets, chunks, counts, places[, starts])``: the places of some buckets.

    ``starts``: also where each of them begins, in all pieces.
    """
    code = Code()
    dtype = counts.type.dtype
    running = code.define(_sum_before(code, counts), "running")
    with code.for_(BEGIN, END, "bucket") as bucket:
        if starts is not None:
            code.store(starts, bucket, running)
        with code.for_(i64(0), CHUNKS, "chunk") as chunk:
            slot = code.let(chunk * BUCKETS + bucket, "slot")
            code.store(out, slot, running)
            code.assign(running, running + Load(counts, slot))
    assert running.type.dtype is dtype
    last = () if starts is None else (starts,)
    return Function("places", (BEGIN, END, BUCKETS, CHUNKS, counts, out, *last), code.done())


def _sum_before(code: Code, counts: Buf) -> Expr:
    """All counts of the buckets before ``begin``: each thread sums for itself rather than wait."""
    dtype = counts.type.dtype
    lanes = code.define(Broadcast(Const(0, Scalar(dtype)), LANES), "lanes")
    rest = code.define(Const(0, Scalar(dtype)), "rest")
    whole = code.let(BEGIN / LANES * LANES, "whole")
    with code.for_(i64(0), CHUNKS, "chunk") as chunk:
        row = code.let(chunk * BUCKETS, "row")
        with code.for_(i64(0), whole, "bucket", LANES) as bucket:
            code.assign(lanes, lanes + VLoad(counts, row + bucket, LANES))
        with code.for_(whole, BEGIN, "bucket") as bucket:
            code.assign(rest, rest + Load(counts, row + bucket))
    return Reduce("add", lanes) + rest


def call_places(code: Code, counts: Buf, out: Buf, total: Expr, starts: Buf | None = None) -> None:
    """In the entry of a module: counts to places, threads sharing the buckets; waits before and after.

    ``starts``: as in ``places``, and one more for where the last bucket ends, at ``total``.
    """
    code.add(Barrier())
    low = code.let(ThreadId() * BUCKETS / ThreadCount(), "low")
    high = code.let((ThreadId() + 1) * BUCKETS / ThreadCount(), "high")
    last = () if starts is None else (starts,)
    code.add(Call("places", (low, high, BUCKETS, CHUNKS, counts, out, *last)))
    if starts is not None:
        end = Store(starts, BUCKETS, narrowed(total, starts.type.dtype))
        code.add(If(Compare("eq", ThreadId(), i64(0)), (end,)))
    code.add(Barrier())
