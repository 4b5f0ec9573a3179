"""Dense storage: what is stored is written into it, and what differs from the fill is read out of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel import native
from aerogel.convert.assemble import Wanted, memory
from aerogel.convert.bits import BITS
from aerogel.convert.chunks import CHUNKS, CUTS, each_piece, even_cuts, thread_count
from aerogel.convert.counting import narrowed
from aerogel.convert.unpack import coordinate_of
from aerogel.convert.visit import Visited, arguments, root_cuts
from aerogel.core.dtypes import DType
from aerogel.formats.levels import LEVELS
from aerogel.formats.storage import Storage, index_type
from aerogel.formats.tensor_format import Format
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import (
    I64,
    Bitcast,
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
    Scalar,
    Unary,
    Var,
    VLoad,
)

LANES = 8

# --- into it --------------------------------------------------------------------------------


def to_dense(storage: Storage, target: Format, threads: int | None) -> Storage:
    """A storage as a dense one of format ``target``; UnsupportedError where memory is short."""
    shape, order = storage.shape, target.order
    index = index_type(shape, 0)
    levels: tuple[tuple[NDArray[Any], ...], ...] = ((),) * len(order)
    if storage.format.dense:
        sizes = storage.format.level_sizes(shape)
        modes = tuple(storage.format.order.index(mode) for mode in order)
        values = np.ascontiguousarray(storage.values.reshape(sizes).transpose(modes)).reshape(-1)
        return Storage(target, shape, levels, values, storage.fill, index)
    wanted = Wanted(target, shape, storage.fill, index)
    values = memory(math.prod(shape), storage.values.dtype, wanted, storage.fill)
    bits = BITS[values.itemsize]
    pieces = thread_count(len(storage.values), threads)
    strides = [
        math.prod(shape[later] for later in order[order.index(mode) + 1 :]) for mode in range(len(order))
    ]
    given, out = (array.view(bits.numpy()) for array in (storage.values, values))
    kernel = _spread_kernel(storage.format, storage.index, bits)
    cuts = root_cuts(storage, pieces)
    kernel(pieces, cuts, *arguments(storage), given, *strides, out, threads=pieces)
    return Storage(target, shape, levels, values, storage.fill, index)


@cache
def _spread_kernel(form: Format, index: DType, bits: DType) -> native.Compiled:
    return native.compile(spread_module(form, index, bits))


def spread_module(form: Format, index: DType, bits: DType) -> Module:
    """``spread(chunks, cuts, size0 ..., arrays ..., values, stride0 ..., out)``: every value to its place."""
    visited = Visited(form, index)
    values, out = Buf("values", BufferType(bits, const=True)), Buf("out", BufferType(bits))
    strides = [Var(f"stride{mode}", I64) for mode in range(form.rank)]
    code = Code()

    def leaf(at: Sequence[Expr], position: Expr) -> None:
        place: Expr = i64(0)
        for mode, stride in enumerate(strides):
            place = place + coordinate_of(form, at, mode) * stride
        code.store(out, code.let(place, "place"), Load(values, position))

    with each_piece(code) as (_, begin, end):
        visited.loops(code, begin, end, leaf)
    params = (CHUNKS, CUTS, *visited.params, values, *strides, out)
    return Module("spread", (Function("spread", params, code.done()),))


# --- out of it ------------------------------------------------------------------------------


def from_dense(storage: Storage, threads: int | None) -> Storage:
    """What differs from the fill, all modes dense but the last, which is compressed; order as before.

    Of one mode at least. A NaN differs from every fill but NaN.
    """
    sizes = storage.format.level_sizes(storage.shape)
    outer, inner = math.prod(sizes[:-1]), sizes[-1]
    levels = (*storage.format.levels[:-1], LEVELS["compressed"])
    form = replace(storage.format, levels=levels)
    pieces = min(thread_count(len(storage.values), threads), max(1, outer))
    cuts, fill = even_cuts(outer, pieces), np.asarray(storage.fill, storage.values.dtype)
    # Bytes rather than bools: they are compared eight at a time.
    dtype = DType.U8 if storage.dtype is DType.BOOL else storage.dtype
    values, fill = storage.values.view(dtype.numpy()), fill.view(dtype.numpy()).item()
    nan = dtype.is_float and math.isnan(fill)
    starts = memory(outer + 1, np.dtype("int64"), Wanted(form, storage.shape, storage.fill, DType.I64))
    starts[0] = 0
    # A NaN is equal to nothing: the kernel for it is another, and does not look at the fill.
    scalars = (pieces, inner, 0 if nan else fill)
    _count_kernel(dtype, nan)(*scalars, cuts, values, starts[1:], threads=pieces)
    np.cumsum(starts, out=starts)
    stored = int(starts[-1])
    index = index_type(storage.shape, stored)
    crd, found = np.empty(stored, index.numpy()), np.empty(stored, values.dtype)
    _take_kernel(dtype, index, nan)(*scalars, cuts, values, starts, crd, found, threads=pieces)
    arrays = (starts.astype(index.numpy(), copy=False), crd)
    empty: tuple[tuple[NDArray[Any], ...], ...] = ((),) * (len(sizes) - 1)
    found = found.view(storage.values.dtype)
    return Storage(form, storage.shape, (*empty, arrays), found, storage.fill, index)


@cache
def _count_kernel(dtype: DType, nan: bool) -> native.Compiled:  # noqa: FBT001 (a key)
    return native.compile(count_module(dtype, nan=nan))


@cache
def _take_kernel(dtype: DType, index: DType, nan: bool) -> native.Compiled:  # noqa: FBT001 (a key)
    return native.compile(take_module(dtype, index, nan=nan))


_INNER = Var("inner", I64)


def count_module(dtype: DType, *, nan: bool) -> Module:
    """``count(chunks, inner, fill, cuts, values, counts)``: in each row of ``inner``, what is not fill."""
    rows = _Rows(dtype, nan=nan)
    counts = Buf("counts", BufferType(DType.I64))
    code = Code()
    with each_piece(code) as (_, begin, end), code.for_(begin, end, "row") as row:
        found = code.define(i64(0), "found")
        first, middle, last = rows.bounds(code, row)
        with code.for_(first, middle, "i", LANES) as i:
            code.assign(found, found + Cast(Unary("popcount", rows.bits(i)), I64))
        with code.for_(middle, last) as i:
            code.assign(found, found + Cast(rows.differs(Load(rows.values, i), rows.fill), I64))
        code.store(counts, row, found)
    params = (CHUNKS, _INNER, rows.fill, CUTS, rows.values, counts)
    return Module("count", (Function("count", params, code.done()),))


def take_module(dtype: DType, index: DType, *, nan: bool) -> Module:
    """``take(chunks, inner, fill, cuts, values, starts, crd, found)``: what is not fill, row r from
    ``starts[r]`` on."""
    rows = _Rows(dtype, nan=nan)
    starts = Buf("starts", BufferType(DType.I64, const=True))
    crd, found = Buf("crd", BufferType(index)), Buf("found", BufferType(dtype))
    code = Code()
    with each_piece(code) as (_, begin, end), code.for_(begin, end, "row") as row:
        next_ = code.define(Load(starts, row), "next")
        first, middle, last = rows.bounds(code, row)

        def take(at: Expr) -> None:
            code.store(crd, next_, narrowed(at - first, index))
            code.store(found, next_, Load(rows.values, at))
            code.assign(next_, next_ + 1)

        with code.for_(first, middle, "i", LANES) as i:
            left = code.define(rows.bits(i), "left")
            with code.while_(Compare("ne", left, Const(0, left.type))):
                take(code.let(i + Cast(Unary("ctz", left), I64), "at"))
                code.assign(left, left & (left - 1))
        with code.for_(middle, last) as i, code.if_(rows.differs(Load(rows.values, i), rows.fill)):
            take(i)
    params = (CHUNKS, _INNER, rows.fill, CUTS, rows.values, starts, crd, found)
    return Module("take", (Function("take", params, code.done()),))


class _Rows:
    """Dense values, row by row, and which of them are not ``fill``."""

    def __init__(self, dtype: DType, *, nan: bool) -> None:
        self.nan = nan
        self.values = Buf("values", BufferType(dtype, const=True))
        self.fill = Var("fill", Scalar(dtype))

    def bounds(self, code: Code, row: Expr) -> tuple[Expr, Expr, Expr]:
        """Where a row begins, where its last whole vector ends, and where it ends itself."""
        first = code.let(row * _INNER, "first")
        middle = code.let(first + _INNER / LANES * LANES, "middle")
        return first, middle, code.let(first + _INNER, "last")

    def differs(self, value: Expr, fill: Expr) -> Expr:
        return Compare("eq", value, value) if self.nan else Compare("ne", value, fill)

    def bits(self, i: Expr) -> Expr:
        """One bit for each of the values from ``i`` on."""
        mask = self.differs(VLoad(self.values, i, LANES), Broadcast(self.fill, LANES))
        return Bitcast(mask, Scalar(DType.U8))
