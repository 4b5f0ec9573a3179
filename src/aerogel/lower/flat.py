"""Loops along the first levels of a pattern as one loop over its fibers.

Where a result has the pattern of an operand, a value goes where that operand is. If nothing else asks for the
coordinates of the outer levels, they need not be known: fibers below consecutive positions lie side by side.
"""

from __future__ import annotations

from aerogel.einsum.nodes import Access, Expr, accesses
from aerogel.loop.build import i64
from aerogel.lower.absent import restrict
from aerogel.lower.ahead import ask
from aerogel.lower.coiterate import Body, walked_here
from aerogel.lower.state import Context, Place, State
from aerogel.lower.walker import Range, Walker


def flat(ctx: Context, expr: Expr, twin: Access, loops: tuple[str, ...]) -> int:
    """How many loops, from the outermost on, walk nothing but the levels of ``twin``, while only the last of
    them says something of any other operand."""
    kind, state, count = ctx.stored(twin), State(), 0
    others = {index for access in accesses(expr) if access != twin for index in access.indices}
    for depth, index in enumerate(loops):
        level, walked = kind.level(depth), walked_here(ctx, state, expr, index)
        if walked != [twin] or ctx.here(state, expr, index) != [twin] or not level.unique:
            break
        if restrict(expr, walked, ctx.zero) is not None or (depth and level.branchless):
            break
        count = depth + 1
        if index in others:
            break
        state = state.at(index, i64(0)).moved({twin: Place(depth + 1, i64(0))})
    return count


def flattened(ctx: Context, twin: Access, count: int, part: Range) -> Walker:
    """All fibers of level ``count`` - 1 below the coordinates ``part`` of the first, as one."""
    kind, first = ctx.stored(twin), Walker.of(ctx, State(), twin, part)
    begin, end, last = first.begin, first.end, count - 1
    for depth in range(1, count):
        view = kind.view(depth)
        begin, end = (ctx.code.let(view.at("pos", at), "edge") for at in (begin, end))
    return Walker(twin, kind.level(last), kind.view(last), last, begin, end)


def along(ctx: Context, state: State, expr: Expr, index: str, w: Walker, body: Body) -> None:
    """The loop over the positions of ``w``, of which ``index`` is the coordinate."""
    with ctx.code.for_(w.begin, w.end, f"q.{index}") as q:
        ask(ctx, state, expr, index, w, q, None)
        coordinate = ctx.code.let(w.coordinate(q), index)
        body(state.moved({w.access: w.place(q, q)}).at(index, coordinate), expr)
