"""Runs of columns: consecutive vectors of one tile, worked on together.

Lanes hold different tokens, so what concerns a whole column is a plain loop over rows. Every column is
summed in the same order, four interleaved partial sums, whatever else is computed beside it: its bits depend
on nothing but itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from aerogel.kernels.approx import Lets, Names, minimum
from aerogel.kernels.layout import Layout, zero
from aerogel.kernels.pack import COLUMNS, FEATURES, Place, place, share, splat, vector_count
from aerogel.loop.nodes import I64, Assign, Block, Buf, Expr, For, If, Var, VLoad, VStore, While

PARTS = 4
"""Partial sums of a column: enough chains to hide the latency of one vector's additions."""


@dataclass(frozen=True, slots=True)
class Run:
    """``count`` consecutive vectors of one tile, worked on together: from ``vector`` on, of ``vectors``."""

    layout: Layout
    count: int
    vectors: Expr
    vector: Expr
    here: Place
    names: Names

    def beside(self, features: Expr, out: Lets) -> Run:
        """The same vectors in an activation of that many features."""
        return replace(self, here=place(self.layout, features, self.vectors, self.vector, out))

    def at(self, row: Expr, vector: int) -> Expr:
        return self.here.row(row) + vector * self.layout.lanes

    def load(self, buf: Buf, row: Expr, vector: int) -> VLoad:
        return VLoad(buf, self.at(row, vector), self.layout.lanes)

    def total(self, out: Lets, term: Callable[[Expr, int, Expr, Lets], Expr]) -> list[Expr]:
        """Per vector, the sum over all rows; ``term(row, vector, sum, lets)`` adds a row to a partial sum."""
        nothing = splat(0.0, self.layout.lanes)
        parts = [[out.define(nothing, "sum") for _ in range(self.count)] for _ in range(PARTS)]
        whole = out.let(FEATURES // PARTS * PARTS, "whole")
        row, last = Var(self.names.fresh("row"), I64), Var(self.names.fresh("row"), I64)
        many, few = Lets(self.names), Lets(self.names)
        for p, part in enumerate(parts):
            for vector, total in enumerate(part):
                many.add(Assign(total, term(row + p, vector, total, many)))
        for vector, total in enumerate(parts[0]):
            few.add(Assign(total, term(last, vector, total, few)))
        out.add(For(row, zero(), whole, many.block(), step=PARTS), For(last, whole, FEATURES, few.block()))
        return [out.let((a + b) + (c + d), "total") for a, b, c, d in zip(*parts, strict=True)]

    def each(self, out: Lets, value: Callable[[Expr, list[int], Lets], list[Expr]], sink_: Buf) -> None:
        """Stores ``value(row, vectors, lets)`` for every row."""
        row = Var(self.names.fresh("row"), I64)
        body = Lets(self.names)
        for vector, result in enumerate(value(row, list(range(self.count)), body)):
            body.add(VStore(sink_, self.at(row, vector), result))
        out.add(For(row, zero(), FEATURES, body.block()))


def over_runs(layout: Layout, names: Names, run: Callable[[Run], Block]) -> Block:
    """Covers this thread's vectors with runs of 4, 2 or 1 vectors (as the width allows), each in one tile."""
    body = Lets(names)
    vectors = vector_count(layout, COLUMNS, body)
    begin, end = share(vectors, body)
    vector = body.define(begin, "vector")
    inside = Lets(names)
    here = place(layout, FEATURES, vectors, vector, inside)
    left = inside.let(minimum(here.left, end - vector), "left")
    step: Block = ()
    for size in (1, 2, 4):
        if size <= layout.width:
            chosen = (*run(Run(layout, size, vectors, vector, here, names)), Assign(vector, vector + size))
            step = (If(left >= size, chosen, step),) if step else chosen
    inside.add(*step)
    body.add(While(vector < end, inside.block()))
    return body.block()
