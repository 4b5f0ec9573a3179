"""What this machine can do at most, measured with our own code: the ceilings of the roofline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from time import perf_counter

import numpy as np

from aerogel.core.dtypes import DType
from aerogel.core.memory import aligned
from aerogel.core.target import Target
from aerogel.kernels.tile import byte_dot
from aerogel.loop.nodes import (
    F32,
    I64,
    Assign,
    Broadcast,
    Buf,
    BufferType,
    Const,
    Define,
    Expr,
    Fma,
    For,
    Function,
    Let,
    Module,
    Reduce,
    Stmt,
    Store,
    ThreadCount,
    ThreadId,
    Var,
    Vec,
    VLoad,
)
from aerogel.native import compile
from aerogel.tune.energy_kernels import SUMS, dotting

L1_FLOATS = 2048  # 8 KB
MEMORY_FLOATS = 1 << 25  # 128 MB, beyond any last-level cache of two cores' share
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Peaks:
    """Rates of one thread (``flops``, ``dots``, ``loads``) and of ``threads`` threads together
    (``bytes``), per second.

    ``flops``: fused multiply-adds from registers, two operations each; ``dots``: the same of 8-bit integers;
    ``loads``: vector loads from the L1 cache, each feeding one fused multiply-add; ``bytes``: reading memory
    in order.
    """

    threads: int
    flops: float
    dots: float
    loads: float
    bytes: float


def _sums(lanes: int) -> list[Var]:
    return [Var(f"s{i}", Vec(DType.F32, lanes)) for i in range(SUMS)]


def _function(
    name: str, lanes: int, start: Expr, stop: Expr, step: int, term: Callable[[int, Expr], Expr]
) -> Function:
    """out[thread] = what the sums come to; ``term(i, at)``: what sum i takes from position ``at``."""
    data = Buf("data", BufferType(DType.F32, const=True, align=4))
    out = Buf("out", BufferType(DType.F32, align=4))
    at, times = Var("at", I64), Var("times", I64)
    half = Broadcast(Const(0.5, F32), lanes)
    sums = _sums(lanes)
    inner = tuple(Assign(s, Fma(term(i, at), half, s)) for i, s in enumerate(sums))
    # None starts at 0: a sum that stays 0 is no work, and the compiler sees it.
    body: list[Stmt] = [Define(s, Broadcast(Const(float(i), F32), lanes)) for i, s in enumerate(sums, 1)]
    body.append(For(Var("time", I64), Const(0, I64), times, (For(at, start, stop, inner, step=step),)))
    total: Expr = sums[0]
    for s in sums[1:]:
        total = total + s
    folded = Var("folded", F32)
    body += [Let(folded, Reduce("add", total)), Store(out, ThreadId(), folded)]
    return Function(name, (data, out, Var("count", I64), times), tuple(body))


def _flops(lanes: int) -> Function:
    # Each sum feeds itself, so nothing but the multiply-add is in the loop.
    return _function("flops", lanes, Const(0, I64), Var("count", I64), 1, lambda i, _: _sums(lanes)[i])


def _stream(lanes: int) -> Function:
    data = Buf("data", BufferType(DType.F32, const=True, align=4))
    count = Var("count", I64)
    share = count // (SUMS * lanes) // ThreadCount() * (SUMS * lanes)
    start = ThreadId() * share
    return _function(
        "stream", lanes, start, start + share, SUMS * lanes, lambda i, at: VLoad(data, at + i * lanes, lanes)
    )


def _best(call: Callable[[], None]) -> float:
    seconds: list[float] = []
    for _ in range(ROUNDS):
        began = perf_counter()
        call()
        seconds.append(perf_counter() - began)
    return min(seconds)


@cache
def peaks(target: Target, threads: int) -> Peaks:
    """Measure the ceilings (about 0.2 s); kept for the life of the process."""
    lanes = target.lanes(DType.F32)
    flops = compile(Module("peak_flops", (_flops(lanes),)), target)
    dots = compile(Module("peak_dots", (dotting(lanes, byte_dot(pairs=target.pairs)),)), target)
    stream = compile(Module("peak_stream", (_stream(lanes),)), target)
    out = np.zeros(256, np.float32)
    small, large = aligned(L1_FLOATS), aligned(MEMORY_FLOATS)
    large[::1024] = 1.0  # give every page memory of its own
    rounds = 400_000  # a twentieth of it was over before a CPU gave its wide units their full rate
    t_flops = _best(lambda: flops(small, out, rounds, 1))
    counts = np.zeros(256, np.int32)
    t_dots = _best(lambda: dots(counts, rounds))
    per_pass = L1_FLOATS // (SUMS * lanes) * SUMS
    passes = 4_000_000 // per_pass
    t_loads = _best(lambda: stream(small, out, L1_FLOATS, passes))
    t_bytes = _best(lambda: stream(large, out, MEMORY_FLOATS, 1, threads=threads))
    each = rounds * SUMS * lanes * 2
    return Peaks(
        threads, each / t_flops, 4 * each / t_dots, per_pass * passes / t_loads, large.nbytes / t_bytes
    )
