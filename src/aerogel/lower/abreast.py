"""Inner products at several positions of one fiber at a time.

Each is a sum along memory of the same vector times another one, as in a sampled product of dense matrices:
what they share is loaded once, and their sums wait for one another no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aerogel.einsum.nodes import Access, Binary, Expr, Reduce, accesses, walk
from aerogel.loop import nodes as n
from aerogel.loop.build import i64
from aerogel.lower import functions
from aerogel.lower.ahead import ask
from aerogel.lower.coiterate import lone
from aerogel.lower.operand import size_of
from aerogel.lower.state import Context, State
from aerogel.lower.values import dense_runs, is_dense_run, is_product, load
from aerogel.lower.walker import Walker

COUNTS = (4, 1)
"""How many are computed at a time: as many as are left, by these numbers."""
CHAINS = 2
"""Independent sums of each: with four products they fill the multipliers, and registers hold them."""


def shared(ctx: Context, state: State, expr: Expr, index: str) -> Walker | None:
    """The one fiber of the loop over ``index`` where ``abreast`` can take several of its positions at once,
    and sums along memory are what each of them takes."""
    access = lone(ctx, state, expr, index)
    if access is None or ctx.here(state, expr, index) != [access] or state.given:
        return None
    if any(a in state.masked for a in accesses(expr)):
        return None
    there = state.at(index, i64(0))
    sums = [node for node in walk(expr) if isinstance(node, Reduce)]
    plain = all(isinstance(node, Access | Reduce) or is_product(node) for node in walk(expr))
    runs = bool(sums) and all(is_dense_run(ctx, there, node) for node in sums)
    return Walker.of(ctx, state, access, None) if plain and runs else None


def abreast(
    ctx: Context,
    state: State,
    expr: Expr,
    index: str,
    w: Walker,
    store: Callable[[State, n.Expr], None],
) -> None:
    """The loop over the fiber of ``w``, several positions in each round; ``store`` gets every value."""
    code, at = ctx.code, w.begin
    for count in COUNTS:
        whole = w.end if count == 1 else code.let(at + (w.end - at) // count * count, "whole")
        with code.for_(at, whole, f"q.{index}", count) as q:
            states: list[State] = []
            for k in range(count):
                here = code.let(q + k if k else q, "q")
                ask(ctx, state, expr, index, w, here, None)
                coordinate = code.let(w.coordinate(here), index)
                states.append(state.moved({w.access: w.place(here, here)}).at(index, coordinate))
            for there, x in zip(states, _values(ctx, states, expr), strict=True):
                store(there, x)
        at = whole


def _values(ctx: Context, states: Sequence[State], expr: Expr) -> list[n.Expr]:
    """The value of ``expr`` in each state."""
    match expr:
        case Access():
            return [load(ctx, state, expr, None)[0] for state in states]
        case Reduce():
            return dense_runs(ctx, states, expr, (i64(0), size_of(expr.index)), CHAINS)
        case Binary(op=op, a=a, b=b):
            pairs = zip(_values(ctx, states, a), _values(ctx, states, b), strict=True)
            return [ctx.code.let(functions.BINARY[op](ctx.code, x, y)) for x, y in pairs]
        case _:
            raise AssertionError(f"no product: {expr}")
