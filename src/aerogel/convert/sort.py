"""Sorting entries by their coordinates, as words where these suffice."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from aerogel import native
from aerogel.convert.chunks import CHUNKS, CUTS, each_piece, even_cuts
from aerogel.convert.counting import widened
from aerogel.convert.digits import passes
from aerogel.convert.entries import Columns, Entries, Layout, Words
from aerogel.convert.sort_columns import sort_columns, sort_module
from aerogel.core.dtypes import DType
from aerogel.core.scratch import Scratch
from aerogel.loop.build import Code
from aerogel.loop.nodes import I64, Buf, BufferType, Expr, Function, Load, Module, Var


def sort(
    given: Columns, most: Sequence[int], sorted_from: int, index: DType, threads: int, scratch: Scratch
) -> Entries:
    """Entries in the order of their columns, of which those from ``sorted_from`` on are in order already.

    ``most``: the greatest coordinate of each; none is negative. Equal entries keep their order. What comes
    out is ``scratch``'s, columns of type ``index``.
    """
    columns, count = given.columns, len(given.values)
    layout = Layout.of(most, count)
    if not layout.fits:
        return sort_columns(given, most[:sorted_from], index, threads, scratch)
    words, spare = (scratch.array(count, np.int64) for _ in range(2))
    cuts = even_cuts(count, threads)
    kernel = _words_kernel(len(columns), DType.of(columns[0].dtype))
    kernel(threads, cuts, *layout.shifts, *columns, words, threads=threads)
    for one in passes(layout.most, count, layout.shifts[sorted_from - 1]):
        counts = scratch.array(threads * one.buckets, index.numpy())
        scalars = (threads, one.buckets, one.shift, one.mask)
        _pass_kernel(index)(*scalars, cuts, words, counts, words, spare, threads=threads)
        words, spare = spare, words
    return Words(words, given.values, layout)


@cache
def _words_kernel(rank: int, source: DType) -> native.Compiled:
    return native.compile(words_module(rank, source))


@cache
def _pass_kernel(index: DType) -> native.Compiled:
    return native.compile(sort_module(0, DType.I64, index, DType.I64))


def words_module(rank: int, source: DType) -> Module:
    """``words(chunks, cuts, shift0 ..., column0 ..., words)``: word i is i, and each column shifted."""
    shifts = [Var(f"shift{k}", I64) for k in range(rank)]
    columns = [Buf(f"column{k}", BufferType(source, const=True)) for k in range(rank)]
    words = Buf("words", BufferType(DType.I64))
    code = Code()
    with each_piece(code) as (_, begin, end), code.for_(begin, end) as i:
        word: Expr = i
        for column, shift in zip(columns, shifts, strict=True):
            word = word | (widened(Load(column, i)) << shift)
        code.store(words, i, word)
    return Module("words", (Function("words", (CHUNKS, CUTS, *shifts, *columns, words), code.done()),))
