"""Sorting by coordinates: stable counting passes, least significant digit first.

A pass counts, piece by piece of the entries, how often each digit stands there; sums these counts to places;
and moves every entry to its place. Equal entries keep their order, so what is folded later is folded in the
order in which it came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from numpy.typing import NDArray

from aerogel import native
from aerogel.convert.chunks import CHUNKS, CUTS, each_piece, even_cuts
from aerogel.convert.counting import (
    AT,
    BEGIN,
    BUCKETS,
    END,
    MASK,
    SHIFT,
    add_one,
    call_places,
    counts_of,
    digit,
    histogram,
    narrowed,
    places,
    places_of,
)
from aerogel.convert.scratch import Scratch
from aerogel.core.dtypes import DType
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import Buf, BufferType, Call, Function, Load, Module

# One pass as long as its counters stay in the cache of a core and are not many more than the entries;
# else digits of so many bits each.
MOST_BITS = 17
SPLIT_BITS = 11
BITS = {1: DType.U8, 4: DType.I32, 8: DType.I64}
"""What moves a value of so many bytes as it is."""


@dataclass(frozen=True, slots=True)
class Pass:
    """``column >> shift`` cut to ``bits`` is below ``buckets``."""

    shift: int
    bits: int
    buckets: int


def sort(
    columns: Sequence[NDArray[Any]],
    values: NDArray[Any],
    most: Sequence[int],
    index: DType,
    threads: int,
    scratch: Scratch,
) -> tuple[list[NDArray[Any]], NDArray[Any]]:
    """Columns and values in the order of the first ``len(most)`` columns, the first counting most.

    ``most``: their greatest coordinates; none is negative. What comes out is ``scratch``'s, columns of type
    ``index``; or what came in, where all is in order.
    """
    count = len(values)
    given = (*columns, values.view(BITS[values.itemsize].numpy()))
    moved, spare = given, None
    for level in reversed(range(len(most))):
        for one in passes(most[level], count):
            if spare is None:
                spare = tuple(
                    scratch.array(count, index.numpy() if k < len(columns) else array.dtype)
                    for k, array in enumerate(given)
                )
            _run(one, moved[level], moved, spare, index, threads, scratch)
            # What the caller gave is read once and never written.
            moved, spare = spare, None if moved is given else moved
    *sorted_columns, bits = moved
    return sorted_columns, bits.view(values.dtype)


def passes(most: int, count: int) -> Iterator[Pass]:
    """The passes that sort ``count`` numbers of 0 .. most; none where all are 0."""
    bits = most.bit_length()
    once = max(SPLIT_BITS, min(MOST_BITS, (2 * count).bit_length()))
    left = min(bits, 1) if bits <= once else -(-bits // SPLIT_BITS)
    shift = 0
    while left:
        width = -(-(bits - shift) // left)
        yield Pass(shift, width, min(1 << width, (most >> shift) + 1))
        shift, left = shift + width, left - 1


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
    counts, there = (scratch.array(threads * one.buckets, index.numpy()) for _ in range(2))
    cuts, mask = even_cuts(len(bits), threads), (1 << one.bits) - 1
    kernel(threads, one.buckets, one.shift, mask, cuts, key, counts, there, *arrays, *out, threads=threads)


@cache
def _kernel(rank: int, source: DType, index: DType, bits: DType) -> native.Compiled:
    return native.compile(sort_module(rank, source, index, bits))


def sort_module(rank: int, source: DType, index: DType, bits: DType) -> Module:
    """``sort_pass(chunks, buckets, shift, mask, cuts, key, counts, places, in0 ..., out0 ...)``: one pass.

    The last ``in`` and ``out`` are the values. ``counts`` and ``places``: room for [pieces, buckets].
    """
    key, counts, there = Buf("key", BufferType(source, const=True)), counts_of(index), places_of(index)
    into = [Buf(f"in{k}", BufferType(source if k < rank else bits, const=True)) for k in range(rank + 1)]
    out = [Buf(f"out{k}", BufferType(index if k < rank else bits)) for k in range(rank + 1)]
    code = Code()
    with each_piece(code) as (chunk, begin, end):
        code.add(Call("histogram", (begin, end, chunk * BUCKETS, BUCKETS, SHIFT, MASK, key, counts)))
    call_places(code, counts, there, i64(0))
    with each_piece(code) as (chunk, begin, end):
        code.add(Call("move", (begin, end, chunk * BUCKETS, SHIFT, MASK, key, there, *into, *out)))
    params = (CHUNKS, BUCKETS, SHIFT, MASK, CUTS, key, counts, there, *into, *out)
    entry = Function("sort_pass", params, code.done())
    move = _move(key, there, into, out)
    return Module("sort_pass", (histogram(key, counts), places(counts, there), move, entry))


def _move(key: Buf, there: Buf, into: Sequence[Buf], out: Sequence[Buf]) -> Function:
    """``move(begin, end, at, shift, mask, key, places, in0 ..., out0 ...)``: one piece to its places."""
    code = Code()
    with code.for_(BEGIN, END) as i:
        place = code.let(add_one(code, there, AT + digit(key, i)), "place")
        for source, target in zip(into, out, strict=True):
            code.store(target, place, narrowed(Load(source, i), target.type.dtype))
    return Function("move", (BEGIN, END, AT, SHIFT, MASK, key, there, *into, *out), code.done())
