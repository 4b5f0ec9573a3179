"""Row-major <-> tiled: where a vector of columns lies, transposes in registers, pack, unpack and scatter.

A tiled activation keeps tokens in lanes, row-major data keeps features in lanes. Both directions move
blocks of lanes x lanes elements: as many vector loads, a transpose by shuffles, as many vector stores.
Work is split over threads by vectors of columns; no two threads write the same element.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aerogel.core.dtypes import DType
from aerogel.kernels.approx import Lets, Names, minimum
from aerogel.kernels.layout import Layout, index, zero
from aerogel.loop.nodes import (
    F32,
    I32,
    I64,
    Assign,
    Binary,
    Block,
    Broadcast,
    Buf,
    BufferType,
    Cast,
    Compare,
    Const,
    Expr,
    For,
    Function,
    If,
    Iota,
    Load,
    Select,
    Shuffle,
    Store,
    ThreadCount,
    ThreadId,
    Var,
    Vec,
    VLoad,
    VStore,
    While,
)

FEATURES, COLUMNS, ROWS = Var("features", I64), Var("columns", I64), Var("rows", I64)


def source(name: str) -> Buf:
    """An f32 buffer parameter that is only read."""
    return Buf(name, BufferType(DType.F32, const=True, align=4))


def sink(name: str) -> Buf:
    """An f32 buffer parameter that is written."""
    return Buf(name, BufferType(DType.F32, align=4))


def integers(name: str) -> Buf:
    """An i32 buffer parameter that is only read."""
    return Buf(name, BufferType(DType.I32, const=True, align=4))


def load_index(buffer: Buf, at: Expr) -> Expr:
    """An i32 element as i64."""
    return Cast(Load(buffer, at), I64)


def share(total: Expr, out: Lets) -> tuple[Expr, Expr]:
    """[begin, end) of the ``total`` units of work that this thread does."""
    begin = out.let(total * ThreadId() // ThreadCount(), "begin")
    return begin, out.let(total * (ThreadId() + 1) // ThreadCount(), "end")


def first_lanes(count: Expr, lanes: int) -> Expr:
    """The mask of the first ``count`` lanes (i64, not negative; above ``lanes`` all)."""
    bounded = Cast(minimum(count, index(lanes)), I32)
    return Compare("lt", Iota(Vec(DType.I32, lanes)), Broadcast(bounded, lanes))


def splat(value: float, lanes: int) -> Const:
    """The same f32 in every lane."""
    return Const(value, Vec(DType.F32, lanes))


# --- where columns lie ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Feature f of a vector of columns is at element ``base`` + f * ``stride`` on; ``left``: the vectors of
    its tile from this one on."""

    base: Expr
    stride: Expr
    left: Expr

    def row(self, feature: Expr) -> Expr:
        return self.base + feature * self.stride


def vector_count(layout: Layout, columns: Expr, out: Lets) -> Expr:
    """Vectors that hold ``columns`` columns."""
    return out.let((columns + (layout.lanes - 1)) // layout.lanes, "vectors")


def place(layout: Layout, features: Expr, vectors: Expr, vector: Expr, out: Lets) -> Place:
    """Where ``vector`` of an activation with ``vectors`` > 0 vectors of columns lies."""
    count = out.let(layout.tile_count(vectors), "count")
    tile = out.let(layout.tile_of(vectors, count, vector), "tile")
    first, width = layout.tile_bounds(vectors, count, tile)
    first = out.let(first, "first")
    base = out.let((features * first + (vector - first)) * layout.lanes, "base")
    return Place(base, out.let(width * layout.lanes, "stride"), first + width - vector)


@dataclass(frozen=True, slots=True)
class Segment:
    """Columns [``begin``, ``end``) of one tile: feature f of column n is at ``base`` + f * ``stride`` + n."""

    begin: Expr
    end: Expr
    base: Expr
    stride: Expr

    def at(self, feature: Expr, column: Expr) -> Expr:
        return self.base + feature * self.stride + column


def segments(
    layout: Layout,
    features: Expr,
    columns: tuple[Expr, Expr, Expr],
    names: Names,
    each: Callable[[Segment], Block],
) -> Block:
    """Runs ``each`` for every tile's part of columns [first, last); ``columns``: (how many, first, last)."""
    everything, first, last = columns
    out, inside = Lets(names), Lets(names)
    vectors = vector_count(layout, everything, out)
    column = out.define(first, "column")
    here = place(layout, features, vectors, column // layout.lanes, inside)
    start = inside.let(column, "start")
    tile_end = (start // layout.lanes + here.left) * layout.lanes
    end = inside.let(minimum(tile_end, last), "stop")
    base = inside.let(here.base - start // layout.lanes * layout.lanes, "base")
    inside.add(*each(Segment(start, end, base, here.stride)), Assign(column, end))
    out.add(While(column < last, inside.block()))
    return out.block()


# --- transposing ------------------------------------------------------------------------------


def transpose(rows: list[Expr], out: Lets) -> list[Expr]:
    """n vectors of n lanes (n = 4, 8, 16) -> n vectors: lane i of vector j becomes lane j of vector i.

    First 4 x 4 blocks inside 128 bits by interleaving, then 128-bit parts trade places:
    every step is one instruction on x86.
    """
    lanes = len(rows)
    mixed: list[Expr] = []
    for a, b, c, d in zip(*(rows[i::4] for i in range(4)), strict=True):
        low = [_interleave(p, q, 0, 1, out) for p, q in ((a, b), (c, d))]
        high = [_interleave(p, q, 1, 1, out) for p, q in ((a, b), (c, d))]
        mixed += [_interleave(p, q, half, 2, out) for p, q in (low, high) for half in (0, 1)]
    distance = 4
    while distance < lanes:
        for i in range(lanes):
            if not i & distance:
                mixed[i], mixed[i + distance] = _trade(mixed[i], mixed[i + distance], distance, out)
        distance *= 2
    return mixed


def _interleave(a: Expr, b: Expr, half: int, unit: int, out: Lets) -> Expr:
    """In each 128 bits: units (of 1 or 2 elements) of the lower or upper ``half`` of a and of b in turn."""
    lanes = _lanes(a)

    def origin(lane: int) -> int:
        turn, offset = divmod(lane % 4, unit)
        return lane // 4 * 4 + half * 2 + turn // 2 * unit + offset + turn % 2 * lanes

    return out.let(Shuffle(a, b, tuple(map(origin, range(lanes)))), "mix")


def _trade(a: Expr, b: Expr, distance: int, out: Lets) -> tuple[Expr, Expr]:
    """The lanes of a whose number has the bit ``distance`` change places with those of b that have it not."""
    lanes = _lanes(a)
    first = tuple(lanes + lane - distance if lane & distance else lane for lane in range(lanes))
    second = tuple(lanes + lane if lane & distance else lane + distance for lane in range(lanes))
    return out.let(Shuffle(a, b, first), "mix"), out.let(Shuffle(a, b, second), "mix")


def _lanes(vector: Expr) -> int:
    assert isinstance(vector.type, Vec)
    return vector.type.lanes


# --- rows -> tiled ----------------------------------------------------------------------------

RowVector = Callable[[int, Expr, Expr | None, Lets], Expr]


def rows_to_vector(
    layout: Layout, columns: Expr, vector: Expr, row: RowVector, out: Buf, names: Names
) -> Block:
    """Writes all ``FEATURES`` of one vector of columns of the tiled activation ``out``.

    ``row(lane, feature, mask, lets)`` loads ``lanes`` features from ``feature`` on of the column in
    that lane, under the mask if there is one. Lanes past the last column become zero.
    """
    lanes = layout.lanes
    body = Lets(names)
    here = place(layout, FEATURES, vector_count(layout, columns, body), vector, body)
    left = body.let(columns - vector * lanes, "left")
    f = Var(names.fresh("f"), I64)
    room = Var(names.fresh("room"), I64)

    whole, part = Lets(names), Lets(names)
    for i, value in enumerate(transpose([row(lane, f, None, whole) for lane in range(lanes)], whole)):
        whole.add(VStore(out, here.row(f + i), value))
    masks = [first_lanes(Select(index(lane) < left, room, zero()), lanes) for lane in range(lanes)]
    for i, value in enumerate(transpose([row(lane, f, masks[lane], part) for lane in range(lanes)], part)):
        part.add(If(index(i) < room, (VStore(out, here.row(f + i), value),)))

    inside = Lets(names)
    inside.let_as(room, minimum(FEATURES - f, index(lanes)))
    inside.add(If(Binary("and", room >= lanes, left >= lanes), whole.block(), part.block()))
    body.add(For(f, zero(), FEATURES, inside.block(), step=lanes))
    return body.block()


def pack(layout: Layout) -> Function:
    """``pack(x, out, features, columns)``: row-major x [columns, features] -> tiled out; padding is zero."""
    x, out = source("x"), sink("out")
    names = Names()
    body = Lets(names)
    begin, end = share(vector_count(layout, COLUMNS, body), body)
    vector = Var("vector", I64)

    def row(lane: int, feature: Expr, mask: Expr | None, lets: Lets) -> Expr:
        return lets.let(
            VLoad(x, (vector * layout.lanes + lane) * FEATURES + feature, layout.lanes, mask), "row"
        )

    body.add(For(vector, begin, end, rows_to_vector(layout, COLUMNS, vector, row, out, names)))
    return Function("pack", (x, out, FEATURES, COLUMNS), body.block())


# --- tiled -> rows ----------------------------------------------------------------------------

RowIndex = Callable[[Expr], Expr]


def _vector_to_rows(layout: Layout, vector: Expr, x: Buf, out: Buf, target: RowIndex, names: Names) -> Block:
    """Stores the columns of one vector of the tiled ``x`` as rows ``target(column)`` of ``out``."""
    lanes = layout.lanes
    body = Lets(names)
    here = place(layout, FEATURES, vector_count(layout, COLUMNS, body), vector, body)
    left = body.let(minimum(COLUMNS - vector * lanes, index(lanes)), "left")
    f = Var(names.fresh("f"), I64)
    room = Var(names.fresh("room"), I64)

    whole, part = Lets(names), Lets(names)
    loaded: list[Expr] = [whole.let(VLoad(x, here.row(f + i), lanes), "row") for i in range(lanes)]
    for lane, value in enumerate(transpose(loaded, whole)):
        whole.add(VStore(out, target(vector * lanes + lane) * FEATURES + f, value))
    loaded = []
    for i in range(lanes):
        mask = first_lanes(Select(index(i) < room, left, zero()), lanes)
        loaded.append(part.let(VLoad(x, here.row(f + i), lanes, mask), "row"))
    for lane, value in enumerate(transpose(loaded, part)):
        store = VStore(out, target(vector * lanes + lane) * FEATURES + f, value, first_lanes(room, lanes))
        part.add(If(index(lane) < left, (store,)))

    inside = Lets(names)
    inside.let_as(room, minimum(FEATURES - f, index(lanes)))
    inside.add(If(Binary("and", room >= lanes, left >= lanes), whole.block(), part.block()))
    body.add(For(f, zero(), FEATURES, inside.block(), step=lanes))
    return body.block()


def unpack(layout: Layout) -> Function:
    """``unpack(x, out, features, columns)``: tiled x -> row-major out [columns, features]."""
    x, out = source("x"), sink("out")
    names = Names()
    body = Lets(names)
    begin, end = share(vector_count(layout, COLUMNS, body), body)
    vector = Var("vector", I64)
    body.add(For(vector, begin, end, _vector_to_rows(layout, vector, x, out, lambda column: column, names)))
    return Function("unpack", (x, out, FEATURES, COLUMNS), body.block())


def scatter(layout: Layout) -> Function:
    """``scatter(x, destination, out, features, columns, rows)``: tiled x -> row-major out [rows, features].

    Column n becomes row ``destination[n]`` (i32 [columns], strictly increasing, below ``rows``);
    all other rows become zero.
    """
    x, destination, out = source("x"), integers("destination"), sink("out")
    names = Names()
    body = Lets(names)
    begin, end = share(vector_count(layout, COLUMNS, body), body)
    vector, column = Var("vector", I64), Var("column", I64)

    def target(at: Expr) -> Expr:
        return load_index(destination, at)

    # The thread that has a column also clears the rows between it and the column before.
    gap = Lets(names)
    start = gap.define(zero(), "start")
    gap.add(If(column > 0, (Assign(start, target(column - 1) + 1),)))
    gap.add(*_clear(layout, out, start * FEATURES, target(column) * FEATURES, names))
    moved = _vector_to_rows(layout, vector, x, out, target, names)
    stop = minimum((vector + 1) * layout.lanes, COLUMNS)
    body.add(For(vector, begin, end, (*moved, For(column, vector * layout.lanes, stop, gap.block()))))

    # Thread 0 clears what follows the last column.
    rest = Lets(names)
    after = rest.define(zero(), "after")
    rest.add(If(COLUMNS > 0, (Assign(after, target(COLUMNS - 1) + 1),)))
    rest.add(*_clear(layout, out, after * FEATURES, ROWS * FEATURES, names))
    body.add(If(Compare("eq", ThreadId(), zero()), rest.block()))
    return Function("scatter", (x, destination, out, FEATURES, COLUMNS, ROWS), body.block())


def _clear(layout: Layout, out: Buf, begin: Expr, end: Expr, names: Names) -> Block:
    """Zeros elements [begin, end)."""
    body = Lets(names)
    begin = body.let(begin, "from")
    end = body.let(end, "to")
    middle = body.let(begin + (end - begin) // layout.lanes * layout.lanes, "middle")
    i, j = Var(names.fresh("i"), I64), Var(names.fresh("i"), I64)
    body.add(For(i, begin, middle, (VStore(out, i, splat(0.0, layout.lanes)),), step=layout.lanes))
    body.add(For(j, middle, end, (Store(out, j, Const(0.0, F32)),)))
    return body.block()
