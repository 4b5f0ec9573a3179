"""Attention over packed sequences: softmax(scale q k + bias) v, never more than a block of scores in memory.

One *block* is one head of one sequence and the queries of at most ``queries_at_once`` vectors of one tile.
Queries stand in lanes, so the softmax needs no horizontal sums. Keys come in blocks of ``keys_at_once``,
counted from the start of the sequence: scores of a block go to the stack, then the running maximum, the sum
and the outputs are rescaled (online softmax: Milakov and Gimelshein, 2018; Dao et al., 2022), then weighted
values are added. Both products are register tiles of rows x vectors, fed by broadcasts of k or v.

A sequence gives the same bits alone and in any batch, at any number of threads: every query sums over d and
over keys in order, and blocks of keys begin with the sequence. NaN in a sequence may spoil all of that
head of that sequence, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aerogel.core.dtypes import DType
from aerogel.kernels.approx import Lets, Names, exp2_below, maximum, minimum
from aerogel.kernels.layout import Layout, index, zero
from aerogel.kernels.pack import (
    COLUMNS,
    Segment,
    first_lanes,
    integers,
    load_index,
    place,
    segments,
    sink,
    source,
    splat,
    vector_count,
)
from aerogel.loop.nodes import (
    F32,
    I64,
    Alloc,
    Assign,
    Binary,
    Block,
    Broadcast,
    Buf,
    BufferType,
    Call,
    Compare,
    Expr,
    Fma,
    For,
    Function,
    If,
    Load,
    Param,
    ThreadCount,
    ThreadId,
    Unary,
    Var,
    VLoad,
    VStore,
)

LOG2_E = 1.4426950408889634
STACK_BYTES = 60 * 1024
SCORE_BYTES = 24 * 1024

QKV, KEY_BIAS, RELATIVE, OUT = source("qkv"), source("key_bias"), source("relative"), sink("out")
OFFSETS = integers("offsets")
SEQUENCES, HEADS, LIMIT = Var("sequences", I64), Var("heads", I64), Var("limit", I64)
QKV_FEATURES, OUT_FEATURES = Var("qkv_features", I64), Var("out_features", I64)
Q_ROW, K_ROW, V_ROW, OUT_ROW = (Var(f"{name}_row", I64) for name in ("q", "k", "v", "out"))
BEGIN, END = Var("begin", I64), Var("end", I64)
QUERY, COUNT, TABLE = Var("query", I64), Var("count", I64), Var("table", I64)
SCALE = Var("scale", F32)


@dataclass(frozen=True, slots=True)
class Attention:
    """What is baked into the code: the size of a head, and which biases scores get.

    ``key_bias``: one number per token, added to all scores of that key; -inf makes it no key, but every
    sequence keeps one.
    ``relative``: a table [heads, 2 limit - 1] indexed by the distance from query to key, *reversed*: what is
    added to the score of query i and key j stands at [h, i - j + limit - 1].
    """

    head_size: int
    key_bias: bool = False
    relative: bool = False

    @property
    def name(self) -> str:
        return (
            f"attention{self.head_size}"
            + ("_keys" if self.key_bias else "")
            + ("_relative" if self.relative else "")
        )

    def queries_at_once(self, layout: Layout) -> int:
        """Vectors of queries of a block; its q and outputs share the stack with at least 32 keys."""
        each = (2 * self.head_size + 32) * layout.lanes * 4
        return max(1, min(layout.width, STACK_BYTES // each))

    def keys_at_once(self, layout: Layout) -> int:
        """Keys of a block: a power of two, the same for all blocks."""
        vector = self.queries_at_once(layout) * layout.lanes * 4
        room = min(SCORE_BYTES, STACK_BYTES - 2 * self.head_size * vector) // vector
        return 1 << max(4, min(7, room.bit_length() - 1))


def attention(layout: Layout, kind: Attention) -> tuple[Function, ...]:
    """``attention(qkv, [key_bias,] [relative,] offsets, out, sequences, columns, heads, qkv_features, q_row,
    k_row, v_row, [limit,] scale)``: the last function; the others are what it calls.

    ``qkv``: tiled [qkv_features, columns]; feature e of head h of q is row q_row + h * head_size + e, and so
    for k and v. ``out``: tiled [heads * head_size, columns]; its padding becomes zero. ``offsets``: i32
    [sequences + 1], the first token of each sequence, and ``columns``. ``scale`` multiplies q k.
    """
    blocks = tuple(_Block(layout, kind, n + 1).function() for n in range(kind.queries_at_once(layout)))
    return (*blocks, _program(layout, kind))


def _biases(kind: Attention) -> tuple[Buf, ...]:
    return ((KEY_BIAS,) if kind.key_bias else ()) + ((RELATIVE,) if kind.relative else ())


# --- sharing the blocks --------------------------------------------------------------------------


def _program(layout: Layout, kind: Attention) -> Function:
    """Walks sequences, heads, tiles; a thread does the blocks that begin in its share of the whole cost."""
    names = Names()
    body, each = Lets(names), Lets(names)
    features = body.let(HEADS * kind.head_size, OUT_FEATURES.name)
    total = _pairs(layout, body)
    done = body.define(zero(), "done")
    b, head = Var("b", I64), Var("head", I64)
    start, stop = each.let(load_index(OFFSETS, b), "start"), each.let(load_index(OFFSETS, b + 1), "stop")

    def part(segment: Segment) -> Block:
        out = Lets(names)
        mine = Compare("eq", done * ThreadCount() // total, ThreadId())
        out.add(If(mine, _blocks(layout, kind, names, _Task(features, head, start, stop, segment))))
        out.add(Assign(done, done + _cost(layout, segment, start, stop)))
        return out.block()

    walk = segments(layout, zero(), (COLUMNS, start, stop), names, part)
    each.add(For(head, zero(), HEADS, walk))
    body.add(For(b, zero(), SEQUENCES, each.block()))
    body.add(If(Compare("eq", ThreadId(), zero()), _clear_padding(layout, features, names)))
    params: tuple[Param, ...] = (QKV, *_biases(kind), OFFSETS, OUT, SEQUENCES, COLUMNS, HEADS, QKV_FEATURES)
    params += (Q_ROW, K_ROW, V_ROW, *((LIMIT,) if kind.relative else ()), SCALE)
    return Function(kind.name, params, body.block())


def _cost(layout: Layout, segment: Segment, start: Expr, stop: Expr) -> Expr:
    """Keys times vectors of queries."""
    return (stop - start) * ((segment.end - segment.begin + (layout.lanes - 1)) // layout.lanes)


def _pairs(layout: Layout, out: Lets) -> Expr:
    """The cost of all blocks."""
    total, b, each = out.define(zero(), "total"), Var("s", I64), Lets(out.names)
    start, stop = each.let(load_index(OFFSETS, b), "start"), each.let(load_index(OFFSETS, b + 1), "stop")

    def part(segment: Segment) -> Block:
        return (Assign(total, total + HEADS * _cost(layout, segment, start, stop)),)

    each.add(*segments(layout, zero(), (COLUMNS, start, stop), out.names, part))
    out.add(For(b, zero(), SEQUENCES, each.block()))
    return total


@dataclass(frozen=True, slots=True)
class _Task:
    features: Expr
    head: Expr
    start: Expr
    stop: Expr
    queries: Segment


def _blocks(layout: Layout, kind: Attention, names: Names, task: _Task) -> Block:
    """Calls the block functions for one head of one sequence and its queries in one tile."""
    most = kind.queries_at_once(layout)
    out, each = Lets(names), Lets(names)
    row = out.let(task.head * kind.head_size, "row")
    table = (task.head * (LIMIT * 2 - 1) + (LIMIT - 1),) if kind.relative else ()
    query = Var(names.fresh("query"), I64)
    count = each.let(minimum(task.queries.end - query, index(most * layout.lanes)), "count")
    args: tuple[Expr, ...] = (
        COLUMNS,
        QKV_FEATURES,
        task.features,
        Q_ROW + row,
        K_ROW + row,
        V_ROW + row,
        row,
    )
    args += (task.start, task.stop, query, count, *table, SCALE)
    step: Block = ()
    for n in range(most, 0, -1):
        call = Call(f"{kind.name}_block{n}", (QKV, *_biases(kind), OUT, *args))
        step = (If(count <= n * layout.lanes, (call,), step),) if step else (call,)
    each.add(*step)
    out.add(For(query, task.queries.begin, task.queries.end, each.block(), step=most * layout.lanes))
    return out.block()


def _clear_padding(layout: Layout, features: Expr, names: Names) -> Block:
    """Zeros the columns past the last token."""
    out, row = Lets(names), Var(names.fresh("row"), I64)
    vectors = vector_count(layout, COLUMNS, out)
    inside = Lets(names)
    there = place(layout, features, vectors, vectors - 1, inside)
    mask = Unary("not", first_lanes(COLUMNS % layout.lanes, layout.lanes))
    inside.add(For(row, zero(), features, (VStore(OUT, there.row(row), splat(0.0, layout.lanes), mask),)))
    out.add(If(COLUMNS % layout.lanes > 0, inside.block()))
    return out.block()


# --- one block ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Block:
    """The function for ``n`` vectors of queries; only the last may be partly filled."""

    layout: Layout
    kind: Attention
    n: int

    def scratch(self, name: str, rows: int) -> Alloc:
        return Alloc(Buf(name, BufferType(DType.F32, align=64)), rows * self.row)

    @property
    def row(self) -> int:
        """Elements of one row of scratch memory."""
        return self.n * self.layout.lanes

    @property
    def tile_rows(self) -> int:
        """Rows of a register tile: more where few vectors would leave too few independent sums."""
        return 8 if 9 * self.n + 1 <= 5 * self.layout.width + 2 else 4

    def function(self) -> Function:
        names = Names()
        body = Lets(names)
        size, keys = self.kind.head_size, self.kind.keys_at_once(self.layout)
        memory = [self.scratch(name, rows) for name, rows in (("q", size), ("o", size), ("p", keys))]
        memory += [self.scratch(name, 1) for name in ("greatest", "before", "sums")]
        body.add(*memory)
        work = _Work(self, names, *(alloc.buf for alloc in memory))
        mask = body.let(first_lanes(COUNT - (self.n - 1) * self.layout.lanes, self.layout.lanes), "mask")
        work.load_queries(mask, body)
        block = Var("block", I64)
        each = Lets(names)
        stop = each.let(minimum(block + keys, END), "stop")
        for i in range(self.n):
            each.add(
                VStore(work.before, work.at(zero(), i), VLoad(work.greatest, work.at(zero(), i), work.lanes))
            )
        each.add(*work.over_keys(block, stop, lambda segment: work.scores(segment, block, mask)))
        work.softmax(block, stop, each)
        each.add(*work.over_keys(block, stop, lambda segment: work.add_values(segment, block)))
        body.add(For(block, BEGIN, END, each.block(), step=keys))
        work.store_outputs(mask, body)
        params: tuple[Param, ...] = (
            QKV,
            *_biases(self.kind),
            OUT,
            COLUMNS,
            QKV_FEATURES,
            OUT_FEATURES,
            Q_ROW,
            K_ROW,
        )
        params += (V_ROW, OUT_ROW, BEGIN, END, QUERY, COUNT, *((TABLE,) if self.kind.relative else ()), SCALE)
        return Function(f"{self.kind.name}_block{self.n}", params, body.block())


@dataclass(frozen=True, slots=True)
class _Work:
    """The steps of a block, over its scratch memory: ``q`` (scaled), ``o`` and ``p`` (scores, then weights)
    in rows of n vectors; ``greatest``, ``before`` and ``sums`` one row each. Scores are in units of log 2."""

    block: _Block
    names: Names
    q: Buf
    o: Buf
    p: Buf
    greatest: Buf
    before: Buf
    sums: Buf

    @property
    def lanes(self) -> int:
        return self.block.layout.lanes

    @property
    def n(self) -> int:
        return self.block.n

    def at(self, row: Expr, vector: int) -> Expr:
        return row * self.block.row + vector * self.lanes

    def load(self, buf: Buf, row: Expr, vector: int) -> VLoad:
        return VLoad(buf, self.at(row, vector), self.lanes)

    def counter(self, hint: str) -> Var:
        return Var(self.names.fresh(hint), I64)

    def masked(self, vector: int, mask: Expr) -> Expr | None:
        return mask if vector == self.n - 1 else None

    def over_keys(self, first: Expr, last: Expr, each: Callable[[Segment], Block]) -> Block:
        return segments(self.block.layout, QKV_FEATURES, (COLUMNS, first, last), self.names, each)

    def queries(self, features: Expr, row: Expr, out: Lets) -> Callable[[Expr, int], Expr]:
        """The index of (feature from ``row`` on, vector) of this block's queries in a tiled activation."""
        layout = self.block.layout
        here = place(layout, features, vector_count(layout, COLUMNS, out), QUERY // layout.lanes, out)
        first = out.let(here.row(row) + QUERY % layout.lanes, "first")
        return lambda e, vector: first + e * here.stride + vector * self.lanes

    def load_queries(self, mask: Expr, out: Lets) -> None:
        """q scaled; o, sums and greatest at their start. Lanes past the last query are 0."""
        e, each = self.counter("e"), Lets(self.names)
        scale = out.let(Broadcast(SCALE * LOG2_E, self.lanes), "scale")
        where = self.queries(QKV_FEATURES, Q_ROW, out)
        for i in range(self.n):
            value = VLoad(QKV, where(e, i), self.lanes, self.masked(i, mask)) * scale
            each.add(
                VStore(self.q, self.at(e, i), value), VStore(self.o, self.at(e, i), splat(0.0, self.lanes))
            )
            # Finite, so that a key masked by -inf gets weight 0 even before any other was seen.
            out.add(VStore(self.greatest, self.at(zero(), i), splat(-3e38, self.lanes)))
            out.add(VStore(self.sums, self.at(zero(), i), splat(0.0, self.lanes)))
        out.add(For(e, zero(), index(self.block.kind.head_size), each.block()))

    def scores(self, segment: Segment, block: Expr, mask: Expr) -> Block:
        """p = scores of the segment's keys, ``greatest`` raised to the greatest of them."""
        rows, out = self.block.tile_rows, Lets(self.names)
        key, single = self.counter("key"), self.counter("key")
        # The last tile overlaps the one before: it computes the same scores again.
        inside = Lets(self.names)
        first = inside.let(minimum(key, segment.end - rows), "first")
        inside.add(*self.score_tile(segment, first, rows, block, mask))
        whole = For(key, segment.begin, segment.end, inside.block(), step=rows)
        alone = For(single, segment.begin, segment.end, self.score_tile(segment, single, 1, block, mask))
        out.add(If(segment.end - segment.begin >= rows, (whole,), (alone,)))
        return out.block()

    def score_tile(self, segment: Segment, key: Expr, rows: int, block: Expr, mask: Expr) -> Block:
        """Scores of ``rows`` keys from ``key`` on."""
        out, each, e = Lets(self.names), Lets(self.names), self.counter("e")
        tile = [[out.define(splat(0.0, self.lanes), "score") for _ in range(self.n)] for _ in range(rows)]
        first = out.let(segment.at(K_ROW, key), "first")
        q = [each.let(self.load(self.q, e, i), "q") for i in range(self.n)]
        for r in range(rows):
            k = each.let(Broadcast(Load(QKV, first + e * segment.stride + r), self.lanes), "k")
            each.add(*(Assign(tile[r][i], Fma(k, q[i], tile[r][i])) for i in range(self.n)))
        out.add(For(e, zero(), index(self.block.kind.head_size), each.block()))
        columns: list[list[Expr]] = [[] for _ in range(self.n)]
        for r in range(rows):
            for i in range(self.n):
                score = out.let(self.biased(tile[r][i], key + r, i, mask), "biased")
                out.add(VStore(self.p, self.at(key - block + r, i), score))
                columns[i].append(score)
        for i, column in enumerate(columns):
            highest = maximum(_tree(column, maximum), self.load(self.greatest, zero(), i))
            out.add(VStore(self.greatest, self.at(zero(), i), highest))
        return out.block()

    def biased(self, score: Expr, key: Expr, vector: int, mask: Expr) -> Expr:
        if self.block.kind.key_bias:
            score = score + Broadcast(Load(KEY_BIAS, key) * LOG2_E, self.lanes)
        if self.block.kind.relative:
            # Queries rise along the lanes, so the reversed table is read forwards.
            at = TABLE + (QUERY - key) + vector * self.lanes
            table = VLoad(RELATIVE, at, self.lanes, self.masked(vector, mask))
            score = Fma(table, splat(LOG2_E, self.lanes), score)
        return score

    def softmax(self, block: Expr, stop: Expr, out: Lets) -> None:
        """p = 2^(p - greatest); sums and o, made with the greatest before, are brought to the new one."""
        greatest = [out.let(self.load(self.greatest, zero(), i), "greatest") for i in range(self.n)]
        fall = [out.let(self.load(self.before, zero(), i) - g, "fall") for i, g in enumerate(greatest)]
        factors = [exp2_below(f, out) for f in fall]
        sums = [out.define(self.load(self.sums, zero(), i) * f, "sum") for i, f in enumerate(factors)]
        e, rescale = self.counter("e"), Lets(self.names)
        for i, factor in enumerate(factors):
            rescale.add(VStore(self.o, self.at(e, i), self.load(self.o, e, i) * factor))
        again = For(e, zero(), index(self.block.kind.head_size), rescale.block())
        out.add(If(block > BEGIN, (again,)))
        key, each = self.counter("key"), Lets(self.names)
        for i, g in enumerate(greatest):
            weight = exp2_below(each.let(self.load(self.p, key, i) - g, "t"), each)
            each.add(VStore(self.p, self.at(key, i), weight), Assign(sums[i], sums[i] + weight))
        out.add(For(key, zero(), stop - block, each.block()))
        out.add(*(VStore(self.sums, self.at(zero(), i), total) for i, total in enumerate(sums)))

    def add_values(self, segment: Segment, block: Expr) -> Block:
        """o += v p over the segment's keys."""
        size, rows = self.block.kind.head_size, self.block.tile_rows
        whole, e = size // rows * rows, self.counter("e")
        loop = For(e, zero(), index(whole), self.value_tile(segment, e, rows, block), step=rows)
        rest = self.value_tile(segment, index(whole), size - whole, block) if size > whole else ()
        return (loop, *rest)

    def value_tile(self, segment: Segment, e: Expr, rows: int, block: Expr) -> Block:
        """``rows`` features from ``e`` on."""
        out, each, key = Lets(self.names), Lets(self.names), self.counter("key")
        tile = [
            [out.define(self.load(self.o, e + r, i), "value") for i in range(self.n)] for r in range(rows)
        ]
        first = [out.let(segment.at(V_ROW + e + r, zero()), "first") for r in range(rows)]
        p = [each.let(self.load(self.p, key - block, i), "p") for i in range(self.n)]
        for r in range(rows):
            v = each.let(Broadcast(Load(QKV, first[r] + key), self.lanes), "v")
            each.add(*(Assign(tile[r][i], Fma(v, p[i], tile[r][i])) for i in range(self.n)))
        out.add(For(key, segment.begin, segment.end, each.block()))
        for r, sums in enumerate(tile):
            out.add(*(VStore(self.o, self.at(e + r, i), total) for i, total in enumerate(sums)))
        return out.block()

    def store_outputs(self, mask: Expr, out: Lets) -> None:
        """out = o / sums."""
        one = splat(1.0, self.lanes)
        shares = [
            out.let(Binary("div", one, self.load(self.sums, zero(), i)), "share") for i in range(self.n)
        ]
        e, each = self.counter("e"), Lets(self.names)
        where = self.queries(OUT_FEATURES, OUT_ROW, out)
        for i, share_ in enumerate(shares):
            each.add(VStore(OUT, where(e, i), self.load(self.o, e, i) * share_, self.masked(i, mask)))
        out.add(For(e, zero(), index(self.block.kind.head_size), each.block()))


def _tree(values: list[Expr], op: Callable[[Expr, Expr], Expr]) -> Expr:
    """The values combined pairwise, so that no long chain of operations waits."""
    while len(values) > 1:
        pairs = [op(a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
        values = pairs + values[len(values) // 2 * 2 :]
    return values[0]
