"""How work is cut into pieces, and which thread does which.

Pieces are decided before a kernel runs and their results do not depend on how many there are, so the bits are
the same at any number of threads.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError
from aerogel.loop.build import Code
from aerogel.loop.nodes import I64, Buf, BufferType, Expr, Load, ThreadCount, ThreadId, Var
from aerogel.native import thread_limit
from aerogel.native.pool import pool

# Entries: what a thread should get at least; and from how many on even one that sleeps is woken.
WORTH_A_THREAD = 1 << 15
WORTH_WAKING = 1 << 17


class Runs(Protocol):
    """What knows where a run of equal entries ends."""

    def run_end(self, at: int) -> int: ...


CHUNKS = Var("chunks", I64)
"""How many pieces there are."""
CUTS = Buf("cuts", BufferType(DType.I64, const=True))
"""Where each piece begins, and where the last one ends."""


def thread_count(work: int, threads: int | None) -> int:
    """How many threads ``work`` entries are worth, of those wanted; None: of all there are."""
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise InputError(f"threads={threads!r}: give a whole number from 1 on")
    if work < 2 * WORTH_A_THREAD:
        # Asking the system how many there are takes longer than a tiny conversion.
        return 1
    if work < WORTH_WAKING and threads != 1 and not pool().lively():
        return 1
    most = thread_limit() if threads is None else min(threads, thread_limit())
    return max(1, min(most, work // WORTH_A_THREAD))


def even_cuts(count: int, pieces: int) -> NDArray[np.int64]:
    """``pieces`` equal parts of 0 .. count."""
    return np.array([count * piece // pieces for piece in range(pieces + 1)], np.int64)


def whole_runs(cuts: NDArray[np.int64], entries: Runs) -> NDArray[np.int64]:
    """The same cuts, moved to where the next entry of other coordinates begins; ``entries`` are sorted."""
    moved = cuts.copy()
    for piece, at in enumerate(cuts[1:-1].tolist(), start=1):
        moved[piece] = max(at, entries.run_end(at - 1)) if at else 0
    return np.maximum.accumulate(moved)


@contextmanager
def each_piece(code: Code) -> Generator[tuple[Expr, Expr, Expr]]:
    """The pieces of this thread: number, begin and end of each."""
    with _each(code) as chunk:
        begin = code.let(Load(CUTS, chunk), "begin")
        yield chunk, begin, code.let(Load(CUTS, chunk + 1), "end")


@contextmanager
def each_part(code: Code, count: Expr) -> Generator[tuple[Expr, Expr, Expr]]:
    """As ``each_piece``, of pieces that are equal parts of 0 .. ``count``, as in ``even_cuts``."""
    with _each(code) as chunk:
        begin = code.let(count * chunk / CHUNKS, "begin")
        yield chunk, begin, code.let(count * (chunk + 1) / CHUNKS, "end")


@contextmanager
def _each(code: Code) -> Generator[Expr]:
    """The number of each piece that is this thread's."""
    first = ThreadId() * CHUNKS / ThreadCount()
    last = (ThreadId() + 1) * CHUNKS / ThreadCount()
    with code.for_(code.let(first, "first"), code.let(last, "last"), "chunk") as chunk:
        yield chunk
