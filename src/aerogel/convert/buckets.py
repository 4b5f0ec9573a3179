"""Unsorted entries of a matrix to CSR or CSC: a counting pass by column, then one by row.

The first leaves the entries column by column, each column in the order in which they came; the second is the
transposition of that, which puts every row in order. Each pass moves an entry once, which is less than
sorting words where there are no more rows and columns than entries to speak of.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel import native
from aerogel.convert.bits import BITS
from aerogel.convert.chunks import CHUNKS, each_part
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
from aerogel.convert.transpose import COUNT, moved, pieces_of
from aerogel.core.dtypes import DType
from aerogel.core.scratch import Scratch
from aerogel.formats.tensor_format import Format, named
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import Alloc, Buf, BufferType, Call, Function, Load, Module

Rows = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Where each row begins, the columns in it, and the values."""
_MOST_BUCKETS = 4
"""Rows or columns for each entry, at most: their counters are read as well."""


def suits(form: Format, sizes: Sequence[int], count: int) -> bool:
    """Whether entries are sorted here: for CSR and CSC that are not nearly empty."""
    return (
        form.rank == 2 and form in (named("csr", 2), named("csc", 2)) and max(sizes) <= _MOST_BUCKETS * count
    )


def rows_of(
    columns: Sequence[NDArray[Any]],
    values: NDArray[Any],
    sizes: Sequence[int],
    index: DType,
    threads: int,
) -> Rows:
    """The entries by row, in each by column, and equal ones in the order in which they came.

    ``columns``: rows and columns of the entries, in range of ``sizes``, contiguous and of one type.
    """
    outer, inner = columns
    count, buckets = len(values), sizes[1]
    pieces = pieces_of(count, max(sizes), threads)
    kind, bits = index.numpy(), BITS[values.itemsize]
    with Scratch() as scratch:
        counts, starts = scratch.array(pieces * buckets, kind), scratch.array(buckets + 1, kind)
        rows, out = scratch.array(count, kind), scratch.array(count, bits.numpy())
        arrays = (outer, inner, values.view(bits.numpy()), counts, starts, rows, out)
        kernel = _kernel(DType.of(outer.dtype), index, bits)
        kernel.launch(pieces, buckets, count, *arrays, threads=pieces)
        begins, found, kept = moved((starts, rows, out), (buckets, sizes[0], count), index, bits, pieces)
    return begins, found, kept.view(values.dtype)


def is_unique(pos: NDArray[Any], crd: NDArray[Any]) -> bool:
    """Whether no coordinate stands twice in a fiber of sorted ones."""
    same = np.flatnonzero(crd[1:] == crd[:-1]) + 1
    if not len(same):
        return True
    # Equal neighbours are two entries of one place unless a fiber begins between them.
    return bool((pos[np.searchsorted(pos, same.astype(pos.dtype))] == same).all())


@cache
def _kernel(source: DType, index: DType, bits: DType) -> native.Compiled:
    return native.compile(by_column_module(source, index, bits))


def by_column_module(source: DType, index: DType, bits: DType) -> Module:
    """``by_column(chunks, buckets, count, rows, columns, values, counts, starts, out_rows, out_values)``: a
    bucket per column, ``count`` entries."""
    rows, columns = (Buf(name, BufferType(source, const=True)) for name in ("rows", "columns"))
    values, out_values = Buf("values", BufferType(bits, const=True)), Buf("out_values", BufferType(bits))
    counts = counts_of(index)
    starts, out_rows = Buf("starts", BufferType(index)), Buf("out_rows", BufferType(index))
    code = Code()
    code.add(Alloc(sum_of(index), 1))
    with each_part(code, COUNT) as (chunk, begin, end):
        whole = (i64(0), i64(-1))
        code.add(Call("histogram", (begin, end, chunk * BUCKETS, BUCKETS, *whole, columns, counts)))
    call_places(code, counts, COUNT, starts)
    moving = (rows, columns, values, counts, out_rows, out_values)
    with each_part(code, COUNT) as (chunk, begin, end):
        code.add(Call("to_columns", (begin, end, chunk * BUCKETS, *moving)))
    entry = Function("by_column", (CHUNKS, BUCKETS, COUNT, *moving[:4], starts, *moving[4:]), code.done())
    steps = (histogram(columns, counts), total(counts), places(counts, starts), to_columns(*moving))
    return Module("by_column", (*steps, entry))


def to_columns(rows: Buf, columns: Buf, values: Buf, counts: Buf, out_rows: Buf, out_values: Buf) -> Function:
    """``to_columns(begin, end, at, rows, columns, values, counts, out_rows, out_values)``: one piece."""
    code = Code()

    def entries(*, far: bool) -> None:
        with code.for_(BEGIN, END, "p") as p:
            if far:
                ask_ahead(code, (out_rows, out_values), counts, columns, p)
            place = code.let(add_one(code, counts, AT + widened(Load(columns, p))), "place")
            code.store(out_rows, place, narrowed(Load(rows, p), out_rows.type.dtype))
            code.store(out_values, place, Load(values, p))

    near_or_far(code, entries)
    params = (BEGIN, END, AT, rows, columns, values, counts, out_rows, out_values)
    return Function("to_columns", params, code.done())
