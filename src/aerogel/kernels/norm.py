"""Normalisation of columns: layer norm, with or without a residual, and division by the 2-norm.

Lanes hold different tokens, so mean and variance are plain loops over rows. Every column is summed in
the same order, four interleaved partial sums, whatever else is computed beside it: its bits depend on
nothing but itself. NaN and infinities spoil their own column only.
"""

from __future__ import annotations

from typing import Literal

from aerogel.kernels import quantise
from aerogel.kernels.approx import Lets, Names, maximum
from aerogel.kernels.layout import Layout
from aerogel.kernels.pack import COLUMNS, FEATURES, sink, source, splat
from aerogel.kernels.runs import Run, over_runs
from aerogel.loop.nodes import (
    F32,
    Binary,
    Block,
    Broadcast,
    Cast,
    Expr,
    Fma,
    Function,
    Load,
    Param,
    Unary,
    Var,
    VStore,
)

EPS = Var("eps", F32)


Words = Literal["found", "fixed"]
"""Words of 8-bit integers beside the numbers, their grid found per column or fixed (see ``quantise``)."""


def layer_norm(
    layout: Layout, *, residual: bool = False, in_place: bool = False, words: Words | None = None
) -> Function:
    """``layer_norm(x, [residual,] gamma, beta, out, features, columns, eps)``, all activations tiled alike.

    out = (y - mean) / sqrt(variance + eps) * gamma + beta over the features of each column, where
    y = x (+ residual) and the variance is the biased one, of differences from the mean. In place:
    ``layer_norm_in_place(out, [residual,] gamma, beta, ...)``, out being x too. ``eps`` is above 0.

    ``words``: ``layer_norm_words(..., out, words, scales, zeros, [low, high,] features, columns, eps)`` makes
    of out what ``quantise`` does, while a column is still in the cache.
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

        reaches = [] if words is None else quantise.begin(vectors, body, fixed=words == "fixed")

        def normal(row: Expr, which: list[int], lets: Lets) -> list[Expr]:
            g = lets.let(Broadcast(Load(gamma, row), layout.lanes), "gamma")
            b = lets.let(Broadcast(Load(beta, row), layout.lanes), "beta")
            made: list[Expr] = [Fma((vectors.load(y, row, v) - means[v]) * scales[v], g, b) for v in which]
            if reaches:
                made = [lets.let(value, "normal") for value in made]
                for value, v in zip(made, which, strict=True):
                    reaches[v].see(value, lets)
            return made

        vectors.each(body, normal, out)
        if reaches:
            quantise.write(vectors, out, reaches, body)
        return body.block()

    name = "layer_norm" + ("_residual" if residual else "") + ("_in_place" if in_place else "")
    name += {None: "", "found": "_words", "fixed": "_words_fixed"}[words]
    params: tuple[Param, ...] = (
        ((out,) if in_place else (x,)) + ((other,) if residual else ()) + (gamma, beta)
    )
    params += () if in_place else (out,)
    params += () if words is None else (quantise.WORDS, quantise.SCALES, quantise.ZEROS)
    params += quantise.BOUNDS if words == "fixed" else ()
    return Function(name, (*params, FEATURES, COLUMNS, EPS), over_runs(layout, names, run))


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

    return Function("l2_normalize", (x, out, FEATURES, COLUMNS, EPS), over_runs(layout, names, run))
