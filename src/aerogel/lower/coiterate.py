"""One loop over one index, visiting together the operands that store it.

Which coordinates are visited follows from the expression: the intersection of the factors of a product, the
union of the terms of a sum, every coordinate where the value is not zero even if nothing is stored. While
several fibers are walked, the loop stands at the least of their coordinates; what to compute there depends on
which of them have it (the merge lattice of Kjolstad et al., "The tensor algebra compiler", 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from aerogel.einsum.nodes import Access, Expr, accesses
from aerogel.loop import nodes as n
from aerogel.loop.build import i64
from aerogel.loop.nodes import Binary, Compare, Var
from aerogel.lower.absent import is_sum, live, restrict
from aerogel.lower.ahead import ask
from aerogel.lower.hoist import looked_up, spreading
from aerogel.lower.operand import size_of
from aerogel.lower.state import Context, Place, State
from aerogel.lower.walker import Range, Walker, bisect, both, step

Body = Callable[[State, Expr], None]
"""Emits what is done at one coordinate: gets the state there, and what is left of the expression."""

MOST_MERGES = 7
"""Loops that merge fibers, one for every set of those that have not ended; of more, one loop does all."""
GALLOP = 32
"""How many times longer one of two intersected fibers must be to be searched instead of walked."""


def loop(
    ctx: Context,
    state: State,
    expr: Expr,
    index: str,
    body: Body,
    part: Range | None = None,
    *,
    masks: bool = False,
) -> None:
    """Emits the loop over ``index``; ``part``: of it only these coordinates. ``masks``: ``body`` heeds what
    is ``given`` in its state, so that no branch need be taken for it."""
    run = _Run(ctx, index, body, part, masks=masks)
    spreading(ctx, state, expr, index, lambda s: _loop(run, s, expr))


def _loop(run: _Run, state: State, expr: Expr) -> None:
    ctx, index = run.ctx, run.index
    walked = walked_here(ctx, state, expr, index)
    full = restrict(expr, walked, ctx.zero) is not None
    walkers = [Walker.of(ctx, state, a, run.part) for a in walked]
    if full:
        _everywhere(run, state, expr, walkers)
        return
    if len(walkers) == 1:
        _alone(run, state, expr, walkers[0])
        return
    if len(walkers) > 3 and _is_masked(ctx, expr, walkers):
        _union(run, state, expr, walkers)
        return
    points = live(expr, tuple(walked), ctx.zero)
    if len(walkers) == 2 and len(points) == 1 and all(w.level.unique for w in walkers):
        _intersect(run, state, expr, walkers)
        return
    if len(points) > MOST_MERGES:
        _union(run, state, expr, walkers)
        return
    at = {w.access: w.start(ctx.code) for w in walkers}
    for point in points:
        rest = restrict(expr, [a for a in walked if a not in point], ctx.zero)
        assert rest is not None
        chosen = [w for w in walkers if w.access in point]
        _merge(run, state, rest, chosen, at)


def walked_here(ctx: Context, state: State, expr: Expr, index: str) -> list[Access]:
    """The accesses whose fibers the loop over ``index`` walks."""
    found: list[Access] = []
    for access in ctx.here(state, expr, index):
        level, spread = state.place(access).level, state.spread.get(access)
        is_spread = spread is not None and spread.level == level
        if not is_spread and not ctx.stored(access).level(level).located:
            found.append(access)
    return found


def lone(ctx: Context, state: State, expr: Expr, index: str) -> Access | None:
    """The access whose fiber is all that the loop over ``index`` walks and visits, each coordinate once; None
    where there is none, or several meet."""
    walked = walked_here(ctx, state, expr, index)
    if len(walked) != 1 or restrict(expr, walked, ctx.zero) is not None:
        return None
    (access,) = walked
    return access if ctx.stored(access).level(state.place(access).level).unique else None


def along(ctx: Context, state: State, expr: Expr, index: str, w: Walker, body: Body) -> None:
    """The loop over the positions of ``w``, of which ``index`` is the coordinate."""
    _alone(_Run(ctx, index, body, None, masks=False), state, expr, w)


@dataclass(frozen=True, slots=True)
class _Run:
    """One loop: its index, its body, its part."""

    ctx: Context
    index: str
    body: Body
    part: Range | None
    masks: bool

    def enter(self, state: State, expr: Expr, coordinate: n.Expr) -> None:
        enter(self.ctx, state, expr, self.index, coordinate, self.body, masks=self.masks)


def most(ctx: Context, state: State, expr: Expr, index: str) -> n.Expr:
    """At most how many coordinates the loop over ``index`` visits."""
    walked = walked_here(ctx, state, expr, index)
    if not walked or restrict(expr, walked, ctx.zero) is not None:
        return size_of(index)
    walkers = [Walker.of(ctx, state, a, None) for a in walked]
    total: n.Expr = i64(0)
    for w in walkers:
        total = total + (w.end - w.begin)
    return Binary("min", ctx.code.let(total, "most"), size_of(index))


def enter(
    ctx: Context,
    state: State,
    expr: Expr,
    index: str,
    coordinate: n.Expr,
    body: Body,
    *,
    masks: bool = False,
) -> None:
    """Emits ``body`` at a coordinate: located operands are taken there, bitmaps and spread fibers asked."""
    moved: dict[Access, Place] = {}
    asked: list[tuple[Access, n.Expr]] = []
    given: tuple[n.Expr, ...] = ()
    for access in ctx.here(state, expr, index):
        stored, place = ctx.stored(access), state.place(access)
        level, view = stored.level(place.level), stored.view(place.level)
        spread = state.spread.get(access)
        if spread is not None and spread.level == place.level:
            position, there = looked_up(ctx, spread, coordinate)
            moved[access] = Place(place.level + 1, position)
            # Without this fiber there is nothing at all: that is why it was spread.
            given = (*given, there)
            masks = masks and spread.first is not None
        elif level.located:
            assert isinstance(place.parent, n.Expr)
            position = ctx.code.let(level.locate(view, place.parent, coordinate), "p")
            moved[access] = Place(place.level + 1, position)
            present = level.present(view, position)
            if present is not None:
                asked.append((access, present))
    here = state.at(index, coordinate).moved(moved)
    if masks or not given:
        _ask(ctx, replace(here, given=(*here.given, *given)), expr, asked, body)
        return
    with ctx.code.if_(both(list(given))):
        _ask(ctx, here, expr, asked, body)


def _ask(ctx: Context, state: State, expr: Expr, asked: list[tuple[Access, n.Expr]], body: Body) -> None:
    """``body`` with every bitmap that is asked either there or absent."""
    if not asked:
        body(state, expr)
        return
    (access, present), *others = asked
    without = restrict(expr, [access], ctx.zero)
    with ctx.code.block() as then:
        _ask(ctx, state, expr, others, body)
    with ctx.code.block() as orelse:
        if without is not None:
            _ask(ctx, state, without, others, body)
    ctx.code.branch(present, tuple(then), tuple(orelse))


def _everywhere(run: _Run, state: State, expr: Expr, walkers: list[Walker]) -> None:
    """Every coordinate is visited; fibers that are walked along have their say where they have it."""
    ctx, index = run.ctx, run.index
    code = ctx.code
    first, last = run.part or (i64(0), size_of(index))
    at = {w.access: w.start(code) for w in walkers}
    # Where a fiber has ended, a coordinate that never comes.
    now = {w.access: code.define(size_of(index), f"c.{index}") for w in walkers}
    for w in walkers:
        with code.if_(at[w.access] < w.end):
            code.assign(now[w.access], w.coordinate(at[w.access]))
    with code.for_(first, last, index) as i:
        met = {w.access: code.let(Compare("eq", now[w.access], i), "met") for w in walkers}

        def choose(left: list[Walker], place: State, rest: Expr) -> None:
            if not left:
                run.enter(place, rest, i)
                return
            w, *others = left
            without = restrict(rest, [w.access], ctx.zero)
            with code.block() as then:
                after = code.let(w.after(code, at[w.access], i), "after")
                choose(others, place.moved({w.access: w.place(code.let(at[w.access], "p"), after)}), rest)
            with code.block() as orelse:
                if without is not None:
                    choose(others, place, without)
            code.branch(met[w.access], tuple(then), tuple(orelse))

        choose(walkers, state, expr)
        for w in walkers:
            with code.if_(met[w.access]):
                code.assign(at[w.access], w.after(code, at[w.access], i))
                code.assign(now[w.access], size_of(index))
                with code.if_(at[w.access] < w.end):
                    code.assign(now[w.access], w.coordinate(at[w.access]))


def _alone(run: _Run, state: State, expr: Expr, w: Walker) -> None:
    """One fiber, from its first position to its last."""
    code, index = run.ctx.code, run.index
    if w.level.unique:
        with code.for_(w.begin, w.end, f"q.{index}") as q:
            here = state.moved({w.access: w.place(q, q)})
            ask(run.ctx, state, expr, index, w, q, None)
            run.enter(here, expr, code.let(w.coordinate(q), index))
        return
    at = w.start(code)
    with code.while_(at < w.end):
        begin = code.let(at, "p")
        coordinate = code.let(w.coordinate(begin), index)
        after = code.let(w.after(code, begin, coordinate), "after")
        run.enter(state.moved({w.access: w.place(begin, after)}), expr, coordinate)
        code.assign(at, after)


def _merge(run: _Run, state: State, expr: Expr, walkers: list[Walker], at: dict[Access, Var]) -> None:
    """While none of ``walkers`` has ended: the least of their coordinates, with those that have it."""
    ctx, index = run.ctx, run.index
    code = ctx.code
    names = tuple(w.access for w in walkers)
    with code.while_(both([at[w.access] < w.end for w in walkers])):
        begin = {w.access: code.let(at[w.access], "p") for w in walkers}
        now = {w.access: code.let(w.coordinate(begin[w.access]), f"c.{index}") for w in walkers}
        i = code.let(_least(list(now.values())), index)
        met = {name: code.let(Compare("eq", now[name], i), "met") for name in names}
        after = {w.access: _after(ctx, w, begin[w.access], met[w.access], i) for w in walkers}

        places = {w.access: w.place(begin[w.access], after[w.access]) for w in walkers}
        if len(names) > 1 and _is_masked(ctx, expr, walkers):
            run.enter(state.moved(places).masking(met), expr, i)
            for w in walkers:
                code.assign(at[w.access], after[w.access])
            return

        def chain(points: list[tuple[Access, ...]]) -> None:
            if not points:
                return
            point, *others = points
            rest = restrict(expr, [name for name in names if name not in point], ctx.zero)
            assert rest is not None
            there = state.moved({name: places[name] for name in point})
            # One fiber that walks alone always has the least coordinate.
            if len(names) == 1:
                run.enter(there, rest, i)
                return
            with code.block() as then:
                run.enter(there, rest, i)
            with code.block() as orelse:
                chain(others)
            code.branch(both([met[name] for name in point]), tuple(then), tuple(orelse))

        chain(list(live(expr, names, ctx.zero)))
        for w in walkers:
            code.assign(at[w.access], after[w.access])


def _union(run: _Run, state: State, expr: Expr, walkers: list[Walker]) -> None:
    """Every coordinate that any of many fibers has, in one loop: a fiber that has ended is at the extent."""
    ctx, index = run.ctx, run.index
    code, end = ctx.code, size_of(index)
    names = [w.access for w in walkers]
    at = {w.access: w.start(code) for w in walkers}
    now = {name: code.define(end, f"c.{index}") for name in names}

    def look(w: Walker) -> None:
        with code.if_(at[w.access] < w.end):
            code.assign(now[w.access], w.coordinate(at[w.access]))

    for w in walkers:
        look(w)
    least = code.define(_least(list(now.values())), "least")
    with code.while_(least < end):
        i = code.let(least, index)
        met = {name: code.let(Compare("eq", now[name], i), "met") for name in names}
        begin = {name: code.let(at[name], "p") for name in names}
        after = {w.access: _after(ctx, w, begin[w.access], met[w.access], i) for w in walkers}
        places = {w.access: w.place(begin[w.access], after[w.access]) for w in walkers}
        if _is_masked(ctx, expr, walkers):
            run.enter(state.moved(places).masking(met, ended=True), expr, i)
        else:
            _decide(run, state, expr, met, places, i)
        for w in walkers:
            code.assign(at[w.access], after[w.access])
            with code.if_(met[w.access]):
                code.assign(now[w.access], end)
                look(w)
        code.assign(least, _least(list(now.values())))


def _least(coordinates: Sequence[n.Expr]) -> n.Expr:
    return reduce(lambda a, b: Binary("min", a, b), coordinates)


def _decide(
    run: _Run,
    state: State,
    expr: Expr,
    met: Mapping[Access, n.Expr],
    places: Mapping[Access, Place],
    coordinate: n.Expr,
) -> None:
    """One fiber after another is asked whether it has the coordinate; then what is left is computed."""
    code = run.ctx.code

    def decide(left: list[Access], here: State, rest: Expr | None) -> None:
        if rest is None:
            return
        left = [name for name in left if name in accesses(rest)]
        if not left:
            run.enter(here, rest, coordinate)
            return
        name, *others = left
        with code.block() as then:
            decide(others, here.moved({name: places[name]}), rest)
        with code.block() as orelse:
            decide(others, here, restrict(rest, [name], run.ctx.zero))
        code.branch(met[name], tuple(then), tuple(orelse))

    decide(list(met), state, expr)


def _is_masked(ctx: Context, expr: Expr, walkers: list[Walker]) -> bool:
    """Whether values that are not there can be added as nothing, without asking which are."""
    names = [w.access for w in walkers]
    return is_sum(expr, names, ctx.zero) and all(_is_leaf(ctx, w) for w in walkers)


def _is_leaf(ctx: Context, w: Walker) -> bool:
    """Whether the value of an access is known once it is walked here."""
    stored = ctx.stored(w.access)
    below = range(w.depth + 1, len(stored.indices))
    return w.level.unique and all(stored.level(level).full for level in below)


def _after(ctx: Context, w: Walker, begin: n.Expr, met: n.Expr, coordinate: n.Expr) -> n.Expr:
    """Where the walker stands behind this coordinate; where it does not have it, it stays."""
    if w.level.unique:
        return ctx.code.let(begin + step(met), "after")
    after = ctx.code.define(begin, "after")
    with ctx.code.if_(met):
        ctx.code.assign(after, w.after(ctx.code, begin, coordinate))
    return ctx.code.let(after, "behind")


def _intersect(run: _Run, state: State, expr: Expr, walkers: list[Walker]) -> None:
    """What both fibers have. A much longer one is searched, by doubling steps, for what the other has."""
    code = run.ctx.code
    a, b = walkers
    counts = [code.let(w.end - w.begin, "count") for w in walkers]
    with code.block() as merged:
        at = {w.access: w.start(code) for w in walkers}
        _merge(run, state, expr, walkers, at)
    with code.block() as short_a:
        _gallop(run, state, expr, a, b)
    with code.block() as short_b:
        _gallop(run, state, expr, b, a)
    with code.block() as other:
        code.branch(counts[1] * GALLOP < counts[0], tuple(short_b), tuple(merged))
    code.branch(counts[0] * GALLOP < counts[1], tuple(short_a), tuple(other))


def _gallop(run: _Run, state: State, expr: Expr, short: Walker, long: Walker) -> None:
    """Walks the short fiber; in the long one goes on by 1, 2, 4 ... positions, then bisects the last step."""
    code, index = run.ctx.code, run.index
    at = long.start(code)
    with code.for_(short.begin, short.end, f"q.{index}") as q:
        i = code.let(short.coordinate(q), index)
        stride = code.define(i64(1), "stride")
        # Everything before ``at`` is less than i; so is everything at or before ``at + stride / 2``.
        behind = code.define(Binary("min", at + 1, long.end), "behind")
        more = code.define(behind < long.end, "more")
        with code.while_(more):
            less = code.let(long.coordinate(behind) < i, "less")
            code.assign(at, n.Select(less, behind, at))
            code.assign(stride, n.Select(less, stride * 2, stride))
            code.assign(behind, n.Select(less, Binary("min", behind + stride, long.end), behind))
            code.assign(more, Binary("and", less, behind < long.end))
        from_ = bisect(code, long.level, long.view, at, behind, i)
        code.assign(at, from_)
        with code.if_(at < long.end):
            p = code.let(at, "p")
            with code.if_(Compare("eq", long.coordinate(p), i)):
                places = {short.access: short.place(q, q), long.access: long.place(p, p)}
                run.enter(state.moved(places), expr, i)
