"""Attention with products of float32: the task of ``attention`` for 1, 2 ... vectors of queries.

Both products are register tiles of rows x vectors, fed by broadcasts of k or v.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aerogel.core.dtypes import DType
from aerogel.kernels.approx import Lets, Names, exp2_below, maximum, minimum
from aerogel.kernels.attention_rows import Run, over_columns
from aerogel.kernels.attention_terms import (
    BEGIN,
    COUNT,
    END,
    K_ROW,
    KEY_BIAS,
    LOG2_E,
    OUT,
    OUT_FEATURES,
    OUT_ROW,
    Q_ROW,
    QKV,
    QKV_FEATURES,
    QUERY,
    RELATIVE,
    SCALE,
    STACK_BYTES,
    TABLE,
    V_ROW,
    Attention,
    task_params,
)
from aerogel.kernels.layout import Layout, index, zero
from aerogel.kernels.pack import COLUMNS, Segment, first_lanes, segments, splat
from aerogel.loop.nodes import (
    I64,
    Alloc,
    Assign,
    Binary,
    Block,
    Broadcast,
    Buf,
    BufferType,
    Expr,
    Fma,
    For,
    Function,
    If,
    Load,
    Var,
    VLoad,
    VStore,
)

SCORE_BYTES = 24 * 1024


def most_vectors(layout: Layout, kind: Attention) -> int:
    """Vectors of queries of a task; its q and outputs share the stack with at least 32 keys."""
    each = (2 * kind.head_size + 32) * layout.lanes * 4
    return max(1, min(layout.width, STACK_BYTES // each))


def keys_at_once(layout: Layout, kind: Attention) -> int:
    """Keys of a block: a power of two, the same for all tasks."""
    vector = most_vectors(layout, kind) * layout.lanes * 4
    room = min(SCORE_BYTES, STACK_BYTES - 2 * kind.head_size * (vector + layout.lanes * 4)) // vector
    return 1 << max(4, min(7, room.bit_length() - 1))


def tasks(layout: Layout, kind: Attention) -> tuple[Function, ...]:
    """The task for 1, 2 ... ``most_vectors`` vectors of queries."""
    return tuple(_Block(layout, kind, n + 1).function() for n in range(most_vectors(layout, kind)))


@dataclass(frozen=True, slots=True)
class _Block:
    """The task for ``n`` vectors of queries; only the last may be partly filled."""

    layout: Layout
    kind: Attention
    n: int

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
        keys = keys_at_once(self.layout, self.kind)
        work = self.memory(keys, body)
        work.load_queries(body)
        mask = body.let(first_lanes(COUNT - (self.n - 1) * self.layout.lanes, self.layout.lanes), "mask")
        block = Var("block", I64)
        each = Lets(names)
        stop = each.let(minimum(block + keys, END), "stop")
        for i in range(self.n):
            each.add(VStore(work.before, work.at(zero(), i), work.load(work.greatest, zero(), i)))
        each.add(*work.over_keys(block, stop, lambda segment: work.scores(segment, block, mask)))
        work.softmax(block, stop, each)
        each.add(*work.over_keys(block, stop, lambda segment: work.add_values(segment, block)))
        body.add(For(block, BEGIN, END, each.block(), step=keys))
        work.store_outputs(body)
        return Function(f"{self.kind.name}_task{self.n}", task_params(self.kind), body.block())

    def memory(self, keys: int, out: Lets) -> _Work:
        """Scratch memory on the stack. What is kept or read at the last query reaches past its row."""
        size, spare = self.kind.head_size, self.layout.lanes
        elements = {"q": size * (self.row + spare), "o": size * self.row + spare, "p": keys * self.row}
        elements |= dict.fromkeys(("greatest", "before", "sums"), self.row)
        elements["sums"] += spare
        bufs = {name: Buf(name, BufferType(DType.F32, align=64)) for name in elements}
        out.add(*(Alloc(bufs[name], count) for name, count in elements.items()))
        return _Work(self, out.names, **bufs)


@dataclass(frozen=True, slots=True)
class _Work:
    """The steps of a task, over its scratch memory: ``q`` (scaled), ``o`` and ``p`` (scores, then weights) in
    rows of n vectors (q: one more); ``greatest``, ``before`` and ``sums`` one row each. Scores are in units
    of log 2."""

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

    def over_queries(self, features: Expr, each: Callable[[Run], Block]) -> Block:
        return over_columns(self.block.layout, features, (QUERY, QUERY + COUNT), self.names, each)

    def at_query(self, e: Expr, local: Expr) -> Expr:
        """Where q keeps feature ``e`` of a query."""
        return e * (self.block.row + self.lanes) + local

    def load_queries(self, out: Lets) -> None:
        """q scaled; o, sums and greatest at their start. Lanes past the last query are 0."""
        scale = out.let(Broadcast(SCALE * LOG2_E, self.lanes), "scale")
        nothing, size = splat(0.0, self.lanes), index(self.block.kind.head_size)

        def keep(run: Run) -> Block:
            e = self.counter("e")
            rows = [VStore(self.q, self.at_query(e, at.local), at.load(QKV, Q_ROW + e) * scale) for at in run]
            return (For(e, zero(), size, tuple(rows)),)

        out.add(*self.over_queries(QKV_FEATURES, keep))
        e, f = self.counter("e"), self.counter("e")
        rest = For(e, zero(), size, (VStore(self.q, self.at_query(e, COUNT), nothing),))
        out.add(If(COUNT < self.block.row, (rest,)))
        each = [VStore(self.o, self.at(f, i), nothing) for i in range(self.n)]
        out.add(For(f, zero(), size, tuple(each)))
        for i in range(self.n):
            # Finite, so that a key masked by -inf gets weight 0 even before any other was seen.
            out.add(VStore(self.greatest, self.at(zero(), i), splat(-3e38, self.lanes)))
            out.add(VStore(self.sums, self.at(zero(), i), nothing))

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
        q = [
            each.let(VLoad(self.q, self.at_query(e, index(i * self.lanes)), self.lanes), "q")
            for i in range(self.n)
        ]
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

    def store_outputs(self, out: Lets) -> None:
        """out = o / sums."""

        def share(run: Run) -> Block:
            e, each, rows = self.counter("e"), Lets(self.names), Lets(self.names)
            for at in run:
                total = VLoad(self.sums, at.local, self.lanes)
                part = each.let(Binary("div", splat(1.0, self.lanes), total), "share")
                value = VLoad(self.o, e * self.block.row + at.local, self.lanes) * part
                rows.add(at.store(OUT, OUT_ROW + e, value))
            each.add(For(e, zero(), index(self.block.kind.head_size), rows.block()))
            return each.block()

        out.add(*self.over_queries(OUT_FEATURES, share))


def _tree(values: list[Expr], op: Callable[[Expr, Expr], Expr]) -> Expr:
    """The values combined pairwise, so that no long chain of operations waits."""
    while len(values) > 1:
        pairs = [op(a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
        values = pairs + values[len(values) // 2 * 2 :]
    return values[0]
