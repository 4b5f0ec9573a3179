"""Sorting columns and values side by side: stable counting passes, least significant digit first.

A pass counts, piece by piece of the entries, how often each digit stands there; sums these counts to places;
and moves every entry to its place. Equal entries keep their order, so what is folded later is folded in the
order in which it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from numpy.typing import NDArray

from aerogel import native
from aerogel.convert.bits import bits_of
from aerogel.convert.chunks import CHUNKS, CUTS, each_piece, even_cuts
from aerogel.convert.counting import (
    AHEAD,
    AT,
    BEGIN,
    BUCKETS,
    END,
    MASK,
    SHIFT,
    add_one,
    ask_for,
    call_places,
    counts_of,
    digit,
    histogram,
    narrowed,
    places,
    sum_of,
    total,
)
from aerogel.convert.digits import Pass, passes
from aerogel.convert.entries import Columns
from aerogel.core.dtypes import DType
from aerogel.core.scratch import Scratch
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import Alloc, Binary, Buf, BufferType, Call, Function, Load, Module


def sort_columns(
    given: Columns, most: Sequence[int], index: DType, threads: int, scratch: Scratch
) -> Columns:
    """Entries in the order of the first ``len(most)`` columns, the first counting most.

    ``most``: their greatest coordinates, none negative, some above 0. Equal entries keep their order. What
    comes out is ``scratch``'s, columns of type ``index``.
    """
    count, rank = len(given.values), len(given.columns)
    # What came in is read once and never written.
    arrays: tuple[NDArray[Any], ...] = (*given.columns, bits_of(given.values)[0])
    free: list[tuple[NDArray[Any], ...]] = []
    for level in reversed(range(len(most))):
        for one in passes(most[level], count):
            kinds = [index.numpy()] * rank + [arrays[-1].dtype]
            out = free.pop() if free else tuple(scratch.array(count, kind) for kind in kinds)
            _run(one, arrays[level], arrays, out, index, threads, scratch)
            if arrays[0] is not given.columns[0]:
                free.append(arrays)
            arrays = out
    return Columns(arrays[:-1], arrays[-1].view(given.values.dtype))


def _run(
    one: Pass,
    key: NDArray[Any],
    arrays: Sequence[NDArray[Any]],
    out: Sequence[NDArray[Any]],
    index: DType,
    threads: int,
    scratch: Scratch,
) -> None:
    *columns, bits = arrays
    kernel = _kernel(len(columns), DType.of(key.dtype), index, DType.of(bits.dtype))
    counts = scratch.array(threads * one.buckets, index.numpy())
    cuts = even_cuts(len(bits), threads)
    kernel(threads, one.buckets, one.shift, one.mask, cuts, key, counts, *arrays, *out, threads=threads)


@cache
def _kernel(rank: int, source: DType, index: DType, bits: DType) -> native.Compiled:
    return native.compile(sort_module(rank, source, index, bits))


def sort_module(rank: int, source: DType, index: DType, bits: DType) -> Module:
    """``sort_pass(chunks, buckets, shift, mask, cuts, key, counts, in0 ..., out0 ...)``: one pass.

    The last ``in`` and ``out`` are the values. ``counts``: room for [pieces, buckets].
    """
    key, counts = Buf("key", BufferType(source, const=True)), counts_of(index)
    into = [Buf(f"in{k}", BufferType(source if k < rank else bits, const=True)) for k in range(rank + 1)]
    out = [Buf(f"out{k}", BufferType(index if k < rank else bits)) for k in range(rank + 1)]
    code = Code()
    code.add(Alloc(sum_of(index), 1))
    with each_piece(code) as (chunk, begin, end):
        code.add(Call("histogram", (begin, end, chunk * BUCKETS, BUCKETS, SHIFT, MASK, key, counts)))
    call_places(code, counts, i64(0))
    with each_piece(code) as (chunk, begin, end):
        code.add(Call("move", (begin, end, chunk * BUCKETS, SHIFT, MASK, key, counts, *into, *out)))
    params = (CHUNKS, BUCKETS, SHIFT, MASK, CUTS, key, counts, *into, *out)
    entry = Function("sort_pass", params, code.done())
    steps = (histogram(key, counts), total(counts), places(counts), _move(key, counts, into, out))
    return Module("sort_pass", (*steps, entry))


def _move(key: Buf, counts: Buf, into: Sequence[Buf], out: Sequence[Buf]) -> Function:
    """``move(begin, end, at, shift, mask, key, counts, in0 ..., out0 ...)``: one piece to its places."""
    code = Code()
    with code.for_(BEGIN, END) as i:
        ahead = code.let(Binary("min", i + AHEAD, END - 1), "ahead")
        ask_for(code, out, Load(counts, AT + digit(key, ahead)))
        place = code.let(add_one(code, counts, AT + digit(key, i)), "place")
        for source, target in zip(into, out, strict=True):
            code.store(target, place, narrowed(Load(source, i), target.type.dtype))
    return Function("move", (BEGIN, END, AT, SHIFT, MASK, key, counts, *into, *out), code.done())
