"""Loops along the first levels of a pattern as one loop over its fibers.

Where a result has the pattern of an operand, a value goes where that operand is. If nothing else asks for the
coordinates of the outer levels, they need not be known: fibers below consecutive positions lie side by side.
"""

from __future__ import annotations

from aerogel.einsum.nodes import Access, Expr, accesses
from aerogel.loop.build import i64
from aerogel.lower.coiterate import lone
from aerogel.lower.state import Context, Place, State
from aerogel.lower.walker import Range, Walker


def flat(ctx: Context, expr: Expr, twin: Access, loops: tuple[str, ...]) -> int:
    """How many loops, from the outermost on, walk nothing but the levels of ``twin``, while only the last of
    them says something of any other operand."""
    kind, state, count = ctx.stored(twin), State(), 0
    others = {index for access in accesses(expr) if access != twin for index in access.indices}
    for depth, index in enumerate(loops):
        if lone(ctx, state, expr, index) != twin or ctx.here(state, expr, index) != [twin]:
            break
        if depth and kind.level(depth).branchless:
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
