"""Activations as 8-bit integers with a scale and a zero point per column, for products of integers.

    x = scale (q - zero),   scale = (max - min) / 255,   q and zero in 0 .. 255

over the features of a column, ``min`` and ``max`` reaching at least to 0, so that 0 is met exactly and no
element is off by more than half a scale. Four consecutive features of a column make one 32-bit word, the
first one lowest: what the 4-way dot product takes. Words lie as a tiled activation of ceil(features / 4)
features does (see ``layout``); a missing feature of the last word holds 0, and must meet a weight of 0.

NaN or an infinity in a column makes its scale NaN, and so every sum over that column; no other column is
touched. Columns that pad the last vector are quantised like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.core.dtypes import DType
from aerogel.kernels.approx import Lets, Names, maximum, minimum
from aerogel.kernels.layout import Layout, zero
from aerogel.kernels.pack import COLUMNS, FEATURES, source, splat
from aerogel.kernels.runs import Run, over_runs
from aerogel.loop.nodes import (
    Assign,
    Binary,
    Block,
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

WORD = 4
"""Integers in a word."""
# A smaller scale has no inverse that float32 can hold with room to spare.
LEAST_SCALE = 1e-36

WORDS = Buf("words", BufferType(DType.I32, align=4))
SCALES = Buf("scales", BufferType(DType.F32, align=4))
ZEROS = Buf("zeros", BufferType(DType.I32, align=4))


def quantise(layout: Layout) -> Function:
    """``quantise(x, words, scales, zeros, features, columns)``.

    ``x``: tiled f32 [features, columns]; ``words``: tiled i32 [ceil(features / 4), columns]; ``scales`` f32
    and ``zeros`` i32 for every column, those that pad the last vector too.
    """
    x = source("x")
    names = Names()

    def run(vectors: Run) -> Block:
        body = Lets(names)
        words = body.let((FEATURES + (WORD - 1)) // WORD, "count")
        made = vectors.beside(words, body)
        grids = [Grid.of(low, high, nan, body) for low, high, nan in _ranges(vectors, x, body)]
        for vector, grid in enumerate(grids):
            column = (vectors.vector + vector) * layout.lanes
            body.add(VStore(SCALES, column, grid.scale), VStore(ZEROS, column, grid.zero))
        whole = body.let(FEATURES // WORD, "whole")
        word = Var(names.fresh("word"), FEATURES.type)
        each, last = Lets(names), Lets(names)
        for vector, grid in enumerate(grids):
            parts = [grid.number(vectors.load(x, word * WORD + j, vector), each) for j in range(WORD)]
            each.add(VStore(WORDS, made.at(word, vector), _word(parts, each)))
            found = last.define(Const(0, Vec(DType.I32, layout.lanes)), "rest")
            for j in range(WORD - 1):
                inside = Lets(names)
                number = grid.number(vectors.load(x, whole * WORD + j, vector), inside)
                inside.add(Assign(found, Binary("or", found, number << (8 * j))))
                last.add(If(whole * WORD + j < FEATURES, inside.block()))
            last.add(VStore(WORDS, made.at(whole, vector), found))
        body.add(For(word, zero(), whole, each.block()), If(whole < words, last.block()))
        return body.block()

    body = over_runs(layout, names, run)
    return Function("quantise", (x, WORDS, SCALES, ZEROS, FEATURES, COLUMNS), body)


@dataclass(frozen=True, slots=True)
class Grid:
    """Of one vector of columns: ``inverse`` of the scale, and the zero point with 1/2 for rounding."""

    scale: Expr
    zero: Expr
    inverse: Expr
    origin: Expr

    @staticmethod
    def of(low: Expr, high: Expr, nan: Expr, out: Lets) -> Grid:
        """``low`` <= 0 <= ``high``: what a column reaches; ``nan``: 0, or NaN if it is not all finite."""
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
        return Grid(out.let(scale + nan, "told"), zero_, inverse, origin)

    def number(self, x: Expr, out: Lets) -> Expr:
        """q of ``x``, in i32. Not a fused multiply-add: that is slow where the CPU has none."""
        vector = Vec(DType.I32, _lanes(x))
        place = out.let(x * self.inverse + self.origin, "place")
        # A NaN becomes 0 here, for a cast needs a number; the scale tells of it.
        held = minimum(maximum(place, splat(0.0, _lanes(x))), splat(255.0, _lanes(x)))
        return out.let(Cast(held, vector), "number")


def _ranges(vectors: Run, x: Buf, out: Lets) -> list[tuple[Expr, Expr, Expr]]:
    """Per vector: min and max over all features and 0; and 0, or NaN if not all of them are finite."""
    nothing = splat(0.0, vectors.layout.lanes)
    found = [
        tuple(out.define(nothing, name) for name in ("low", "high", "nan")) for _ in range(vectors.count)
    ]
    row, each = Var(out.names.fresh("row"), FEATURES.type), Lets(out.names)
    for vector, (low, high, nan) in enumerate(found):
        value = each.let(vectors.load(x, row, vector), "value")
        each.add(
            Assign(low, minimum(value, low)),
            Assign(high, maximum(value, high)),
            Assign(nan, nan + value * nothing),
        )
    out.add(For(row, zero(), FEATURES, each.block()))
    return [(low, high, nan) for low, high, nan in found]


def _word(parts: list[Expr], out: Lets) -> Expr:
    a, b, c, d = parts
    low = out.let(Binary("or", a, b << 8), "low")
    high = out.let(Binary("or", c << 16, d << 24), "high")
    return Binary("or", low, high)


def _lanes(x: Expr) -> int:
    assert isinstance(x.type, Vec)
    return x.type.lanes
