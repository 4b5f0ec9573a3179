"""Rows of large dense operands, asked for before they are needed.

A fiber says which rows of a dense operand come next, in no order that the memory could guess. While one row
is worked on, the one a few positions ahead is prefetched, in this fiber or in those behind it: many are
shorter than a memory takes to answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from aerogel.einsum.nodes import Access, Expr, accesses
from aerogel.loop import nodes as n
from aerogel.loop.build import i64
from aerogel.lower.operand import Stored
from aerogel.lower.state import Ahead, Context, State
from aerogel.lower.walker import Walker

DISTANCE = 8
"""Positions ahead: about a memory's latency where each takes some twenty cycles."""
LINE = 64
MOST_LINES = 16
FROM_BYTES = 1 << 20
"""Smaller operands stay in a core's own cache."""


def aheads(
    expr: Expr, stored: Mapping[Access, Stored], extents: Mapping[str, int], stream: str | None
) -> tuple[Ahead, ...]:
    """The operands worth asking for: dense, large, with rows along ``stream`` or along a sum's index."""
    found: list[Ahead] = []
    for access in dict.fromkeys(accesses(expr)):
        kind = stored[access]
        if not kind.dense or len(kind.indices) < 2:
            continue
        along = kind.indices[-1]
        size = kind.operand.dtype.itemsize
        room = size
        for index in kind.indices:
            room *= extents[index]
        if room >= FROM_BYTES and kind.streams(along):
            # A tile of a row is asked for where it is worked on, a whole row where a sum runs along it.
            wide = extents[along] * size if along != stream else 4 * LINE
            lines = min(MOST_LINES, -(-wide // LINE))
            found.append(Ahead(access, along, lines, LINE // size))
    return tuple(found)


def ask(
    ctx: Context, state: State, expr: Expr, index: str, w: Walker, q: n.Expr, base: n.Expr | None
) -> None:
    """Prefetches, for the position some way ahead of ``q``, the rows that it will need. ``base``: where in a
    row the tile begins."""
    code = ctx.code
    known = {*state.coordinates, index}
    for ahead in ctx.aheads:
        stored = ctx.stored(ahead.access)
        if ahead.access not in accesses(expr) or index not in stored.indices[:-1]:
            continue
        if any(i not in known for i in stored.indices[:-1]):
            continue
        soon = code.let(n.Binary("min", q + DISTANCE, _positions(ctx, w) - 1), "soon")
        there = state.at(index, code.let(w.coordinate(soon), "next")).at(ahead.along, base or i64(0))
        at = code.let(ctx.position(there, ahead.access), "ahead")
        for line in range(ahead.lines):
            code.add(n.Prefetch(stored.operand.values, at + line * ahead.per_line))


def _positions(ctx: Context, w: Walker) -> n.Expr:
    """How many positions the walker's level has, all its fibers together."""
    stored = ctx.stored(w.access)
    total: n.Expr = i64(1)
    for at in range(w.depth + 1):
        level, view = stored.level(at), stored.view(at)
        if level.located:
            total = total * view.size
        elif not level.branchless:
            # Where the fiber behind the last one would begin.
            total = ctx.code.let(view.at("pos", total), "whole")
    return total
