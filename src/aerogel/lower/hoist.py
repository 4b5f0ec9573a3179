"""Fibers that inner loops would walk again and again, spread out once so that they are looked up.

In ``L(i,j) * L(i,k) * L(j,k)`` the row L(i,:) meets one row L(j,:) after another. Laid out over all k, with
the position of each element, it turns every intersection into a walk along the other row alone.
"""

from __future__ import annotations

from collections.abc import Callable

from aerogel.einsum.nodes import Access, Expr, accesses
from aerogel.formats.levels import Compressed
from aerogel.loop import nodes as n
from aerogel.lower.absent import restrict
from aerogel.lower.estimate import Estimate
from aerogel.lower.operand import size_of
from aerogel.lower.state import Context, Hoist, Spread, State
from aerogel.lower.walker import Walker

WIDEST = 1 << 26
"""Coordinates over which a fiber is spread, at most."""
AGAIN = 2.0
"""How often a fiber must be met, on average, to be worth spreading."""


def hoists(expr: Expr, order: tuple[str, ...], outer: int, estimate: Estimate) -> tuple[Hoist, ...]:
    """The fibers worth spreading, for loops in this order, of which the first ``outer`` are over outputs."""
    found: list[Hoist] = []
    for access in dict.fromkeys(accesses(expr)):
        stored = estimate.stored(access)
        for level, along in enumerate(stored.indices):
            before = order.index(stored.indices[level - 1]) if level else -1
            here = order.index(along)
            kind = stored.level(level)
            if here - before < 2 or not isinstance(kind, Compressed) or not kind.unique:
                continue
            if estimate.sizes.extents[along] > WIDEST or restrict(expr, [access], estimate.zero) is not None:
                continue
            if any(h.along == along for h in found) or not _met(access, expr, order, before, here, estimate):
                continue
            at = before + 1
            found.append(Hoist(access, along, order[at], len(found), inner=at >= outer))
    return tuple(found)


def _met(
    access: Access, expr: Expr, order: tuple[str, ...], before: int, here: int, estimate: Estimate
) -> bool:
    """Whether the fiber is met by another that changes in the loops between, and often enough."""
    between, along = order[before + 1 : here], order[here]
    others = [a for a in estimate.walked(expr, along, order[:here]) if a != access]
    if not any(set(estimate.stored(a).indices) & set(between) for a in others):
        return False
    outside = order[: before + 1]
    times = estimate.visits(expr, order[:here]) / max(estimate.visits(expr, outside), 1e-9)
    return times >= AGAIN


def spreading(ctx: Context, state: State, expr: Expr, index: str, inside: Callable[[State], None]) -> None:
    """``inside`` with all fibers spread that are to be before the loop over ``index``; cleared afterwards."""
    used = accesses(expr)
    waiting = [h for h in ctx.hoists if h.at == index and h.access in used and h.access not in state.spread]
    if not waiting:
        inside(state)
        return
    hoist = waiting[0]
    code = ctx.code
    walker = Walker.of(ctx, state, hoist.access, None)
    marks = hoist.marks(walker.view.index)
    kind = n.Scalar(walker.view.index)
    start = code.let(n.ThreadId() * size_of(hoist.along), "mine")

    def whole(first: n.Expr | None) -> None:
        with code.for_(walker.begin, walker.end, "q") as q:
            code.store(marks, start + walker.coordinate(q), n.Cast(q + 1, kind))
        there = Spread(marks, start, first, walker.view, walker.depth)
        spreading(ctx, state.spreading(hoist.access, there), expr, index, inside)
        with code.for_(walker.begin, walker.end, "q") as q:
            code.store(marks, start + walker.coordinate(q), n.Const(0, kind))

    if not hoist.inner:
        whole(None)
        return
    with code.if_(walker.begin < walker.end):
        whole(walker.begin)


def looked_up(ctx: Context, spread: Spread, coordinate: n.Expr) -> tuple[n.Expr, n.Expr]:
    """The position of a coordinate in a spread fiber, and whether it is there. Where it is not, the position
    is another of the fiber's; of a fiber that may be empty it is then none at all."""
    mark = ctx.code.let(n.Load(spread.marks, spread.start + coordinate), "mark")
    present = ctx.code.let(n.Compare("ne", mark, n.Const(0, mark.type)), "there")
    wide = mark if mark.type == n.I64 else n.Cast(mark, n.I64)
    position = wide - 1 if spread.first is None else n.Select(present, wide - 1, spread.first)
    return ctx.code.let(position, "p"), present
