"""The kernels of loops that spend energy on one thing each (see ``energy_loops``).

Numbers in them keep changing: a multiplier that always meets the same bits, or infinities, takes less. A
plane turned by shears, p += t q, q -= t p, stays bounded for ever and never settles.
"""

from __future__ import annotations

from aerogel.core.dtypes import DType
from aerogel.loop.nodes import (
    F32,
    I32,
    I64,
    Assign,
    Bitcast,
    Broadcast,
    Buf,
    BufferType,
    Cast,
    Const,
    Define,
    Dot4,
    Expr,
    Fma,
    For,
    Function,
    Let,
    PairDot4,
    Reduce,
    Scalar,
    Stmt,
    Store,
    ThreadCount,
    ThreadId,
    Var,
    Vec,
    VLoad,
)

PAIRS = 6
"""Planes turned at once: with two constants they fit 16 registers."""
SUMS = 12
"""Independent sums, enough to hide the latency of two units."""
_TURN = 0.0625
COUNT, TIMES, AT, TIME = (Var(name, I64) for name in ("count", "times", "at", "time"))


def turning(lanes: int, dtype: DType, pairs: int = PAIRS) -> Function:
    """``turning(out, count)``: every thread turns its planes ``count`` times, 4 x ``pairs`` x ``lanes``
    operations each, in registers alone; out[thread] keeps them from being left out."""
    one = Scalar(dtype)
    type_ = one if lanes == 1 else Vec(dtype, lanes)
    forward, backward = Var("forward", type_), Var("backward", type_)
    planes = [(Var(f"p{i}", type_), Var(f"q{i}", type_)) for i in range(pairs)]
    body: list[Stmt] = [
        Let(forward, _filled(_TURN, one, lanes)),
        Let(backward, _filled(-_TURN, one, lanes)),
    ]
    for i, (p, q) in enumerate(planes):
        body += [Define(p, _filled(1.0 + 0.3 * i, one, lanes)), Define(q, _filled(0.7 * i - 1.1, one, lanes))]
    turned: list[Stmt] = [Assign(p, Fma(forward, q, p)) for p, q in planes]
    turned += [Assign(q, Fma(backward, p, q)) for p, q in planes]
    body.append(For(AT, Const(0, I64), COUNT, tuple(turned)))
    out = Buf("out", BufferType(dtype, align=dtype.itemsize))
    body.append(Store(out, ThreadId(), _folded([*(p for p, _ in planes), *(q for _, q in planes)], lanes)))
    return Function("turning", (out, COUNT), tuple(body))


def dotting(lanes: int, kind: type[Dot4 | PairDot4]) -> Function:
    """``dotting(out, count)``: every thread adds SUMS vectors of 4-way dot products of bytes ``count`` times,
    8 x SUMS x ``lanes`` operations each, by the node that layers of integers use; what is multiplied are the
    sums themselves."""
    out = Buf("out", BufferType(DType.I32, align=4))
    words = Vec(DType.I32, lanes)
    weights = Var("weights", Vec(DType.I8, 4 * lanes))
    sums = [Var(f"s{i}", words) for i in range(SUMS)]
    body: list[Stmt] = [Let(weights, Bitcast(Broadcast(Cast(COUNT | 0x35C7_1B53, I32), lanes), weights.type))]
    body += [Define(s, Broadcast(Const(0x1234567 * (i + 1), I32), lanes)) for i, s in enumerate(sums)]
    bytes_ = Vec(DType.U8, 4 * lanes)
    each = tuple(
        Assign(s, kind(s, Bitcast(sums[(i + 1) % SUMS], bytes_), weights)) for i, s in enumerate(sums)
    )
    body.append(For(AT, Const(0, I64), COUNT, each))
    body.append(Store(out, ThreadId(), _folded(sums, lanes)))
    return Function("dotting", (out, COUNT), tuple(body))


def streaming(lanes: int, extra: int) -> Function:
    """``streaming(data, out, count, times)``: every thread reads its part of ``data`` in order, ``times``
    times, and does 1 + ``extra`` multiply-adds, 2 operations a lane, with every vector."""
    data = Buf("data", BufferType(DType.F32, const=True, align=4))
    out = Buf("out", BufferType(DType.F32, align=4))
    half = Broadcast(Const(0.5, F32), lanes)
    share = COUNT // (SUMS * lanes) // ThreadCount() * (SUMS * lanes)
    start = ThreadId() * share
    sums = [Var(f"s{i}", Vec(DType.F32, lanes)) for i in range(SUMS)]
    body: list[Stmt] = [Define(s, Broadcast(Const(float(i), F32), lanes)) for i, s in enumerate(sums)]
    inner: list[Stmt] = []
    for i, s in enumerate(sums):
        x = Var(f"x{i}", s.type)
        inner.append(Let(x, VLoad(data, AT + i * lanes, lanes)))
        # Halving what went before keeps the sums as large as the data.
        inner += [Assign(s, Fma(s, half, x)) for _ in range(1 + extra)]
    walk = For(AT, start, start + share, tuple(inner), step=SUMS * lanes)
    body.append(For(TIME, Const(0, I64), TIMES, (walk,)))
    body.append(Store(out, ThreadId(), _folded(sums, lanes)))
    return Function("streaming", (data, out, COUNT, TIMES), tuple(body))


def _filled(value: float, one: Scalar, lanes: int) -> Expr:
    return Const(value, one) if lanes == 1 else Broadcast(Const(value, one), lanes)


def _folded(values: list[Var], lanes: int) -> Expr:
    total: Expr = values[0]
    for value in values[1:]:
        total = total + value
    return total if lanes == 1 else Reduce("add", total)
