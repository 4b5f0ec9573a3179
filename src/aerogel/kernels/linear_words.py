"""A linear layer of integers whose outputs are stored as 8-bit integers on a fixed grid, for the next one.

A group of 32 rows and a tile of columns is computed as in ``linear``, but into a scratch that stays in the L1
cache; there it gets its activation and is rounded, and what leaves is a quarter of the bytes. Words, scales
and zero points are those that ``quantise`` with the same fixed range makes of y, but for one thing: a column
is spoilt (its scale is NaN) not by what is in y, which no thread sees whole, but where its inputs are, or
where they are so large that y might not be finite.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.formats.panel import GROUP, Kind
from aerogel.kernels.approx import Lets, Names, activation
from aerogel.kernels.layout import Layout, index, zero
from aerogel.kernels.linear import (
    CHUNK,
    GROUPS,
    INDICES,
    RUNS,
    STARTS,
    VECTORS,
    WORK,
    by_width,
    over_groups,
)
from aerogel.kernels.pack import share, splat
from aerogel.kernels.quantise import HIGH, LOW, WORD, WORDS, Grid, joined
from aerogel.kernels.tile import (
    ADDS,
    BIAS,
    BLOCK,
    COLUMNS,
    RESIDUAL,
    ROWS,
    X_SCALES,
    Y_BASE,
    IntegerTile,
    Y,
    buffer,
    var,
)
from aerogel.loop.nodes import (
    F32,
    Alloc,
    Assign,
    Binary,
    Block,
    Broadcast,
    Buf,
    Call,
    Const,
    Expr,
    For,
    Function,
    If,
    Let,
    Param,
    Select,
    Unary,
    Var,
    Vec,
    VLoad,
    VStore,
)

Y_SCALES, Y_ZEROS = buffer("y_scales", DType.F32, const=False), buffer("y_zeros", DType.I32, const=False)
MADE = (WORDS, Y_SCALES, Y_ZEROS)
MOST = Var("most", F32)
_LARGEST = 3e38


def params(layout: Layout) -> tuple[Param, ...]:
    """values, indices, runs, starts, work, bias, x, what an integer layer adds, words, their scales and zero
    points, numbers, and the range."""
    tile = IntegerTile(layout, layout.width)
    buffers = (tile.values, INDICES, RUNS, STARTS, WORK, BIAS, tile.x_buffer, *tile.extra, *MADE)
    return (*buffers, ROWS, COLUMNS, BLOCK, GROUPS, CHUNK, VECTORS, LOW, HIGH, MOST)


def most(inputs: int, scales: NDArray[np.float32], bias: NDArray[np.float32]) -> float:
    """The scale of a column's inputs below which every output is finite, whatever the inputs are: a sum is at
    most inputs x 255 x 127."""
    largest = max(1.0, float(scales.max(initial=0.0)))
    return max(0.0, _LARGEST - float(np.abs(bias).max(initial=0.0))) / (inputs * 255 * 127 * largest)


def step(layout: Layout, kind: Kind, fn: str | None = None) -> Function:
    """What every thread runs for one layer; the kernels of ``kind`` and ``finish(layout, fn)`` are in the
    module too. Columns whose ``x_scales`` are not below ``most`` are spoilt."""
    lanes = layout.lanes
    stride, row = var("w") * lanes, var("row_lo")
    scratch_base = Unary("neg", var("g")) * stride * GROUP
    here: dict[Param, Expr | Buf] = {Y_BASE: scratch_base, ADDS: zero(), RESIDUAL: BIAS}
    words = (ROWS + (WORD - 1)) // WORD
    at = words * var("tile_first") * lanes + var("g") * (GROUP // WORD) * stride
    group: Block = (
        *by_width(IntegerTile(layout, layout.width), kind, here),
        Let(row, var("g") * GROUP),
        Let(var("left"), Select(row + GROUP < ROWS, index(GROUP), ROWS - row)),
        Call(_finish_name(fn), (Y, WORDS, at, var("left"), stride, LOW, HIGH)),
    )
    body = (Alloc(Y, GROUP * layout.width * lanes), *_columns(layout), *over_groups(layout, group))
    return Function(f"{kind}8_words" + ("" if fn is None else f"_{fn}"), params(layout), body)


def _columns(layout: Layout) -> Block:
    """The scale and zero point of this thread's share of columns."""
    lanes, names = layout.lanes, Names()
    body, each = Lets(names), Lets(names)
    vector = Var("vector", VECTORS.type)
    begin, end = share(VECTORS, body)
    grid = _grid(lanes, body)
    below = each.let(VLoad(X_SCALES, vector * lanes, lanes) < Broadcast(MOST, lanes), "below")
    excess = Select(below, splat(0.0, lanes), splat(math.inf, lanes))
    told = grid.scale + excess * splat(0.0, lanes)
    each.add(VStore(Y_SCALES, vector * lanes, told), VStore(Y_ZEROS, vector * lanes, grid.zero))
    body.add(For(vector, begin, end, each.block()))
    return body.block()


def finish(layout: Layout, fn: str | None) -> Function:
    """``finish_words_FN(y, words, at, rows, stride, low, high)``: ``fn`` of all y [rows, stride], then
    words [ceil(rows / 4), stride] from ``at`` on; a missing row of the last word is 0."""
    lanes, names = layout.lanes, Names()
    rows, stride, at = var("rows"), var("stride"), var("at")
    body = Lets(names)
    grid = _grid(lanes, body)
    whole = body.let(rows // WORD, "whole")
    word, column = Var(names.fresh("word"), rows.type), Var(names.fresh("column"), rows.type)

    def number(row: Expr, lets: Lets) -> Expr:
        value: Expr = lets.let(VLoad(Y, row * stride + column, lanes), "value")
        if fn is not None:
            statements, value = activation(fn, value, names)
            lets.add(*statements)
        return grid.number(value, lets)

    each, last = Lets(names), Lets(names)
    parts = [number(word * WORD + j, each) for j in range(WORD)]
    each.add(VStore(WORDS, at + word * stride + column, joined(parts, each)))
    found = last.define(Const(0, Vec(DType.I32, lanes)), "rest")
    for j in range(WORD - 1):
        inside = Lets(names)
        inside.add(Assign(found, Binary("or", found, number(whole * WORD + j, inside) << (8 * j))))
        last.add(If(whole * WORD + j < rows, inside.block()))
    last.add(VStore(WORDS, at + whole * stride + column, found))

    def columns(block: Block) -> For:
        return For(column, zero(), stride, block, step=lanes)

    body.add(
        For(word, zero(), whole, (columns(each.block()),)),
        If(whole * WORD < rows, (columns(last.block()),)),
    )
    return Function(_finish_name(fn), (Y, WORDS, at, rows, stride, LOW, HIGH), body.block())


def _finish_name(fn: str | None) -> str:
    return "finish_words" + ("" if fn is None else f"_{fn}")


def _grid(lanes: int, out: Lets) -> Grid:
    return Grid.of(Broadcast(LOW, lanes), Broadcast(HIGH, lanes), out)
