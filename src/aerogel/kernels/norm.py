"""Normalisation of columns: layer norm, with or without a residual, and division by the 2-norm.

Lanes hold different tokens, so mean and variance are plain loops over rows. Every column is summed in
the same order, four interleaved partial sums, whatever else is computed beside it: its bits depend on
nothing but itself. NaN and infinities spoil their own column only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aerogel.kernels.approx import Lets, Names, maximum, minimum
from aerogel.kernels.layout import Layout, zero
from aerogel.kernels.pack import COLUMNS, FEATURES, Place, place, share, sink, source, splat, vector_count
from aerogel.loop.nodes import (
    F32,
    I64,
    Assign,
    Binary,
    Block,
    Broadcast,
    Buf,
    Cast,
    Expr,
    Fma,
    For,
    Function,
    If,
    Load,
    Unary,
    Var,
    VLoad,
    VStore,
    While,
)

EPS = Var("eps", F32)
PARTS = 4
"""Partial sums of a column: enough chains to hide the latency of one vector's additions."""


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive vectors of one tile, normalised together."""

    layout: Layout
    count: int
    here: Place
    names: Names

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


def layer_norm(layout: Layout, *, residual: bool = False, in_place: bool = False) -> Function:
    """``layer_norm(x, [residual,] gamma, beta, out, features, columns, eps)``, all activations tiled alike.

    out = (y - mean) / sqrt(variance + eps) * gamma + beta over the features of each column, where
    y = x (+ residual) and the variance is the biased one, of differences from the mean. In place:
    ``layer_norm_in_place(out, [residual,] gamma, beta, ...)``, out being x too. ``eps`` is above 0.
    """
    x, other, gamma, beta, out = (*map(source, ("x", "residual", "gamma", "beta")), sink("out"))
    names = Names()
    origin = out if in_place else x

    def run(vectors: Run) -> Block:
        body = Lets(names)

        def summed(row: Expr, vector: int, total: Expr, lets: Lets) -> Expr:
            value = vectors.load(origin, row, vector)
            if not residual:
                return total + value
            both = lets.let(value + vectors.load(other, row, vector), "both")
            lets.add(VStore(out, vectors.at(row, vector), both))
            return total + both

        count = body.let(Broadcast(Cast(FEATURES, F32), layout.lanes), "count")
        means = [body.let(total / count, "mean") for total in vectors.total(body, summed)]
        # With a residual, y was left in out.
        y = out if residual else origin

        def squared(row: Expr, vector: int, total: Expr, lets: Lets) -> Expr:
            difference = lets.let(vectors.load(y, row, vector) - means[vector], "difference")
            return Fma(difference, difference, total)

        totals = vectors.total(body, squared)
        deviations = [Unary("sqrt", total / count + Broadcast(EPS, layout.lanes)) for total in totals]
        scales = [body.let(Binary("div", splat(1.0, layout.lanes), d), "scale") for d in deviations]

        def normal(row: Expr, which: list[int], lets: Lets) -> list[Expr]:
            g = lets.let(Broadcast(Load(gamma, row), layout.lanes), "gamma")
            b = lets.let(Broadcast(Load(beta, row), layout.lanes), "beta")
            return [Fma((vectors.load(y, row, v) - means[v]) * scales[v], g, b) for v in which]

        vectors.each(body, normal, out)
        return body.block()

    name = "layer_norm" + ("_residual" if residual else "") + ("_in_place" if in_place else "")
    buffers = ((out,) if in_place else (x,)) + ((other,) if residual else ()) + (gamma, beta)
    buffers += () if in_place else (out,)
    return Function(name, (*buffers, FEATURES, COLUMNS, EPS), _over_runs(layout, names, run))


def l2_normalize(layout: Layout) -> Function:
    """``l2_normalize(x, out, features, columns, eps)``: each column divided by max(2-norm, eps); tiled."""
    x, out = source("x"), sink("out")
    names = Names()

    def run(vectors: Run) -> Block:
        body = Lets(names)

        def squared(row: Expr, vector: int, total: Expr, lets: Lets) -> Expr:
            value = lets.let(vectors.load(x, row, vector), "value")
            return Fma(value, value, total)

        least = Broadcast(EPS, layout.lanes)
        lengths = [body.let(maximum(least, Unary("sqrt", t)), "length") for t in vectors.total(body, squared)]
        vectors.each(body, lambda row, which, _: [vectors.load(x, row, v) / lengths[v] for v in which], out)
        return body.block()

    return Function("l2_normalize", (x, out, FEATURES, COLUMNS, EPS), _over_runs(layout, names, run))


def _over_runs(layout: Layout, names: Names, run: Callable[[Run], Block]) -> Block:
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
            chosen = (*run(Run(layout, size, here, names)), Assign(vector, vector + size))
            step = (If(left >= size, chosen, step),) if step else chosen
    inside.add(*step)
    body.add(While(vector < end, inside.block()))
    return body.block()
