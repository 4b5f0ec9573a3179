"""The value of an expression at one coordinate, or at a tile of consecutive ones, and the sums inside it.

A value is a list: one scalar or, over a ``Tile``, as many vectors as the tile has. What does not depend on
the tile's index stays one scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from aerogel.core.dtypes import DType
from aerogel.einsum.nodes import Access, Binary, Expr, Number, Reduce, ReduceOp, Unary, accesses, walk
from aerogel.einsum.semiring import reduce_rule, rule_of
from aerogel.loop import nodes as n
from aerogel.loop.build import i64
from aerogel.lower import functions
from aerogel.lower.ahead import ask
from aerogel.lower.coiterate import Body, enter, lone, loop
from aerogel.lower.operand import size_of
from aerogel.lower.positions import TOGETHER, Positions
from aerogel.lower.state import Context, State, retyped
from aerogel.lower.walker import Range, Walker, both

CHAINS = 4
"""Independent sums in flight along memory: a multiply-add takes about four cycles, two start in each."""


@dataclass(frozen=True, slots=True)
class Tile:
    """``count`` vectors of ``lanes`` consecutive values of ``index``, from ``base`` on; one lane: scalars."""

    index: str
    base: n.Expr
    lanes: int
    count: int

    def touches(self, expr: Expr) -> bool:
        return any(self.index in access.indices for access in accesses(expr))


def value(ctx: Context, state: State, expr: Expr, tile: Tile | Positions | None = None) -> list[n.Expr]:
    """Emits what ``expr`` needs and returns it. All its operands are stored here."""
    code = ctx.code
    match expr:
        case Access():
            return load(ctx, state, expr, tile)
        case Number(value=number):
            return [ctx.number(number)]
        case Unary(op=op, a=a):
            return [code.let(functions.UNARY[op](code, x)) for x in value(ctx, state, a, tile)]
        case Binary(op="pow", a=a, b=Number(value=power)):
            xs = value(ctx, state, a, tile)
            return [code.let(functions.BINARY["pow"](code, x, _spread(ctx.number(power), x))) for x in xs]
        case Binary(op="pair") if any(isinstance(node, Reduce) for node in walk(expr)):
            return [_one_if(ctx, _found(ctx, state, expr))]
        case Binary(op=op, a=a, b=b):
            left, right = value(ctx, state, a, tile), value(ctx, state, b, tile)
            pairs = _paired(code.let, left, right)
            return [code.let(functions.BINARY[op](code, x, y)) for x, y in pairs]
        case Reduce():
            assert not isinstance(tile, Positions)
            return _reduce(ctx, state, expr, tile)
        case _:
            assert_never(expr)


def _one_if(ctx: Context, found: n.Expr) -> n.Expr:
    return ctx.code.let(n.Select(found, ctx.number(1), ctx.number(0)), "x")


def _found(ctx: Context, state: State, expr: Expr) -> n.Expr:
    """Whether anything stored goes into ``expr``: a sum may turn out to be empty."""
    match expr:
        case Access() | Number():
            return n.Const(value=True, type=n.BOOL)
        case Unary(a=a):
            return _found(ctx, state, a)
        case Binary(a=a, b=b):
            either = rule_of(expr, ctx.zero).left_absent != "absent"
            whole = n.Binary("or" if either else "and", _found(ctx, state, a), _found(ctx, state, b))
            return ctx.code.let(whole, "found")
        case Reduce(index=index, body=body):
            seen = ctx.code.define(n.Const(value=False, type=n.BOOL), "seen")

            def look(here: State, rest: Expr) -> None:
                ctx.code.assign(seen, n.Binary("or", seen, _found(ctx, here, rest)))

            loop(ctx, state, body, index, look)
            return ctx.code.let(seen, "found")
        case _:
            assert_never(expr)


def load(ctx: Context, state: State, access: Access, tile: Tile | Positions | None) -> list[n.Expr]:
    """The stored value of an access, or a tile of them."""
    stored = ctx.stored(access)
    buffer = stored.operand.values
    loaded: list[n.Expr]
    if isinstance(tile, Positions):
        loaded = [tile.load(ctx, access)]
    elif tile is None or tile.index not in access.indices:
        loaded = [n.Load(buffer, ctx.position(state, access))]
    else:
        at = ctx.code.let(ctx.position(state.at(tile.index, tile.base), access), "at")
        if tile.lanes == 1:
            loaded = [n.Load(buffer, at)]
        else:
            loaded = [n.VLoad(buffer, _plus(at, v * tile.lanes), tile.lanes) for v in range(tile.count)]
    if stored.operand.dtype is not ctx.compute:
        loaded = [n.Cast(x, retyped(x.type, ctx.compute)) for x in loaded]
    condition = state.masked.get(access)
    if condition is not None and access in state.ended:
        return [_if_there(ctx, condition, x) for x in loaded]
    if condition is not None:
        loaded = [n.Select(condition, x, n.Const(nothing(ctx), x.type)) for x in loaded]
    return [ctx.code.let(x, "x") for x in loaded]


def _if_there(ctx: Context, condition: n.Expr, x: n.Expr) -> n.Expr:
    """``x`` where the condition holds, which alone makes it sound to load."""
    found = ctx.code.define(n.Const(nothing(ctx), x.type), "x")
    with ctx.code.if_(condition):
        ctx.code.assign(found, x)
    return found


def nothing(ctx: Context) -> float:
    """What a masked operand of a sum is where it is not stored: it changes no other, not even -0.0."""
    return -0.0 if ctx.compute.is_float else False if ctx.compute is DType.BOOL else 0


def _plus(at: n.Expr, offset: int) -> n.Expr:
    return at + offset if offset else at


def _spread(x: n.Expr, like: n.Expr) -> n.Expr:
    """``x`` in every lane where ``like`` is a vector and it is not."""
    match like.type, x.type:
        case n.Vec(lanes=lanes), n.Scalar():
            return n.Broadcast(x, lanes)
        case _:
            return x


def _paired(
    let: Callable[[n.Expr, str], n.Expr], left: list[n.Expr], right: list[n.Expr]
) -> list[tuple[n.Expr, n.Expr]]:
    """Operands side by side: a scalar goes with every vector."""
    count = max(len(left), len(right))
    if len(left) == len(right) == 1:
        a, b = left[0], right[0]
        return [(_named(let, a, b), _named(let, b, a))]
    # Of a single operand there is one copy in every lane, made once.
    one_left = _named(let, left[0], right[0]) if len(left) == 1 else None
    one_right = _named(let, right[0], left[0]) if len(right) == 1 else None
    return [
        (left[v] if one_left is None else one_left, right[v] if one_right is None else one_right)
        for v in range(count)
    ]


def _named(let: Callable[[n.Expr, str], n.Expr], x: n.Expr, like: n.Expr) -> n.Expr:
    spread = _spread(x, like)
    return x if spread is x else let(spread, "w")


def is_product(expr: Expr) -> bool:
    return isinstance(expr, Binary) and expr.op == "mul"


# --- reductions -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sum:
    """Partial results of a reduction: ``parts`` chains of ``width`` values each; and how often it was fed,
    where what is not stored takes part."""

    op: ReduceOp
    parts: list[list[n.Var]]
    visits: n.Var | None

    def feed(self, ctx: Context, state: State, rest: Expr, part: int, tile: Tile | Positions | None) -> None:
        code = ctx.code
        into = self.parts[part % len(self.parts)]
        given = both(list(state.given)) if state.given else None
        state = replace(state, given=())
        if self.op == "add" and ctx.fma and isinstance(rest, Binary) and rest.op == "mul":
            left, right = value(ctx, state, rest.a, tile), value(ctx, state, rest.b, tile)
            pairs = _paired(code.let, left, right)
            if len(pairs) == 1:
                pairs *= len(into)
            for total, (x, y) in zip(into, pairs, strict=True):
                self._set(ctx, total, n.Fma(_spread(x, total), _spread(y, total), total), given)
        else:
            found = value(ctx, state, rest, tile)
            if len(found) == 1:
                found *= len(into)
            for total, x in zip(into, found, strict=True):
                self._set(ctx, total, combine(ctx, self.op, total, _spread(x, total)), given)
        if self.visits is not None:
            self._set(ctx, self.visits, self.visits + 1, given)

    @staticmethod
    def _set(ctx: Context, total: n.Var, value: n.Expr, given: n.Expr | None) -> None:
        ctx.code.assign(total, value if given is None else n.Select(given, value, total))

    def total(self, ctx: Context) -> list[n.Expr]:
        """The chains put together, two by two."""
        rows: list[list[n.Expr]] = [list[n.Expr](part) for part in self.parts]
        while len(rows) > 1:
            rows = [
                [ctx.code.let(combine(ctx, self.op, a, b), "sum") for a, b in zip(*pair, strict=True)]
                for pair in zip(rows[::2], rows[1::2], strict=True)
            ]
        return [ctx.code.let(x, "sum") for x in rows[0]]


def combine(ctx: Context, op: str, a: n.Expr, b: n.Expr) -> n.Expr:
    """One step of a reduction."""
    return functions.BINARY[op](ctx.code, a, b)


def _begun(ctx: Context, expr: Reduce, width: int, lanes: int, chains: int) -> _Sum:
    identity: n.Expr = n.Const(functions.REDUCE[expr.op](ctx.compute), n.Scalar(ctx.compute))
    if lanes > 1:
        identity = n.Const(functions.REDUCE[expr.op](ctx.compute), n.Vec(ctx.compute, lanes))
    parts = [[ctx.code.define(identity, "acc") for _ in range(width)] for _ in range(chains)]
    counted = reduce_rule(expr.op, ctx.zero) != "skip"
    return _Sum(expr.op, parts, ctx.code.define(i64(0), "visits") if counted else None)


def _reduce(
    ctx: Context, state: State, expr: Reduce, tile: Tile | None, part: Range | None = None
) -> list[n.Expr]:
    if tile is not None and not tile.touches(expr):
        tile = None
    if tile is None and is_dense_run(ctx, state, expr):
        return [_dense_run(ctx, state, expr, part or (i64(0), size_of(expr.index)))]
    width, lanes = (tile.count, tile.lanes) if tile else (1, 1)
    walker = _single(ctx, state, expr, part)
    if walker is not None and tile is None and _goes_in_lanes(ctx, state, expr, walker):
        return [_in_lanes(ctx, state, expr, walker)]
    chains = 1 if walker is None else max(1, ctx.chains // width)
    total = _begun(ctx, expr, width, lanes, chains)
    if walker is None:
        flat = not any(isinstance(node, Reduce) for node in walk(expr.body))
        feed: Body = lambda s, rest: total.feed(ctx, s, rest, 0, tile)  # noqa: E731
        loop(ctx, state, expr.body, expr.index, feed, part, masks=flat)
    else:
        _unrolled(ctx, state, expr, walker, total, tile)
    found = total.total(ctx)
    return found if total.visits is None else _with_absent(ctx, expr, total.visits, found)


def _single(ctx: Context, state: State, expr: Reduce, part: Range | None) -> Walker | None:
    """The one fiber that a reduction walks, where it walks no other and holds no loop of its own."""
    if any(isinstance(node, Reduce) for node in walk(expr.body)):
        return None
    access = lone(ctx, state, expr.body, expr.index)
    return None if access is None else Walker.of(ctx, state, access, part)


def _unrolled(ctx: Context, state: State, expr: Reduce, w: Walker, total: _Sum, tile: Tile | None) -> None:
    """The fiber in steps of as many positions as there are chains, then the rest one by one."""
    code, chains = ctx.code, len(total.parts)

    def at(q: n.Expr, part: int) -> None:
        here = state.moved({w.access: w.place(q, q)})
        if tile is not None:
            ask(ctx, state, expr.body, expr.index, w, q, tile.base)
        coordinate = code.let(w.coordinate(q), expr.index)
        enter(
            ctx,
            here,
            expr.body,
            expr.index,
            coordinate,
            lambda s, rest: total.feed(ctx, s, rest, part, tile),
            masks=True,
        )

    whole = w.begin
    if chains > 1:
        whole = code.let(w.begin + (w.end - w.begin) // chains * chains, "whole")
        with code.for_(w.begin, whole, f"q.{expr.index}", chains) as q:
            for part in range(chains):
                at(code.let(_plus(q, part), "q"), part)
    with code.for_(whole, w.end, f"q.{expr.index}") as q:
        at(q, 0)


def _goes_in_lanes(ctx: Context, state: State, expr: Reduce, w: Walker) -> bool:
    """Whether the sum along a fiber takes several positions at a time: of products, of which all is there."""
    if not (ctx.in_lanes and expr.op == "add" and ctx.lanes > 1 and ctx.compute.is_float):
        return False
    if state.given or ctx.here(state, expr.body, expr.index) != [w.access]:
        return False
    there = not any(access in state.masked for access in accesses(expr.body))
    products = all(isinstance(node, Access) or is_product(node) for node in walk(expr.body))
    return there and products and reduce_rule("add", ctx.zero) == "skip"


def _in_lanes(ctx: Context, state: State, expr: Reduce, w: Walker) -> n.Expr:
    """The fiber ``TOGETHER`` positions at a time, then the rest one by one."""
    code = ctx.code
    total, tail = _begun(ctx, expr, 1, TOGETHER, 1), _begun(ctx, expr, 1, 1, 1)

    def here(q: n.Expr) -> State:
        coordinate = code.let(w.coordinate(q), expr.index)
        return state.moved({w.access: w.place(q, q)}).at(expr.index, coordinate)

    whole = code.let(w.begin + (w.end - w.begin) // TOGETHER * TOGETHER, "whole")
    with code.for_(w.begin, whole, f"q.{expr.index}", TOGETHER) as q:
        states = tuple(here(code.let(_plus(q, lane), "q")) for lane in range(TOGETHER))
        total.feed(ctx, states[0], expr.body, 0, Positions(w, expr.index, q, states))
    with code.for_(whole, w.end, f"q.{expr.index}") as q:
        tail.feed(ctx, here(q), expr.body, 0, None)
    return _across(ctx, total, tail)


def _with_absent(ctx: Context, expr: Reduce, visits: n.Expr, found: list[n.Expr]) -> list[n.Expr]:
    """What is not stored takes part once, if anything is not stored."""
    some = ctx.code.let(visits < size_of(expr.index), "some")
    zero = ctx.number(ctx.zero)
    if reduce_rule(expr.op, ctx.zero) == "absent":
        return [ctx.code.let(n.Select(some, _spread(zero, x), x), "sum") for x in found]
    # Of nothing at all, the greatest and the least are what is not stored.
    none = ctx.code.let(n.Compare("eq", visits, i64(0)), "none")
    # A truth value, where the fold gives one.
    nothing = ctx.number(int(bool(ctx.zero))) if expr.op in ("or", "and") else zero
    least = [n.Select(some, combine(ctx, expr.op, x, _spread(zero, x)), x) for x in found]
    return [ctx.code.let(n.Select(none, _spread(nothing, x), x), "sum") for x in least]


# --- sums over dense runs ---------------------------------------------------------------------


def is_dense_run(ctx: Context, state: State, expr: Reduce) -> bool:
    """Whether a sum runs along memory: every operand with its index has it side by side."""
    if expr.op != "add" or ctx.lanes == 1 or ctx.here(state, expr.body, expr.index):
        return False
    if any(isinstance(node, Reduce) for node in walk(expr.body)):
        return False
    along = [a for a in accesses(expr.body) if expr.index in a.indices]
    return bool(along) and all(
        ctx.stored(a).streams(expr.index) and a.indices.count(expr.index) == 1 for a in along
    )


def _dense_run(ctx: Context, state: State, expr: Reduce, part: Range) -> n.Expr:
    return dense_runs(ctx, [state], expr, part, CHAINS)[0]


def dense_runs(ctx: Context, states: Sequence[State], expr: Reduce, part: Range, chains: int) -> list[n.Expr]:
    """In vectors, in each state: lanes and chains are summed apart, and put together at the end."""
    code, lanes = ctx.code, ctx.lanes
    start, stop = part
    totals = [_begun(ctx, expr, 1, lanes, chains) for _ in states]
    tails = [_begun(ctx, expr, 1, 1, 1) for _ in states]
    wide = lanes * chains
    first = code.let(start + (stop - start) // wide * wide, "whole")
    second = code.let(start + (stop - start) // lanes * lanes, "whole")

    def feed(sums: list[_Sum], base: n.Expr, chain: int, lanes: int) -> None:
        for sum_, state in zip(sums, states, strict=True):
            sum_.feed(ctx, state, expr.body, chain, Tile(expr.index, base, lanes, 1))

    with code.for_(start, first, expr.index, wide) as k:
        for chain in range(chains):
            feed(totals, code.let(_plus(k, chain * lanes)), chain, lanes)
    with code.for_(first, second, expr.index, lanes) as k:
        feed(totals, k, 0, lanes)
    with code.for_(second, stop, expr.index) as k:
        feed(tails, k, 0, 1)
    return [_across(ctx, total, tail) for total, tail in zip(totals, tails, strict=True)]


def _across(ctx: Context, total: _Sum, tail: _Sum) -> n.Expr:
    """The lanes of a sum, and what was left over for them, put together."""
    lanes = ctx.code.let(n.Reduce("add", total.total(ctx)[0]), "sum")
    return ctx.code.let(combine(ctx, "add", lanes, tail.total(ctx)[0]), "sum")


def partial(ctx: Context, expr: Reduce, part: Range) -> n.Expr:
    """A sum at the top over some of its coordinates."""
    return _reduce(ctx, State(), expr, None, part)[0]
