"""Loops that spend energy on one thing each, by which the energy roofline is fitted; some, which are held
out, on two things at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from aerogel.core.caches import Cache
from aerogel.core.dtypes import DType
from aerogel.core.memory import aligned
from aerogel.core.target import Target
from aerogel.kernels.tile import byte_dot
from aerogel.loop.nodes import Function, Module
from aerogel.native import Compiled, compile
from aerogel.native.cores import MOST
from aerogel.tune.energy_kernels import PAIRS, SUMS, dotting, streaming, turning

NAP_S = 0.005
EXTRA = 4
"""Multiply-adds more with each load, in loops that are held out."""
_LEAST_MEMORY_BYTES, _MOST_MEMORY_BYTES = 64 << 20, 1 << 30
_OPERATIONS, _BYTES = 1e8, 2e8
"""Of one call and thread: some milliseconds."""


@dataclass(frozen=True, slots=True)
class MeteredLoop:
    """``call`` does, on ``threads`` threads together, so many ``operations`` by type of number and moves so
    many ``bytes`` by level. ``held_out``: see ``roofline_fit.Sample``."""

    name: str
    call: Callable[[], object]
    operations: Mapping[str, float] = field(default_factory=dict[str, float])
    bytes: Mapping[str, float] = field(default_factory=dict[str, float])
    held_out: bool = False


def loops(target: Target, threads: int, caches: Sequence[Cache]) -> list[MeteredLoop]:
    """All of them, on one thread and on ``threads``; ``caches``: of this CPU, nearest first."""
    counts = sorted({1, threads})
    found = [MeteredLoop("asleep", lambda: time.sleep(NAP_S))]
    found += [_computing(target, kind, n) for kind in ("awake", "fp32", "fp64", "int8") for n in counts]
    for level, nbytes in places(caches, threads).items():
        found += [_reading(target, level, nbytes, n, 0) for n in counts]
        found.append(_reading(target, level, nbytes, threads, EXTRA))
    return [*found, _napping(_computing(target, "fp32", threads))]


def places(caches: Sequence[Cache], threads: int) -> dict[str, int]:
    """By level, the bytes of each thread's part of a buffer that stays there and in no nearer cache: half
    of a thread's share of it. Levels hardly larger than the one before are left out, for they hold little
    beside it; so is memory where the last cache is too large to be outdone."""
    found: dict[str, int] = {}
    nearer = 0
    for cache in caches:
        share = cache.nbytes // min(cache.threads, threads)
        if share >= 4 * nearer:
            found[f"L{cache.level}"] = share // 2
        nearer = share
    beyond = max(4 * max((cache.nbytes for cache in caches), default=0), _LEAST_MEMORY_BYTES)
    if beyond <= _MOST_MEMORY_BYTES:
        found["memory"] = beyond // threads
    return found


def _kernel(target: Target, kind: str) -> tuple[Function, int, type[np.generic]]:
    """The kernel, its operations a step, and what it puts out."""
    lanes = {kind: target.lanes(dtype) for kind, dtype in (("fp32", DType.F32), ("fp64", DType.F64))}
    match kind:
        case "awake":
            # One multiply-add waits for the other: hardly any work.
            return turning(1, DType.F32, 1), 4, np.float32
        case "fp32":
            return turning(lanes[kind], DType.F32), 4 * PAIRS * lanes[kind], np.float32
        case "fp64":
            return turning(lanes[kind], DType.F64), 4 * PAIRS * lanes[kind], np.float64
        case _:
            return dotting(lanes["fp32"], byte_dot(pairs=target.pairs)), 8 * SUMS * lanes["fp32"], np.int32


def _computing(target: Target, kind: str, threads: int) -> MeteredLoop:
    """In registers alone."""
    function, each, dtype = _kernel(target, kind)
    code, out = _compiled(target, kind, function), np.zeros(MOST, dtype)
    steps = max(1, int((_OPERATIONS if each > 4 else 1e7) / each))
    type_ = "fp32" if kind == "awake" else kind
    return MeteredLoop(
        f"{kind}, {_on(threads)}",
        lambda: code(out, steps, threads=threads),
        {type_: float(steps * each * threads)},
    )


def _reading(target: Target, level: str, nbytes: int, threads: int, extra: int) -> MeteredLoop:
    """Again and again, a buffer of ``nbytes`` a thread, with 1 + ``extra`` multiply-adds a vector."""
    lanes = target.lanes(DType.F32)
    code = _compiled(target, f"reading_{extra}", streaming(lanes, extra))
    part = max(1, nbytes // 4 // (SUMS * lanes)) * SUMS * lanes
    data = aligned(part * threads)
    data[:] = np.random.default_rng(0).standard_normal(data.size, dtype=np.float32)
    times = max(1, int(_BYTES / (4 * part)))
    out = np.zeros(MOST, np.float32)
    elements = float(data.size * times)
    more = f" and {1 + extra} multiply-adds a load" if extra else ""
    return MeteredLoop(
        f"{level}{more}, {_on(threads)}",
        lambda: code(data, out, data.size, times, threads=threads),
        {"fp32": 2 * (1 + extra) * elements},
        {level: 4 * elements},
        held_out=extra > 0,
    )


def _napping(loop: MeteredLoop) -> MeteredLoop:
    """The same with sleep in between: is the power of work told from that of idling?"""

    def call() -> None:
        loop.call()
        time.sleep(NAP_S)

    return MeteredLoop(f"{loop.name}, with naps", call, loop.operations, loop.bytes, held_out=True)


def _compiled(target: Target, name: str, function: Function) -> Compiled:
    return compile(Module(f"energy_{name}", (function,)), target)


def _on(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"
