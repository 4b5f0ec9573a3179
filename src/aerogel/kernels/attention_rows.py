"""From tiled activations to a task's own memory and back, a vector of columns at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aerogel.kernels.approx import Lets, Names
from aerogel.kernels.layout import Layout
from aerogel.kernels.pack import COLUMNS, Segment, first_lanes, segments, splat
from aerogel.loop.nodes import I64, Block, Buf, Expr, For, If, Select, Var, VLoad, VStore

# Vectors as wide as this come with masks that cost nothing; others are branched around.
_FREE_MASKS = 16


@dataclass(frozen=True, slots=True)
class Columns:
    """One vector of columns of a tiled activation, its lanes past the part's end switched off by ``mask``
    (None: all are on). ``local``: its first column, counted from where the part begins."""

    segment: Segment
    column: Expr
    local: Expr
    mask: Expr | None
    lanes: int

    def load(self, buf: Buf, feature: Expr) -> VLoad:
        """A feature of these columns, 0 in the lanes that are off."""
        return VLoad(buf, self.segment.at(feature, self.column), self.lanes, self.mask)

    def load_each(self, buf: Buf) -> VLoad:
        """What ``buf`` has for each column of the whole activation, 0 in the lanes that are off."""
        return VLoad(buf, self.column, self.lanes, self.mask)

    def store(self, buf: Buf, feature: Expr, value: Expr) -> VStore:
        return VStore(buf, self.segment.at(feature, self.column), value, self.mask)

    def only(self, value: Expr, otherwise: float = 0.0) -> Expr:
        """``value`` in the lanes that are on."""
        return value if self.mask is None else Select(self.mask, value, splat(otherwise, self.lanes))


Run = tuple[Columns, ...]
"""Consecutive vectors of one tile: worked on together, they are read row after row, as they lie in memory."""


def over_columns(
    layout: Layout, features: Expr, part: tuple[Expr, Expr], names: Names, each: Callable[[Run], Block]
) -> Block:
    """Covers columns [first, last) of a tiled activation of ``features`` features with runs of a whole tile's
    width or of one vector.

    Runs begin with the part and at every tile's edge, so that ``local`` rises, not always by whole vectors:
    what is kept at ``local`` overwrites lanes that were off before, and reaches up to ``lanes`` - 1 places
    past the end.
    """
    first, last = part
    lanes, width = layout.lanes, layout.width

    def run(segment: Segment, column: Expr, count: int, mask: Expr | None, out: Lets) -> Block:
        columns = [out.let(column + i * lanes, "column") for i in range(count)]
        return each(tuple(Columns(segment, c, out.let(c - first, "local"), mask, lanes) for c in columns))

    def inside(segment: Segment) -> Block:
        out, wide, single = Lets(names), Lets(names), Lets(names)
        whole = out.let((segment.end - segment.begin) // (width * lanes) * (width * lanes), "whole")
        middle = out.let(segment.begin + whole, "middle")
        column, rest = Var(names.fresh("column"), I64), Var(names.fresh("column"), I64)
        wide.add(*run(segment, column, width, None, wide))
        out.add(For(column, segment.begin, middle, wide.block(), step=width * lanes))
        left = single.let(segment.end - rest, "left")
        mask = single.let(first_lanes(left, lanes), "mask")
        some = run(segment, rest, 1, mask, single)
        if lanes < _FREE_MASKS:
            some = (If(left >= lanes, run(segment, rest, 1, None, single), some),)
        single.add(*some)
        out.add(For(rest, middle, segment.end, single.block(), step=lanes))
        return out.block()

    return segments(layout, features, (COLUMNS, first, last), names, inside)
