"""Activations as 8-bit integers with a scale and a zero point per column, for products of integers.

    x = scale (q - zero),   scale = (max - min) / 255,   q and zero in 0 .. 255

over the features of a column, ``min`` and ``max`` reaching at least to 0, so that 0 is met exactly and no
element is off by more than half a scale. Four consecutive features of a column make one 32-bit word, the
first one lowest: what the 4-way dot product takes. Words lie as a tiled activation of ceil(features / 4)
features does (see ``layout``); a missing feature of the last word holds 0, and must meet a weight of 0.

The range is found as columns come, or *fixed* beforehand: then what lies beyond it becomes its nearer end.
NaN or an infinity in a column makes its scale NaN, and so every sum over that column; no other column is
touched. Columns that pad the last vector are quantised like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.core.dtypes import DType
from aerogel.formats.packed import WORD
from aerogel.kernels.approx import Lets, Names, maximum, minimum
from aerogel.kernels.layout import Layout, zero
from aerogel.kernels.pack import COLUMNS, FEATURES, source, splat
from aerogel.kernels.runs import Run, over_runs
from aerogel.loop.nodes import (
    F32,
    Assign,
    Binary,
    Block,
    Broadcast,
    Buf,
    BufferType,
    Cast,
    Const,
    Expr,
    For,
    Function,
    If,
    Var,
    Vec,
    VStore,
)

# A smaller scale has no inverse that float32 can hold with room to spare.
LEAST_SCALE = 1e-36

WORDS = Buf("words", BufferType(DType.I32, align=4))
SCALES = Buf("scales", BufferType(DType.F32, align=4))
ZEROS = Buf("zeros", BufferType(DType.I32, align=4))
LOW, HIGH = Var("low", F32), Var("high", F32)
BOUNDS = (LOW, HIGH)


def quantise(layout: Layout, *, fixed: bool = False) -> Function:
    """``quantise(x, words, scales, zeros, features, columns)``; where ``fixed``, ``quantise_fixed(x, words,
    scales, zeros, low, high, features, columns)``.

    ``x``: tiled f32 [features, columns]; ``words``: tiled i32 [ceil(features / 4), columns]; ``scales`` f32
    and ``zeros`` i32 for every column, those that pad the last vector too. ``low`` <= 0 <= ``high``: what all
    columns are taken to reach; what lies beyond becomes the nearer of them.
    """
    x = source("x")
    names = Names()

    def run(vectors: Run) -> Block:
        body = Lets(names)
        reaches = begin(vectors, body, fixed=fixed)
        if not fixed:
            row, each = Var(names.fresh("row"), FEATURES.type), Lets(names)
            for vector, reach in enumerate(reaches):
                reach.see(each.let(vectors.load(x, row, vector), "value"), each)
            body.add(For(row, zero(), FEATURES, each.block()))
        write(vectors, x, reaches, body, watch=fixed)
        return body.block()

    bounds = BOUNDS if fixed else ()
    params = (x, WORDS, SCALES, ZEROS, *bounds, FEATURES, COLUMNS)
    return Function("quantise_fixed" if fixed else "quantise", params, over_runs(layout, names, run))


@dataclass(frozen=True, slots=True)
class Reach:
    """What a vector of columns reaches: ``low`` <= 0 <= ``high``, ``nan``: 0, or NaN if not all of it is
    finite. Low and high are variables where they are being found, else given."""

    low: Expr
    high: Expr
    nan: Var

    def see(self, value: Expr, out: Lets) -> None:
        """Takes in a row."""
        if isinstance(self.low, Var) and isinstance(self.high, Var):
            out.add(Assign(self.low, minimum(value, self.low)), Assign(self.high, maximum(value, self.high)))
        out.add(Assign(self.nan, self.nan + value * splat(0.0, _lanes(value))))


def begin(vectors: Run, out: Lets, *, fixed: bool) -> list[Reach]:
    """Per vector, a reach that has seen nothing yet; where ``fixed``, one from LOW to HIGH."""
    lanes = vectors.layout.lanes
    nothing = splat(0.0, lanes)
    if fixed:
        low, high = Broadcast(LOW, lanes), Broadcast(HIGH, lanes)
        return [Reach(low, high, out.define(nothing, "nan")) for _ in range(vectors.count)]
    found = [[out.define(nothing, name) for name in ("low", "high", "nan")] for _ in range(vectors.count)]
    return [Reach(low, high, nan) for low, high, nan in found]


def write(vectors: Run, x: Buf, reaches: list[Reach], out: Lets, *, watch: bool = False) -> None:
    """Words, scales and zero points of columns of x. ``watch``: the reaches have yet to see its rows."""
    layout = vectors.layout
    words = out.let((FEATURES + (WORD - 1)) // WORD, "count")
    made = vectors.beside(words, out)
    grids = [Grid.of(reach.low, reach.high, out) for reach in reaches]
    whole = out.let(FEATURES // WORD, "whole")
    word = Var(out.names.fresh("word"), FEATURES.type)
    each, last = Lets(out.names), Lets(out.names)

    def number(vector: int, row: Expr, lets: Lets) -> Expr:
        value = vectors.load(x, row, vector)
        if watch:
            value = lets.let(value, "value")
            reaches[vector].see(value, lets)
        return grids[vector].number(value, lets)

    for vector in range(vectors.count):
        parts = [number(vector, word * WORD + j, each) for j in range(WORD)]
        each.add(VStore(WORDS, made.at(word, vector), joined(parts, each)))
        found = last.define(Const(0, Vec(DType.I32, layout.lanes)), "rest")
        for j in range(WORD - 1):
            inside = Lets(out.names)
            inside.add(
                Assign(found, Binary("or", found, number(vector, whole * WORD + j, inside) << (8 * j)))
            )
            last.add(If(whole * WORD + j < FEATURES, inside.block()))
        last.add(VStore(WORDS, made.at(whole, vector), found))
    out.add(For(word, zero(), whole, each.block()), If(whole < words, last.block()))
    for vector, (grid, reach) in enumerate(zip(grids, reaches, strict=True)):
        column = (vectors.vector + vector) * layout.lanes
        out.add(VStore(SCALES, column, grid.scale + reach.nan), VStore(ZEROS, column, grid.zero))


@dataclass(frozen=True, slots=True)
class Grid:
    """Of one vector of columns: ``inverse`` of the scale, and the zero point with 1/2 for rounding."""

    scale: Expr
    zero: Expr
    inverse: Expr
    origin: Expr

    @staticmethod
    def of(low: Expr, high: Expr, out: Lets) -> Grid:
        """``low`` <= 0 <= ``high``: what a column reaches."""
        lanes = _lanes(low)

        def number(value: float) -> Expr:
            return splat(value, lanes)

        # Each divided first: their difference may be more than float32 holds.
        width = out.let(high * number(1 / 255) - low * number(1 / 255), "width")
        scale = out.let(maximum(width, number(LEAST_SCALE)), "scale")
        inverse = out.let(Binary("div", number(1.0), scale), "inverse")
        offset = minimum(maximum(number(0.5) - low * inverse, number(0.0)), number(255.0))
        zero_ = out.let(Cast(offset, Vec(DType.I32, lanes)), "zero")
        origin = out.let(Cast(zero_, Vec(DType.F32, lanes)) + number(0.5), "origin")
        return Grid(scale, zero_, inverse, origin)

    def number(self, x: Expr, out: Lets) -> Expr:
        """q of ``x``, in i32. Not a fused multiply-add: that is slow where the CPU has none."""
        vector = Vec(DType.I32, _lanes(x))
        place = out.let(x * self.inverse + self.origin, "place")
        # A NaN becomes 0 here, for a cast needs a number; the scale tells of it.
        held = minimum(maximum(place, splat(0.0, _lanes(x))), splat(255.0, _lanes(x)))
        return out.let(Cast(held, vector), "number")


def joined(parts: list[Expr], out: Lets) -> Expr:
    """Four integers as one word, the first one lowest."""
    a, b, c, d = parts
    low = out.let(Binary("or", a, b << 8), "low")
    high = out.let(Binary("or", c << 16, d << 24), "high")
    return Binary("or", low, high)


def _lanes(x: Expr) -> int:
    assert isinstance(x.type, Vec)
    return x.type.lanes
