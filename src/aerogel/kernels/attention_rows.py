"""From tiled activations to a task's own memory and back, a vector of columns at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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


def over_columns(
    layout: Layout, features: Expr, part: tuple[Expr, Expr], names: Names, each: Callable[[Columns], Block]
) -> Block:
    """Runs ``each`` for every vector of columns [first, last) of a tiled activation of ``features`` features.

    Vectors begin with the part and at every tile's edge, so that ``local`` rises, not always by ``lanes``:
    what is kept at ``local`` overwrites lanes that were off before, and reaches up to ``lanes`` - 1 places
    past the end.
    """
    first, last = part
    lanes = layout.lanes

    def inside(segment: Segment) -> Block:
        column, body = Var(names.fresh("column"), I64), Lets(names)
        left = body.let(segment.end - column, "left")
        local = body.let(column - first, "local")
        mask = body.let(first_lanes(left, lanes), "mask")
        some = Columns(segment, column, local, mask, lanes)
        if lanes >= _FREE_MASKS:
            body.add(*each(some))
        else:
            body.add(If(left >= lanes, each(replace(some, mask=None)), each(some)))
        return (For(column, segment.begin, segment.end, body.block(), step=lanes),)

    return segments(layout, features, (COLUMNS, first, last), names, inside)
