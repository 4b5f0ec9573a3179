"""CSR to CSC and back: one counting pass over the columns, no coordinates written out in between."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel import native
from aerogel.convert.bits import BITS
from aerogel.convert.chunks import CHUNKS, each_part, thread_count
from aerogel.convert.counting import (
    AT,
    BEGIN,
    BUCKETS,
    END,
    add_one,
    ask_ahead,
    call_places,
    counts_of,
    histogram,
    narrowed,
    near_or_far,
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
from aerogel.loop.nodes import (
    I64,
    Alloc,
    Binary,
    Buf,
    BufferType,
    Call,
    Compare,
    Expr,
    Function,
    Load,
    Module,
    Select,
    Var,
)
from aerogel.native.calling import Placed

ROWS = Var("rows", I64)
COUNT = Var("count", I64)
_CSR, _CSC = named("csr", 2), named("csc", 2)


def transposes(source: Format, target: Format) -> bool:
    """Whether ``transpose`` leads from one to the other."""
    return source == _CSR and target == _CSC if source.straight else source == _CSC and target == _CSR


def transpose(storage: Storage, target: Format, threads: int | None) -> Storage:
    """A CSR as CSC, or the other way round."""
    (pos, crd), values = storage.levels[1], storage.values
    rows, columns = storage.shape if storage.format.straight else storage.shape[::-1]
    count, bits = len(values), BITS[values.itemsize]
    pieces = pieces_of(count, columns, thread_count(count, threads))
    at = storage.addresses()
    source = (pos, at[0]), (crd, at[1]), (values.view(bits.numpy()), at[2])
    starts, out, out_bits = moved(source, (rows, columns, count), storage.index, bits, pieces)
    held = out_bits.view(values.dtype)
    return Storage(target, storage.shape, ((), (starts, out)), held, storage.fill, storage.index)


def pieces_of(count: int, buckets: int, threads: int) -> int:
    """How many pieces ``count`` entries are counted in: a piece more is a row of counters more, which should
    not outnumber the entries."""
    return 1 if threads == 1 else max(1, min(threads, 4 * count // max(1, buckets)))


def moved(
    source: Sequence[NDArray[Any] | Placed],
    sizes: tuple[int, int, int],
    index: DType,
    bits: DType,
    pieces: int,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Positions, coordinates and the bits of values of the transpose of a sound CSR of type ``index``.

    ``source``: its positions, coordinates and bits of values; ``sizes``: its rows, columns and entries.
    """
    rows, columns, count = sizes
    kind = index.numpy()
    starts, out, out_bits = np.empty(columns + 1, kind), np.empty(count, kind), np.empty(count, bits.numpy())
    with Scratch() as scratch:
        arrays = (*source, scratch.array(pieces * columns, kind), starts, out, out_bits)
        _kernel(index, bits).launch(pieces, columns, rows, count, *arrays, threads=pieces)
    return starts, out, out_bits


@cache
def _kernel(index: DType, bits: DType) -> native.Compiled:
    return native.compile(transpose_module(index, bits))


def transpose_module(index: DType, bits: DType) -> Module:
    """``transpose(chunks, buckets, rows, count, pos, crd, values, counts, starts, out, out_values)``: a
    bucket per column, ``count`` entries."""
    pos, crd = (Buf(name, BufferType(index, const=True)) for name in ("pos", "crd"))
    values, out_values = Buf("values", BufferType(bits, const=True)), Buf("out_values", BufferType(bits))
    counts = counts_of(index)
    starts, out = Buf("starts", BufferType(index)), Buf("out", BufferType(index))
    code = Code()
    code.add(Alloc(sum_of(index), 1))
    with each_part(code, COUNT) as (chunk, begin, end):
        whole = (i64(0), i64(-1))
        code.add(Call("histogram", (begin, end, chunk * BUCKETS, BUCKETS, *whole, crd, counts)))
    call_places(code, counts, COUNT, starts)
    with each_part(code, COUNT) as (chunk, begin, end):
        arrays = (pos, crd, values, counts, out, out_values)
        code.add(Call("to_rows", (begin, end, chunk * BUCKETS, ROWS, *arrays)))
    params = (CHUNKS, BUCKETS, ROWS, COUNT, pos, crd, values, counts, starts, out, out_values)
    entry = Function("transpose", params, code.done())
    move = to_rows(pos, crd, values, counts, out, out_values)
    steps = (histogram(crd, counts), total(counts), places(counts, starts), move)
    return Module("transpose", (*steps, entry))


def _row_of(code: Code, pos: Buf, at: Expr) -> Var:
    """The row in which the entry ``at`` is: the last one that begins at it or before."""
    low, high = code.define(i64(0), "r"), code.define(ROWS, "high")
    with code.while_(high - low > 1):
        middle = code.let(low + (high - low) / 2, "middle")
        before = code.let(Compare("le", widened(Load(pos, middle)), at), "before")
        code.assign(low, Select(before, middle, low))
        code.assign(high, Select(before, high, middle))
    return low


def to_rows(pos: Buf, crd: Buf, values: Buf, counts: Buf, out: Buf, out_values: Buf) -> Function:
    """``to_rows(begin, end, at, rows, pos, crd, values, counts, out, out_values)``: one piece, row by row."""
    code = Code()
    row, at = _row_of(code, pos, BEGIN), code.define(BEGIN, "next")

    def rows(*, far: bool) -> None:
        with code.while_(at < END):
            stop = code.let(Binary("min", widened(Load(pos, row + 1)), END), "stop")
            narrow = code.let(narrowed(row, out.type.dtype), "narrow")
            with code.for_(at, stop, "p") as p:
                if far:
                    ask_ahead(code, (out, out_values), counts, crd, p)
                place = code.let(add_one(code, counts, AT + widened(Load(crd, p))), "place")
                code.store(out, place, narrow)
                code.store(out_values, place, Load(values, p))
            code.assign(at, stop)
            code.assign(row, row + 1)

    near_or_far(code, rows)
    params = (BEGIN, END, AT, ROWS, pos, crd, values, counts, out, out_values)
    return Function("to_rows", params, code.done())
