"""CSR to BSR and back: rows of a block are merged, or walked one by one; nothing is sorted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel import native
from aerogel.convert.assemble import Wanted, memory
from aerogel.convert.bits import bits_of
from aerogel.convert.chunks import CHUNKS, CUTS, each_piece, thread_count
from aerogel.convert.counting import narrowed, widened
from aerogel.convert.dense import Filled, filled
from aerogel.convert.visit import root_cuts
from aerogel.core.dtypes import DType
from aerogel.formats.levels import LEVELS
from aerogel.formats.storage import Storage, index_type
from aerogel.formats.tensor_format import Format, named
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import (
    I64,
    Binary,
    Buf,
    BufferType,
    Const,
    Expr,
    Function,
    Load,
    Module,
    Select,
    Var,
)

# The rows and columns of a block.
_TALL, _WIDE = Var("tall", I64), Var("wide", I64)
_FAR = Const(2**63 - 1, I64)


def is_blocked(form: Format) -> bool:
    """Whether a format is what is called BSR."""
    kinds = tuple(LEVELS[name] for name in ("dense", "compressed", "dense", "dense"))
    return bool(form.block) and form.levels == kinds and form.order == (0, 1)


def blocks_route(source: Format, target: Format) -> bool:
    """Whether this file leads from one to the other."""
    csr = named("csr", 2)
    return (source == csr and is_blocked(target)) or (target == csr and is_blocked(source))


# --- CSR to BSR -----------------------------------------------------------------------------


def to_blocks(storage: Storage, target: Format, threads: int | None) -> Storage:
    """A CSR as BSR; the block divides the shape."""
    (pos, crd), (tall, wide) = storage.levels[1], target.block
    rows = storage.shape[0] // tall
    pieces = min(thread_count(len(crd), threads), max(1, rows))
    cuts = np.minimum(root_cuts(storage, pieces) // tall, rows)
    cuts[-1] = rows
    starts, cursors = np.zeros(rows + 1, np.int64), np.empty(pieces * tall, np.int64)
    count, fill = (_merge_kernel(storage.index, bits) for bits in (None, bits_of(storage.values)[1]))
    count(pieces, tall, wide, cuts, pos, crd, cursors, starts[1:], threads=pieces)
    np.cumsum(starts, out=starts)
    blocks = int(starts[-1])
    index = index_type(storage.shape, len(crd))
    wanted = Wanted(target, storage.shape, storage.fill, index)
    out = memory(blocks * tall * wide, storage.values.dtype, wanted, storage.fill)
    columns = np.empty(blocks, storage.index.numpy())
    arrays = (pos, crd, cursors, starts, bits_of(storage.values)[0], columns, bits_of(out)[0])
    fill(pieces, tall, wide, cuts, *arrays, threads=pieces)
    kept = tuple(array.astype(index.numpy(), copy=False) for array in (starts, columns))
    return Storage(target, storage.shape, ((), kept, (), ()), out, storage.fill, index)


@cache
def _merge_kernel(index: DType, bits: DType | None) -> native.Compiled:
    return native.compile(merge_module(index, bits))


def merge_module(index: DType, bits: DType | None) -> Module:
    """``merge(chunks, tall, wide, cuts, pos, crd, cursors, counts)``: blocks in each row of blocks; or with
    ``bits``, ``merge(..., cursors, starts, values, columns, out)``: their columns, values in their places.

    ``cursors``: room for [piece, tall].
    """
    pos, crd = (Buf(name, BufferType(index, const=True)) for name in ("pos", "crd"))
    cursors, counts = Buf("cursors", BufferType(DType.I64)), Buf("counts", BufferType(DType.I64))
    starts, columns = Buf("starts", BufferType(DType.I64, const=True)), Buf("columns", BufferType(index))
    code = Code()
    with each_piece(code) as (chunk, begin, end), code.for_(begin, end, "row") as row:
        own, first = code.let(chunk * _TALL, "own"), code.let(row * _TALL, "first")
        with code.for_(i64(0), _TALL, "r") as r:
            code.store(cursors, own + r, widened(Load(pos, first + r)))
        block = code.define(Load(starts, row) if bits else i64(0), "block")
        least = code.define(_least(code, pos, crd, cursors, own, first), "least")
        with code.while_(least < _FAR):
            if bits:
                code.store(columns, block, narrowed(least, index))
            with code.for_(i64(0), _TALL, "r") as r:
                base = code.let((block * _TALL + r) * _WIDE - least * _WIDE, "base")
                stop = code.let(widened(Load(pos, first + r + 1)), "stop")
                at = code.define(Load(cursors, own + r), "at")
                with code.while_(_column(crd, at, stop) < (least + 1) * _WIDE):
                    if bits:
                        values, out = _moved(bits)
                        code.store(out, base + widened(Load(crd, at)), Load(values, at))
                    code.assign(at, at + 1)
                code.store(cursors, own + r, at)
            code.assign(block, block + 1)
            code.assign(least, _least(code, pos, crd, cursors, own, first))
        if not bits:
            code.store(counts, row, block)
    last = (starts, _moved(bits)[0], columns, _moved(bits)[1]) if bits else (counts,)
    params = (CHUNKS, _TALL, _WIDE, CUTS, pos, crd, cursors, *last)
    return Module("merge", (Function("merge", params, code.done()),))


def _moved(bits: DType) -> tuple[Buf, Buf]:
    return Buf("values", BufferType(bits, const=True)), Buf("out", BufferType(bits))


def _column(crd: Buf, at: Expr, stop: Expr) -> Expr:
    """The column at a cursor; beyond all where its row has ended."""
    inside = Select(at < stop, at, i64(0))
    return Select(at < stop, widened(Load(crd, inside)), _FAR)


def _least(code: Code, pos: Buf, crd: Buf, cursors: Buf, own: Expr, first: Expr) -> Expr:
    """The first column of blocks at which a cursor stands; _FAR where all rows have ended."""
    least = code.define(_FAR, "nearest")
    with code.for_(i64(0), _TALL, "r") as r:
        stop = code.let(widened(Load(pos, first + r + 1)), "stop")
        at = code.let(Load(cursors, own + r), "at")
        with code.if_(at < stop):
            code.assign(least, Binary("min", least, widened(Load(crd, at)) / _WIDE))
    return least


# --- BSR to CSR -----------------------------------------------------------------------------


def from_blocks(storage: Storage, target: Format, threads: int | None) -> Storage:
    """A BSR as CSR; what equals the fill is left out."""
    (pos, crd), (tall, wide) = storage.levels[1], storage.format.block
    pieces = min(thread_count(len(storage.values), threads), max(1, len(pos) - 1))
    cuts, fill = root_cuts(storage, pieces), filled(storage)
    starts = np.zeros(storage.shape[0] + 1, np.int64)
    scalars = (pieces, tall, wide, fill.scalar, cuts, pos, crd, fill.values)
    _rows_kernel(fill.key, storage.index, None)(*scalars, starts[1:], threads=pieces)
    np.cumsum(starts, out=starts)
    stored = int(starts[-1])
    index = index_type(storage.shape, stored)
    columns, found = np.empty(stored, index.numpy()), np.empty(stored, fill.values.dtype)
    _rows_kernel(fill.key, storage.index, index)(*scalars, starts, columns, found, threads=pieces)
    levels: tuple[tuple[NDArray[Any], ...], ...] = ((), (starts.astype(index.numpy(), copy=False), columns))
    found = found.view(storage.values.dtype)
    return Storage(target, storage.shape, levels, found, storage.fill, index)


@cache
def _rows_kernel(key: Filled, index: DType, out: DType | None) -> native.Compiled:
    return native.compile(rows_module(key, index, out))


def rows_module(key: Filled, index: DType, out: DType | None) -> Module:
    """``rows(chunks, tall, wide, fill, cuts, pos, crd, values, counts)``: what is not fill in each row; or
    with ``out``, ``rows(..., values, starts, columns, found)``: their columns and themselves, row by row."""
    pos, crd = (Buf(name, BufferType(index, const=True)) for name in ("pos", "crd"))
    counts, starts = Buf("counts", BufferType(DType.I64)), Buf("starts", BufferType(DType.I64, const=True))
    columns = Buf("columns", BufferType(out or index))
    found = Buf("found", BufferType(key.dtype))
    code = Code()
    with each_piece(code) as (_, begin, end), code.for_(begin, end, "block_row") as block_row:
        low, high = (code.let(widened(Load(pos, block_row + k)), "bound") for k in (0, 1))
        with code.for_(i64(0), _TALL, "r") as r:
            row = code.let(block_row * _TALL + r, "row")
            next_ = code.define(Load(starts, row) if out else i64(0), "next")
            with code.for_(low, high, "block") as block:
                base = code.let((block * _TALL + r) * _WIDE, "base")
                left = code.let(widened(Load(crd, block)) * _WIDE, "left")
                with code.for_(i64(0), _WIDE, "c") as c:
                    value = code.let(Load(key.buffer, base + c), "value")
                    with code.if_(key.differs(value, key.fill)):
                        if out:
                            code.store(columns, next_, narrowed(left + c, out))
                            code.store(found, next_, value)
                        code.assign(next_, next_ + 1)
            if not out:
                code.store(counts, row, next_)
    last: Sequence[Buf] = (starts, columns, found) if out else (counts,)
    params = (CHUNKS, _TALL, _WIDE, key.fill, CUTS, pos, crd, key.buffer, *last)
    return Module("rows", (Function("rows", params, code.done()),))
