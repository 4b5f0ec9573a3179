"""CSR to CSC and back: one counting pass over the columns, no coordinates written out in between."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel import native
from aerogel.convert.bits import BITS
from aerogel.convert.chunks import CHUNKS, CUTS, each_piece, even_cuts, thread_count
from aerogel.convert.counting import (
    AHEAD,
    AT,
    BEGIN,
    BUCKETS,
    END,
    add_one,
    ask_for,
    call_places,
    counts_of,
    histogram,
    narrowed,
    places,
    sum_of,
    total,
    widened,
)
from aerogel.core.dtypes import DType
from aerogel.core.scratch import Scratch
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format, named
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import I64, Alloc, Binary, Buf, BufferType, Call, Function, Load, Module, Var

_ROW = Var("row", I64)
COUNT = Var("count", I64)
FIRST = Buf("first_rows", BufferType(DType.I64, const=True))
"""The row in which each piece begins."""


def transposes(source: Format, target: Format) -> bool:
    """Whether ``transpose`` leads from one to the other."""
    csr, csc = named("csr", 2), named("csc", 2)
    return (source, target) in ((csr, csc), (csc, csr))


def transpose(storage: Storage, target: Format, threads: int | None) -> Storage:
    """A CSR as CSC, or the other way round."""
    (pos, crd), values = storage.levels[1], storage.values
    _, columns = storage.format.level_sizes(storage.shape)
    pieces = thread_count(len(crd), threads)
    # A thread more is a row of counters more: not where they would outnumber the entries.
    pieces = max(1, min(pieces, 4 * len(crd) // max(1, columns)))
    starts, out, bits = moved((pos, crd), values, columns, storage.index, pieces)
    levels: tuple[tuple[NDArray[Any], ...], ...] = ((), (starts, out))
    return Storage(target, storage.shape, levels, bits.view(values.dtype), storage.fill, storage.index)


def moved(
    fibers: tuple[NDArray[Any], NDArray[Any]],
    values: NDArray[Any],
    columns: int,
    index: DType,
    pieces: int,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Positions, coordinates and the bits of values of the transpose of a sound CSR of type ``index``."""
    pos, crd = fibers
    kind, count, bits = index.numpy(), len(crd), BITS[values.itemsize]
    cuts, first = even_cuts(count, pieces), np.zeros(pieces, np.int64)
    if pieces > 1 or count:
        # The row in which each piece begins: the last of those that begin there.
        first[:] = np.searchsorted(pos, cuts[:-1].astype(kind), side="right") - 1
    starts, out, out_bits = np.empty(columns + 1, kind), np.empty(count, kind), np.empty(count, bits.numpy())
    with Scratch() as scratch:
        counts = scratch.array(pieces * columns, kind)
        arrays = (cuts, first, pos, crd, values.view(bits.numpy()), counts, starts, out, out_bits)
        _kernel(index, bits).launch(pieces, columns, count, *arrays, threads=pieces)
    return starts, out, out_bits


@cache
def _kernel(index: DType, bits: DType) -> native.Compiled:
    return native.compile(transpose_module(index, bits))


def transpose_module(index: DType, bits: DType) -> Module:
    """``transpose(chunks, buckets, count, cuts, first_rows, pos, crd, values, counts, starts, out,
    out_values)``: a bucket per column, ``count`` entries."""
    pos, crd = (Buf(name, BufferType(index, const=True)) for name in ("pos", "crd"))
    values, out_values = Buf("values", BufferType(bits, const=True)), Buf("out_values", BufferType(bits))
    counts = counts_of(index)
    starts, out = Buf("starts", BufferType(index)), Buf("out", BufferType(index))
    code = Code()
    code.add(Alloc(sum_of(index), 1))
    with each_piece(code) as (chunk, begin, end):
        whole = (i64(0), i64(-1))
        code.add(Call("histogram", (begin, end, chunk * BUCKETS, BUCKETS, *whole, crd, counts)))
    call_places(code, counts, COUNT, starts)
    with each_piece(code) as (chunk, begin, end):
        row = Load(FIRST, chunk)
        code.add(Call("move", (begin, end, chunk * BUCKETS, row, pos, crd, values, counts, out, out_values)))
    params = (CHUNKS, BUCKETS, COUNT, CUTS, FIRST, pos, crd, values, counts, starts, out, out_values)
    entry = Function("transpose", params, code.done())
    move = _move(pos, crd, values, counts, out, out_values)
    steps = (histogram(crd, counts), total(counts), places(counts, starts), move)
    return Module("transpose", (*steps, entry))


def _move(pos: Buf, crd: Buf, values: Buf, counts: Buf, out: Buf, out_values: Buf) -> Function:
    """``move(begin, end, at, row, pos, crd, values, counts, out, out_values)``: one piece, which begins in
    ``row``."""
    code = Code()
    row, at = code.define(_ROW, "r"), code.define(BEGIN, "next")
    with code.while_(at < END):
        stop = code.let(Binary("min", widened(Load(pos, row + 1)), END), "stop")
        narrow = code.let(narrowed(row, out.type.dtype), "narrow")
        with code.for_(at, stop, "p") as p:
            ahead = code.let(Binary("min", p + AHEAD, END - 1), "ahead")
            ask_for(code, (out, out_values), Load(counts, AT + widened(Load(crd, ahead))))
            place = code.let(add_one(code, counts, AT + widened(Load(crd, p))), "place")
            code.store(out, place, narrow)
            code.store(out_values, place, Load(values, p))
        code.assign(at, stop)
        code.assign(row, row + 1)
    params = (BEGIN, END, AT, _ROW, pos, crd, values, counts, out, out_values)
    return Function("move", params, code.done())
