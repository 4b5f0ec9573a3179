"""A listing to CSR or CSC in one launch: of few entries, the calls cost more than the work.

What ``pack`` does in several steps, by the same parts: coordinates are copied, and the copies are looked
over, so that nothing a caller does meanwhile can lead out of a buffer; then two counting passes, or one for
entries that are in order; then a look for coordinates that stand twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel import native
from aerogel.convert.assemble import Wanted
from aerogel.convert.bits import BITS
from aerogel.convert.buckets import suits, to_columns
from aerogel.convert.chunks import WORTH_WAKING
from aerogel.convert.counting import BUCKETS, counts_of, histogram, narrowed, places, widened
from aerogel.convert.survey import LANES, look
from aerogel.convert.transpose import COUNT, ROWS, to_rows
from aerogel.core.dtypes import DType
from aerogel.core.memory import CACHE_LINE, address_of
from aerogel.core.scratch import Scratch
from aerogel.formats.storage import Storage
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import (
    BOOL,
    I64,
    Binary,
    Buf,
    BufferType,
    Call,
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
    Vec,
    VLoad,
)

_RANK = 2
_COORDINATES = (np.dtype(np.int32), np.dtype(np.int64))
# What ``look`` leaves of two columns: the least, the most, whether they fall from the first on.
_LEAST, _MOST, _FALLS = 0, _RANK, 2 * _RANK
# Behind it: whether a coordinate was lost in the copy, and whether all is well.
_LOST, _SOUND = 3 * _RANK + 1, 3 * _RANK + 2
_FOUND = BufferType(DType.I64)


def fits(columns: Sequence[NDArray[Any]], values: NDArray[Any], wanted: Wanted) -> bool:
    """Whether ``rows_at_once`` takes them: few entries, for which CSR or CSC is made by counting."""
    first, *_ = columns or (values,)
    return (
        0 < len(values) < WORTH_WAKING
        and len(columns) == _RANK
        and first.dtype in _COORDINATES
        and all(c.dtype == first.dtype and c.shape == values.shape for c in columns)
        and all(array.flags.c_contiguous and array.flags.aligned for array in (*columns, values))
        and min(wanted.shape) >= 0
        and suits(wanted.format, wanted.shape, len(values))
    )


def rows_at_once(columns: Sequence[NDArray[Any]], values: NDArray[Any], wanted: Wanted) -> Storage | None:
    """The storage of entries that ``fits`` takes; ``columns``: by mode, may change meanwhile. None where a
    coordinate is out of range or stands twice: ``pack`` says or does what is due."""
    outer, inner = columns if wanted.format.straight else columns[::-1]
    rows, buckets = wanted.shape if wanted.format.straight else wanted.shape[::-1]
    count, kind, bits = len(values), wanted.index.numpy(), BITS[values.itemsize]
    pos, crd, out = np.empty(rows + 1, kind), np.empty(count, kind), np.empty(count, values.dtype)
    # outer, inner, counts, starts, and rows by column; behind them the values by column, and what was found.
    lengths = (count, count, max(rows, buckets), buckets + 1, count)
    sizes = [length * kind.itemsize for length in lengths] + [count * values.itemsize, (_SOUND + 1) * 8]
    with Scratch() as scratch:
        room = scratch.array(sum(sizes) + CACHE_LINE * len(sizes), np.uint8)
        at = -(-address_of(room) // CACHE_LINE) * CACHE_LINE
        parts: list[int] = []
        for size in sizes:
            parts.append(at)
            at += -(-size // CACHE_LINE) * CACHE_LINE
        kernel = _kernel(DType.of(outer.dtype), wanted.index, bits)
        kernel.launch(rows, buckets, count, outer, inner, values, *parts, pos, crd, out)
        begin = parts[-1] - address_of(room)
        sound = room[begin : begin + sizes[-1]].view(np.int64)[_SOUND]
    if not sound:
        return None
    return Storage(wanted.format, wanted.shape, ((), (pos, crd)), out, wanted.fill, wanted.index)


@cache
def _kernel(source: DType, index: DType, bits: DType) -> native.Compiled:
    return native.compile(rows_at_once_module(source, index, bits))


def rows_at_once_module(source: DType, index: DType, bits: DType) -> Module:
    """``rows_at_once(rows, buckets, count, outer, inner, values, own_outer, own_inner, counts, starts,
    out_rows, by_column, found, pos, crd, out_values)``, on one thread; a bucket per column."""
    given = [Buf(name, BufferType(source, const=True)) for name in ("outer", "inner")]
    own = [Buf(name, BufferType(index)) for name in ("own_outer", "own_inner")]
    values, found = Buf("values", BufferType(bits, const=True)), Buf("found", _FOUND)
    counts, starts, rows = (
        counts_of(index),
        Buf("starts", BufferType(index)),
        Buf("out_rows", BufferType(index)),
    )
    by_column, out = Buf("by_column", BufferType(bits)), Buf("out_values", BufferType(bits))
    pos, crd = Buf("pos", BufferType(index)), Buf("crd", BufferType(index))
    code = Code()
    code.store(found, i64(_LOST), i64(0))
    code.store(found, i64(_SOUND), i64(0))
    for theirs, ours in zip(given, own, strict=True):
        code.add(Call("take", (COUNT, theirs, ours, found)))
    code.add(Call("look", (i64(0), COUNT, i64(0), *own, found)))
    with code.if_(_in_range(code, found)):
        falls = code.let(Compare("ne", Load(found, i64(_FALLS)), i64(0)), "falls")
        with code.block() as sort:
            _count(code, own[1], BUCKETS, counts, starts)
            arrays = (*own, values, counts, rows, by_column)
            code.add(Call("to_columns", (i64(0), COUNT, i64(0), *arrays)))
            _count(code, own[0], ROWS, counts, pos)
            arrays = (starts, rows, by_column, counts, crd, out)
            code.add(Call("to_rows", (i64(0), COUNT, i64(0), BUCKETS, *arrays)))
        with code.block() as keep:
            _count(code, own[0], ROWS, counts, pos)
            code.add(Call("keep", (COUNT, own[1], values, crd, out)))
        code.branch(falls, tuple(sort), tuple(keep))
        code.add(Call("judge", (ROWS, pos, crd, found)))
    params = (
        ROWS,
        BUCKETS,
        COUNT,
        *given,
        values,
        *own,
        counts,
        starts,
        rows,
        by_column,
        found,
        pos,
        crd,
        out,
    )
    entry = Function("rows_at_once", params, code.done())
    steps = (
        _take(given[0], own[0], found),
        look(own, found),
        histogram(own[0], counts),
        places(counts, starts),
        to_columns(own[0], own[1], values, counts, rows, by_column),
        to_rows(starts, rows, by_column, counts, crd, out),
        _keep(own[1], values, crd, out),
        _judge(pos, crd, found),
    )
    return Module("rows_at_once", (*steps, entry))


def _in_range(code: Code, found: Buf) -> Expr:
    """Whether no coordinate was lost, and all are from 0 on and below ``rows`` and ``buckets``."""
    fine: Expr = Compare("eq", Load(found, i64(_LOST)), i64(0))
    for k, size in enumerate((ROWS, BUCKETS)):
        fine = fine & Compare("ge", Load(found, i64(_LEAST + k)), i64(0))
        fine = fine & (Load(found, i64(_MOST + k)) < size)
    return code.let(fine, "fine")


def _count(code: Code, key: Buf, buckets: Expr, counts: Buf, starts: Buf) -> None:
    """``counts``: where each bucket of ``key`` begins; ``starts``: too, and where the last one ends."""
    zero = Const(0, Scalar(counts.type.dtype))
    code.add(Call("histogram", (i64(0), COUNT, i64(0), buckets, i64(0), i64(-1), key, counts)))
    code.add(Call("places", (i64(0), buckets, buckets, i64(1), zero, counts, starts)))
    code.store(starts, buckets, narrowed(COUNT, starts.type.dtype))


def _take(given: Buf, own: Buf, found: Buf) -> Function:
    """``take(count, given, own, found)``: a copy in the type of ``own``, and whether it can hold all."""
    source, index = given.type.dtype, own.type.dtype
    code = Code()
    middle = code.let(COUNT / LANES * LANES, "middle")
    wide = code.define(Const(value=False, type=Vec(DType.BOOL, LANES)), "wide")
    narrow = code.define(Const(value=False, type=BOOL), "narrow")
    with code.for_(i64(0), middle, "i", LANES) as i:
        here = code.let(VLoad(given, i, LANES), "here")
        kept = here if source is index else code.let(Cast(here, Vec(index, LANES)), "kept")
        code.store(own, i, kept)
        if source is not index:
            code.assign(wide, Binary("or", wide, Compare("ne", Cast(kept, Vec(source, LANES)), here)))
    with code.for_(middle, COUNT, "i") as i:
        here = code.let(Load(given, i), "here")
        kept = narrowed(here, index)
        code.store(own, i, kept)
        if source is not index:
            code.assign(narrow, Binary("or", narrow, Compare("ne", narrowed(kept, source), here)))
    lost = Cast(Binary("or", Reduce("or", wide), narrow), I64)
    code.store(found, i64(_LOST), Binary("or", Load(found, i64(_LOST)), lost))
    return Function("take", (COUNT, given, own, found), code.done())


def _keep(columns: Buf, values: Buf, crd: Buf, out: Buf) -> Function:
    """``keep(count, columns, values, crd, out_values)``: copies of what is in order."""
    code = Code()
    middle = code.let(COUNT / LANES * LANES, "middle")
    for given, own in ((columns, crd), (values, out)):
        with code.for_(i64(0), middle, "i", LANES) as i:
            code.store(own, i, VLoad(given, i, LANES))
        with code.for_(middle, COUNT, "i") as i:
            code.store(own, i, Load(given, i))
    return Function("keep", (COUNT, columns, values, crd, out), code.done())


def _judge(pos: Buf, crd: Buf, found: Buf) -> Function:
    """``judge(rows, pos, crd, found)``: all is well unless a coordinate stands twice in a row."""
    code = Code()
    twice = code.define(Const(value=False, type=BOOL), "twice")
    with code.for_(i64(0), ROWS, "row") as row:
        begin, end = widened(Load(pos, row)), widened(Load(pos, row + 1))
        with code.for_(code.let(begin + 1, "begin"), code.let(end, "end"), "p") as p:
            code.assign(twice, Binary("or", twice, Compare("eq", Load(crd, p), Load(crd, p - 1))))
    code.store(found, i64(_SOUND), Select(twice, i64(0), i64(1)))
    return Function("judge", (ROWS, pos, crd, found), code.done())
