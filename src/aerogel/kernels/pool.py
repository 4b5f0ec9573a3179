"""Pooling: one column per sequence out of one column per token.

Tokens are added in their order, feature by feature, so a sequence gives the same bits alone and in any batch,
at any number of threads. Threads share the features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aerogel.kernels.approx import Lets, Names, maximum, minimum
from aerogel.kernels.layout import Layout, zero
from aerogel.kernels.pack import (
    COLUMNS,
    FEATURES,
    Segment,
    integers,
    load_index,
    place,
    segments,
    share,
    sink,
    source,
    vector_count,
)
from aerogel.loop.nodes import (
    F32,
    I64,
    Assign,
    Binary,
    Block,
    Buf,
    Compare,
    Const,
    Expr,
    Fma,
    For,
    Function,
    Load,
    Select,
    Store,
    Var,
)

SEQUENCES = Var("sequences", I64)
GROUP = 8
"""Features summed side by side: enough chains to hide the latency of an addition."""

Kind = Literal["first", "mean", "max"]


def pool(layout: Layout, kind: Kind, *, weighted: bool = False) -> Function:
    """``pool_KIND(x, [weights,] offsets, out, features, columns, sequences)``: tiled x [features, columns] ->
    tiled out [features, sequences].

    Sequence b has the tokens offsets[b] .. offsets[b + 1] (i32 [sequences + 1], at least one each).
    ``first``: its first token. ``mean``: sum of weight times token / max(sum of weights, 1e-9). ``max``: the
    greatest value over tokens of weight above 0 (NaN if one is). ``weighted``: f32 [columns], else all 1;
    not for ``first``. Padding becomes zero.
    """
    weighted = weighted and kind != "first"
    x, weights, offsets, out = source("x"), source("weights"), integers("offsets"), sink("out")
    names = Names()
    body, each, group = Lets(names), Lets(names), Lets(names)
    begin, end = share((FEATURES + (GROUP - 1)) // GROUP, body)
    mine = (body.let(begin * GROUP, "first"), body.let(minimum(end * GROUP, FEATURES), "last"))
    b, feature = Var("b", I64), Var("feature", I64)
    start, stop = each.let(load_index(offsets, b), "start"), each.let(load_index(offsets, b + 1), "stop")
    there = place(layout, FEATURES, vector_count(layout, SEQUENCES, each), b // layout.lanes, each)

    # The last group repeats the last feature instead of being shorter.
    rows = [group.let(minimum(feature + i, FEATURES - 1), "row") for i in range(GROUP)]
    over = _Over(layout, names, x, weights if weighted else None)
    results = over.first(rows, start, group) if kind == "first" else over.all(kind, rows, start, stop, group)
    for row, result in zip(rows, results, strict=True):
        group.add(Store(out, there.row(row) + b % layout.lanes, result))
    each.add(For(feature, *mine, group.block(), step=GROUP))
    body.add(For(b, zero(), SEQUENCES, each.block()))
    body.add(*_clear_padding(layout, out, mine, names))
    params = (x, *((weights,) if weighted else ()), offsets, out, FEATURES, COLUMNS, SEQUENCES)
    return Function(f"pool_{kind}{'_weighted' if weighted else ''}", params, body.block())


@dataclass(frozen=True, slots=True)
class _Over:
    """Folds the tokens of one sequence, some features at a time."""

    layout: Layout
    names: Names
    x: Buf
    weights: Buf | None

    def first(self, rows: Sequence[Expr], start: Expr, out: Lets) -> list[Expr]:
        here = place(
            self.layout, FEATURES, vector_count(self.layout, COLUMNS, out), start // self.layout.lanes, out
        )
        return [Load(self.x, here.row(row) + start % self.layout.lanes) for row in rows]

    def all(self, kind: Kind, rows: Sequence[Expr], start: Expr, stop: Expr, out: Lets) -> list[Expr]:
        identity = Const(0.0 if kind == "mean" else float("-inf"), F32)
        totals = [out.define(identity, "total") for _ in rows]
        count = out.define(Const(0.0, F32), "count")
        fold = _mean if kind == "mean" else _max

        def part(segment: Segment) -> Block:
            token, step = Var(self.names.fresh("token"), I64), Lets(self.names)
            weight = None if self.weights is None else step.let(Load(self.weights, token), "weight")
            for row, total in zip(rows, totals, strict=True):
                value = step.let(Load(self.x, segment.at(row, token)), "value")
                step.add(Assign(total, fold(total, value, weight)))
            step.add(Assign(count, count + (1.0 if weight is None else weight)))
            return (For(token, segment.begin, segment.end, step.block()),)

        out.add(*segments(self.layout, FEATURES, (COLUMNS, start, stop), self.names, part))
        if kind == "max":
            return list(totals)
        return [total / maximum(count, Const(1e-9, F32)) for total in totals]


def _mean(total: Expr, value: Expr, weight: Expr | None) -> Expr:
    return total + value if weight is None else Fma(value, weight, total)


def _max(total: Expr, value: Expr, weight: Expr | None) -> Expr:
    # A NaN, once there, stays: it is not equal to itself.
    keep = Binary("or", Compare("ne", total, total), value <= total)
    if weight is not None:
        keep = Binary("or", keep, weight <= 0.0)
    return Select(keep, total, value)


def _clear_padding(layout: Layout, out: Buf, mine: tuple[Expr, Expr], names: Names) -> Block:
    """Zeros the columns past the last sequence, for this thread's features."""
    body = Lets(names)
    b, feature = Var(names.fresh("b"), I64), Var(names.fresh("feature"), I64)
    vectors = vector_count(layout, SEQUENCES, body)
    each = Lets(names)
    there = place(layout, FEATURES, vectors, b // layout.lanes, each)
    clear = Store(out, there.row(feature) + b % layout.lanes, Const(0.0, F32))
    each.add(For(feature, *mine, (clear,)))
    body.add(For(b, SEQUENCES, vectors * layout.lanes, each.block()))
    return body.block()
