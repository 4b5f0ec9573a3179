"""Dense storage: what is stored is written into it, and what differs from the fill is read out of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    cuts = even_cuts(outer, pieces)
    fill = filled(storage)
    values = fill.values
    starts = memory(outer + 1, np.dtype("int64"), Wanted(form, storage.shape, storage.fill, DType.I64))
    starts[0] = 0
    scalars = (pieces, inner, fill.scalar)
    _count_kernel(fill.key)(*scalars, cuts, values, starts[1:], threads=pieces)
    np.cumsum(starts, out=starts)
    stored = int(starts[-1])
    index = index_type(storage.shape, stored)
    crd, found = np.empty(stored, index.numpy()), np.empty(stored, values.dtype)
    _take_kernel(fill.key, index)(*scalars, cuts, values, starts, crd, found, threads=pieces)
    arrays = (starts.astype(index.numpy(), copy=False), crd)
    empty: tuple[tuple[NDArray[Any], ...], ...] = ((),) * (len(sizes) - 1)
    found = found.view(storage.values.dtype)
    return Storage(form, storage.shape, (*empty, arrays), found, storage.fill, index)


@dataclass(frozen=True, slots=True)
class Filled:
    """How a kernel tells values of type ``dtype`` from the fill; ``nan``: that is what the fill is."""

    dtype: DType
    nan: bool

    @property
    def buffer(self) -> Buf:
        return Buf("values", BufferType(self.dtype, const=True))

    @property
    def fill(self) -> Var:
        return Var("fill", Scalar(self.dtype))

    def differs(self, value: Expr, fill: Expr) -> Expr:
        # A NaN is equal to nothing, itself among that.
        return Compare("eq", value, value) if self.nan else Compare("ne", value, fill)

    def bits(self, i: Expr) -> Expr:
        """One bit for each of the values from ``i`` on: whether it differs."""
        mask = self.differs(VLoad(self.buffer, i, LANES), Broadcast(self.fill, LANES))
        return Bitcast(mask, Scalar(DType.U8))


@dataclass(frozen=True, slots=True)
class WithFill:
    """Values, and the fill, as the kernels of ``key`` take them."""

    values: NDArray[Any]
    scalar: float
    key: Filled


def filled(storage: Storage) -> WithFill:
    """A storage's values and fill, for a kernel; bools as bytes, which are compared eight at a time."""
    dtype = DType.U8 if storage.dtype is DType.BOOL else storage.dtype
    one = np.asarray(storage.fill, storage.values.dtype).view(dtype.numpy()).item()
    nan = dtype.is_float and math.isnan(one)
    return WithFill(storage.values.view(dtype.numpy()), 0 if nan else one, Filled(dtype, nan))


@cache
def _count_kernel(key: Filled) -> native.Compiled:
    return native.compile(count_module(key))


@cache
def _take_kernel(key: Filled, index: DType) -> native.Compiled:
    return native.compile(take_module(key, index))


_INNER = Var("inner", I64)


def count_module(key: Filled) -> Module:
    """``count(chunks, inner, fill, cuts, values, counts)``: in each row of ``inner``, what is not fill."""
    counts = Buf("counts", BufferType(DType.I64))
    code = Code()
    with each_piece(code) as (_, begin, end), code.for_(begin, end, "row") as row:
        found = code.define(i64(0), "found")
        first, middle, last = _bounds(code, row)
        with code.for_(first, middle, "i", LANES) as i:
            code.assign(found, found + Cast(Unary("popcount", key.bits(i)), I64))
        with code.for_(middle, last) as i:
            code.assign(found, found + Cast(key.differs(Load(key.buffer, i), key.fill), I64))
        code.store(counts, row, found)
    params = (CHUNKS, _INNER, key.fill, CUTS, key.buffer, counts)
    return Module("count", (Function("count", params, code.done()),))


def take_module(key: Filled, index: DType) -> Module:
    """``take(chunks, inner, fill, cuts, values, starts, crd, found)``: what is not fill, row r from
    ``starts[r]`` on."""
    starts = Buf("starts", BufferType(DType.I64, const=True))
    crd, found = Buf("crd", BufferType(index)), Buf("found", BufferType(key.dtype))
    code = Code()
    with each_piece(code) as (_, begin, end), code.for_(begin, end, "row") as row:
        next_ = code.define(Load(starts, row), "next")
        first, middle, last = _bounds(code, row)

        def take(at: Expr) -> None:
            code.store(crd, next_, narrowed(at - first, index))
            code.store(found, next_, Load(key.buffer, at))
            code.assign(next_, next_ + 1)

        with code.for_(first, middle, "i", LANES) as i:
            left = code.define(key.bits(i), "left")
            with code.while_(Compare("ne", left, Const(0, left.type))):
                take(code.let(i + Cast(Unary("ctz", left), I64), "at"))
                code.assign(left, left & (left - 1))
        with code.for_(middle, last) as i, code.if_(key.differs(Load(key.buffer, i), key.fill)):
            take(i)
    params = (CHUNKS, _INNER, key.fill, CUTS, key.buffer, starts, crd, found)
    return Module("take", (Function("take", params, code.done()),))


def _bounds(code: Code, row: Expr) -> tuple[Expr, Expr, Expr]:
    """Where a row begins, where its last whole vector ends, and where it ends itself."""
    first = code.let(row * _INNER, "first")
    middle = code.let(first + _INNER / LANES * LANES, "middle")
    return first, middle, code.let(first + _INNER, "last")
