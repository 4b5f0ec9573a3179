"""Coordinates copied and looked at in one go: what is judged is the copy, which no other thread can reach."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel import native
from aerogel.convert.chunks import CHUNKS, CUTS, each_piece, even_cuts, thread_count
from aerogel.core.dtypes import DType
from aerogel.loop.build import Code
from aerogel.loop.nodes import I64 as LONG
from aerogel.loop.nodes import (
    Binary,
    Broadcast,
    Buf,
    BufferType,
    Cast,
    Compare,
    Const,
    Expr,
    Function,
    Load,
    Module,
    Reduce,
    Scalar,
    Select,
    Var,
    Vec,
    VLoad,
)

LANES = 8
# So much is copied before it is looked at: it is still in the cache.
_BLOCK = 4096


def copied(crd: NDArray[Any], threads: int | None = None) -> tuple[NDArray[Any], int, int, int]:
    """A copy of ``crd`` (int32 or int64, contiguous); its least and most (0 and -1 where it is empty); and
    how often a coordinate is no larger than the one before it."""
    out = np.empty_like(crd)
    pieces = thread_count(len(crd), threads)
    if not len(crd):
        return out, 0, -1, 0
    cuts = even_cuts(len(crd), pieces)
    found = np.zeros(3 * pieces, np.int64)
    _kernel(DType.of(crd.dtype))(pieces, cuts, crd, out, found, threads=pieces)
    least, most, falls = found.reshape(pieces, 3).T
    inner = cuts[1:-1]
    across = np.count_nonzero(out[inner] <= out[inner - 1])
    return out, int(least.min()), int(most.max()), int(falls.sum()) + int(across)


@cache
def _kernel(dtype: DType) -> native.Compiled:
    return native.compile(audit_module(dtype))


def audit_module(dtype: DType) -> Module:
    """``audit(chunks, cuts, crd, out, found)``; no piece is empty.

    ``found`` has a row per piece: least, most, and how many of its elements but the first do not ascend.
    """
    crd, out = Buf("crd", BufferType(dtype, const=True)), Buf("out", BufferType(dtype))
    found = Buf("found", BufferType(DType.I64))
    code = Code()
    with each_piece(code) as (chunk, begin, end):
        code.store(out, begin, Load(crd, begin))
        first = Load(out, begin)
        wide, narrow = _Seen(code, first, LANES), _Seen(code, first, 1)
        with code.for_(begin + 1, end, "block", _BLOCK) as start:
            stop = code.let(Binary("min", start + _BLOCK, end), "stop")
            middle = code.let(start + (stop - start) / LANES * LANES, "middle")
            for low, high, lanes in ((start, middle, LANES), (middle, stop, 1)):
                with code.for_(low, high, "i", lanes) as i:
                    code.store(out, i, _load(crd, i, lanes))
            for low, high, seen in ((start, middle, wide), (middle, stop, narrow)):
                with code.for_(low, high, "i", seen.lanes) as i:
                    seen.look(out, i)
        row = code.let(chunk * 3, "row")
        least = Binary("min", Reduce("min", wide.least), narrow.least)
        most = Binary("max", Reduce("max", wide.most), narrow.most)
        for k, value in enumerate((least, most, Reduce("add", wide.falls) + narrow.falls)):
            code.store(found, row + k, value if value.type == LONG else Cast(value, LONG))
    return Module("audit", (Function("audit", (CHUNKS, CUTS, crd, out, found), code.done()),))


def _load(buf: Buf, at: Expr, lanes: int) -> Expr:
    return Load(buf, at) if lanes == 1 else VLoad(buf, at, lanes)


class _Seen:
    """What a loop of ``lanes`` coordinates at a time has seen."""

    def __init__(self, code: Code, first: Expr, lanes: int) -> None:
        self.code, self.lanes = code, lanes
        kind = Scalar(DType.I64) if lanes == 1 else Vec(DType.I64, lanes)
        start = code.let(first if lanes == 1 else Broadcast(first, lanes), "first")
        self.least: Var = code.define(start, "least")
        self.most: Var = code.define(start, "most")
        self.falls: Var = code.define(Const(0, kind), "falls")

    def look(self, out: Buf, i: Expr) -> None:
        code = self.code
        here = code.let(_load(out, i, self.lanes), "here")
        last = code.let(_load(out, i - 1, self.lanes), "last")
        code.assign(self.least, Binary("min", self.least, here))
        code.assign(self.most, Binary("max", self.most, here))
        zero = Const(0, self.falls.type)
        one = Const(1, self.falls.type)
        code.assign(self.falls, self.falls + Select(Compare("le", here, last), one, zero))
