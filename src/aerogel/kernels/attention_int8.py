"""Attention with products of 8-bit integers: the task of ``attention`` for some queries of a head.

Queries, keys and values become integers with a scale per token and head (``attention_grids``); both products
are 4-way dot products with exact sums in int32, the softmax between them is float32. A value's scale 2^lift
is not put on the value but into the weight of its key:

    w_j = 2^(s_j + lift_j - m)      m: the greatest s_j + lift_j yet
    out = sum_j round(254 w_j) v_j / sum_j (254 w_j 2^-lift_j)

So the rounding of weights, in steps of 1/254 of the greatest, spends its digits where the output comes
from: a key that draws most of the attention to a value next to nothing ("attention sink") does not press
all others below one step. Weights of 4 keys that share a word are rounded as running sums, so many small ones
lose at most half a step a word, not half a step each.

Errors: about 1 % of the output's norm on queries, keys and values of a text encoder (see ``docs/engine.md``);
see ``attention_grids`` for the range of values.
"""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.core.dtypes import DType
from aerogel.kernels.approx import Lets, Names, exp2_below, exp2_rough, maximum, minimum
from aerogel.kernels.attention_grids import (
    F32_BUFFER,
    I32_BUFFER,
    WORD,
    Grids,
    Keys,
    Queries,
)
from aerogel.kernels.attention_rows import Run, over_columns
from aerogel.kernels.attention_terms import (
    BEGIN,
    COUNT,
    END,
    LOG2_E,
    OUT,
    OUT_FEATURES,
    OUT_ROW,
    QKV_FEATURES,
    QUERY,
    RELATIVE,
    STACK_BYTES,
    TABLE,
    Attention,
    task_params,
)
from aerogel.kernels.layout import Layout, index, zero
from aerogel.kernels.pack import first_lanes, splat
from aerogel.loop.nodes import (
    I64,
    Alloc,
    Assign,
    Binary,
    Bitcast,
    Block,
    Broadcast,
    Buf,
    BufferType,
    Call,
    Cast,
    Const,
    Dot4,
    Expr,
    Fma,
    For,
    Function,
    If,
    LetView,
    Load,
    Param,
    Var,
    Vec,
    VLoad,
    VStore,
    While,
)

TOP = 254.0
"""What the greatest weight becomes: rounding must not lift it past 255."""
_ROUND = 12582912.0
_ROUND_BITS = 0x4B400000

VALUES, GREATEST, SUMS = (Buf(name, F32_BUFFER) for name in ("o", "greatest", "sums"))
KEY_COUNT, FIRST, ROOM, SHIFT = (Var(name, I64) for name in ("keys", "first", "room", "shift"))


@dataclass(frozen=True, slots=True)
class Sizes:
    """A task has up to ``queries`` queries, worked on in groups of up to ``vectors`` vectors, against
    ``keys`` keys at once."""

    queries: int
    vectors: int
    keys: int


def sizes(layout: Layout, kind: Attention) -> Sizes:
    """The largest that share the stack; keys are the same for all tasks, since blocks begin with them."""
    lanes = layout.lanes
    found = Sizes(lanes, 1, 16)
    for keys in (16, 32, 64):
        for vectors in (1, 2, 4, 8):
            tried = Sizes(vectors * lanes, min(vectors, layout.width), keys)
            if vectors * lanes <= 128 and _stack_bytes(layout, kind, tried) <= STACK_BYTES:
                found = tried
    return found


def _stack_bytes(layout: Layout, kind: Attention, size: Sizes) -> int:
    words = -(-kind.head_size // WORD)
    row, keys = size.queries + layout.lanes, size.keys + layout.lanes
    queries = 4 * words * row + 4 * kind.head_size * row + 4 * 4 * row
    scores = 4 * size.vectors * layout.lanes * (size.keys + size.keys // WORD + 1)
    return queries + 4 * words * keys + kind.head_size * keys + 3 * 4 * keys + scores


def most_vectors(layout: Layout, kind: Attention) -> int:
    """Vectors of queries of a task."""
    return sizes(layout, kind).queries // layout.lanes


def tasks(layout: Layout, kind: Attention) -> tuple[Function, ...]:
    """The groups of 1, 2 ... vectors, and last the task, which calls them."""
    size = sizes(layout, kind)
    groups = tuple(_Group(layout, kind, n + 1).function() for n in range(size.vectors))
    return (*groups, _Task(layout, kind).function())


# --- the task ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Memory:
    """A task's buffers, all of ``row`` queries or ``key_row`` keys a row; ``words`` of values as i32."""

    queries: Queries
    keys: Keys
    value_bytes: Buf
    value_words: Buf

    @staticmethod
    def of(layout: Layout, kind: Attention) -> _Memory:
        size = sizes(layout, kind)
        value_bytes = Buf("value_bytes", BufferType(DType.U8, align=64))
        values = Buf("values", BufferType(DType.I8, align=64))
        scale, lift, unlift = (Buf(name, F32_BUFFER) for name in ("k_scale", "lift", "unlift"))
        return _Memory(
            Queries(Buf("q", I32_BUFFER), Buf("q_scale", F32_BUFFER), Buf("q_start", I32_BUFFER),
                    size.queries + layout.lanes),
            Keys(Buf("k", I32_BUFFER), values, scale, lift, unlift, size.keys + layout.lanes),
            value_bytes,
            Buf("v", I32_BUFFER),
        )  # fmt: skip

    @property
    def passed(self) -> tuple[Buf, ...]:
        """What a group takes."""
        q, k = self.queries, self.keys
        shared = (k.words, self.value_words, k.scale, k.lift, k.unlift)
        return (*shared, q.words, q.scale, q.start, VALUES, GREATEST, SUMS)


@dataclass(frozen=True, slots=True)
class _Task:
    """Queries to integers; block by block of keys: keys and values to integers, every group of queries
    against them; outputs divided by their sums."""

    layout: Layout
    kind: Attention

    def function(self) -> Function:
        names, memory = Names(), _Memory.of(self.layout, self.kind)
        body, block = Lets(names), Var("block", I64)
        self._allocate(memory, body)
        grids = Grids(self.kind.head_size, self.layout.lanes, self.kind.key_bias)
        vectors = body.let((COUNT + (self.layout.lanes - 1)) // self.layout.lanes, "vectors")
        self._begin(memory, grids, vectors, body)
        each = Lets(names)
        stop = each.let(minimum(block + sizes(self.layout, self.kind).keys, END), "stop")

        def key(run: Run) -> Block:
            out = Lets(names)
            grids.key(memory.keys, run, out)
            return out.block()

        each.add(*over_columns(self.layout, QKV_FEATURES, (block, stop), names, key))
        each.add(*grids.no_keys(memory.keys, each.let(stop - block, "held")))
        self._groups(memory, vectors, block, stop, each)
        body.add(For(block, BEGIN, END, each.block(), step=sizes(self.layout, self.kind).keys))
        self._finish(memory, body)
        return Function(f"{self.kind.name}_task", task_params(self.kind), body.block())

    def _allocate(self, memory: _Memory, out: Lets) -> None:
        q, k, lanes = memory.queries, memory.keys, self.layout.lanes
        words, size = -(-self.kind.head_size // WORD), self.kind.head_size
        sized = {q.words: words * q.row, q.scale: q.row, q.start: q.row, VALUES: size * q.row + lanes}
        sized |= {GREATEST: q.row, SUMS: q.row + lanes, k.words: words * k.row}
        sized |= {memory.value_bytes: size * k.row, k.scale: k.row, k.lift: k.row, k.unlift: k.row}
        out.add(*(Alloc(buf, count) for buf, count in sized.items()))
        for view, count in ((k.values, size * k.row), (memory.value_words, size * k.row // WORD)):
            out.add(LetView(view, memory.value_bytes, zero(), index(count)))

    def _begin(self, memory: _Memory, grids: Grids, vectors: Expr, out: Lets) -> None:
        lanes, nothing = self.layout.lanes, splat(0.0, self.layout.lanes)

        def query(run: Run) -> Block:
            lets = Lets(out.names)
            grids.query(memory.queries, run, lets)
            return lets.block()

        part = (QUERY, QUERY + COUNT)
        out.add(*over_columns(self.layout, QKV_FEATURES, part, out.names, query))
        at, e = Var("at", I64), Var("e", I64)
        clear = For(
            e, zero(), index(self.kind.head_size), (VStore(VALUES, e * memory.queries.row + at, nothing),)
        )
        # Finite, so that a key masked by -inf gets weight 0 even before any other was seen.
        start = (VStore(GREATEST, at, splat(-3e38, lanes)), VStore(SUMS, at, nothing))
        out.add(For(at, zero(), vectors * lanes, (*start, clear), step=lanes))

    def _groups(self, memory: _Memory, vectors: Expr, block: Expr, stop: Expr, out: Lets) -> None:
        """Calls the groups, cut so that the last is not much smaller than the others."""
        most, lanes = sizes(self.layout, self.kind).vectors, self.layout.lanes
        done = out.define(zero(), "done")
        inside = Lets(out.names)
        left = inside.let(vectors - done, "left")
        pieces = (left + (most - 1)) // most
        n = inside.let((left + pieces - 1) // pieces, "n")
        first = inside.let(done * lanes, "first")
        table = (RELATIVE,) if self.kind.relative else ()
        shift = (TABLE + QUERY + first - block,) if self.kind.relative else ()
        args = (*memory.passed, *table, stop - block, first, COUNT - first, *shift)
        step: Block = (Call(f"{self.kind.name}_group{most}", args),)
        for size in range(most - 1, 0, -1):
            step = (If(n <= size, (Call(f"{self.kind.name}_group{size}", args),), step),)
        inside.add(*step, Assign(done, done + n))
        out.add(While(done < vectors, inside.block()))

    def _finish(self, memory: _Memory, out: Lets) -> None:
        lanes, names = self.layout.lanes, out.names

        def share(run: Run) -> Block:
            e, each, rows = Var(names.fresh("e"), I64), Lets(names), Lets(names)
            for at in run:
                total = VLoad(SUMS, at.local, lanes)
                part = each.let(Binary("div", splat(1.0, lanes), total), "share")
                value = VLoad(VALUES, e * memory.queries.row + at.local, lanes) * part
                rows.add(at.store(OUT, OUT_ROW + e, value))
            each.add(For(e, zero(), index(self.kind.head_size), rows.block()))
            return each.block()

        out.add(*over_columns(self.layout, OUT_FEATURES, (QUERY, QUERY + COUNT), names, share))


# --- one group against one block of keys ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Group:
    """``n`` vectors of queries from ``first`` on against ``keys`` keys; ``room``: how many of them there are
    from ``first`` on, ``shift``: where the table has the distance of query ``first`` and key 0."""

    layout: Layout
    kind: Attention
    n: int

    @property
    def lanes(self) -> int:
        return self.layout.lanes

    @property
    def row(self) -> int:
        """Elements of one row of scores or words of weights."""
        return self.n * self.lanes

    @property
    def tile_rows(self) -> int:
        """Rows of a register tile, as in ``attention_float``; not more than there are padding keys."""
        return min(8 if 9 * self.n + 1 <= 5 * self.layout.width + 2 else 4, max(4, self.lanes))

    def function(self) -> Function:
        names, memory = Names(), _Memory.of(self.layout, self.kind)
        body = Lets(names)
        keys = sizes(self.layout, self.kind).keys
        scores, weights = Buf("scores", F32_BUFFER), Buf("weights", I32_BUFFER)
        body.add(Alloc(scores, keys * self.row), Alloc(weights, keys // WORD * self.row))
        work = _Work(self, names, memory, scores, weights)
        greatest = work.scores_of_all(body)
        factors = work.softmax(greatest, body)
        work.add_values(factors, body)
        table = (RELATIVE,) if self.kind.relative else ()
        shift = (SHIFT,) if self.kind.relative else ()
        params: tuple[Param, ...] = (*memory.passed, *table, KEY_COUNT, FIRST, ROOM, *shift)
        return Function(f"{self.kind.name}_group{self.n}", params, body.block())


@dataclass(frozen=True, slots=True)
class _Work:
    """The steps of a group over its ``scores`` [key][query], f32, and ``weights`` [word of keys][query]."""

    group: _Group
    names: Names
    memory: _Memory
    scores: Buf
    weights: Buf

    @property
    def lanes(self) -> int:
        return self.group.lanes

    @property
    def n(self) -> int:
        return self.group.n

    def counter(self, hint: str) -> Var:
        return Var(self.names.fresh(hint), I64)

    def of_query(self, buf: Buf, vector: int) -> VLoad:
        """What is kept per query."""
        return VLoad(buf, FIRST + vector * self.lanes, self.lanes)

    def of_key(self, buf: Buf, key: Expr) -> Expr:
        """What is kept per key, in all lanes."""
        return Broadcast(Load(buf, key), self.lanes)

    def as_bytes(self, words: Expr, dtype: DType) -> Expr:
        return Bitcast(words, Vec(dtype, WORD * self.lanes))

    def scores_of_all(self, out: Lets) -> list[Expr]:
        """Scores with bias and lift of all keys, in units of log 2; the greatest met, by vector."""
        nothing = [out.let(self.of_query(GREATEST, i), "before") for i in range(self.n)]
        greatest: list[Var] = [out.define(value, "greatest") for value in nothing]
        key, each = self.counter("key"), Lets(self.names)
        self.score_tile(key, greatest, each)
        out.add(For(key, zero(), KEY_COUNT, each.block(), step=self.group.tile_rows))
        return list(greatest)

    def score_tile(self, key: Expr, greatest: list[Var], out: Lets) -> None:
        rows, q, k = self.group.tile_rows, self.memory.queries, self.memory.keys
        starts = [self.of_query(q.start, i) for i in range(self.n)]
        tile = [[out.define(starts[i], "dot") for i in range(self.n)] for _ in range(rows)]
        word, each = self.counter("word"), Lets(self.names)
        queries = [
            each.let(self.as_bytes(self.of_query_row(q.words, word * q.row, i), DType.I8), "q")
            for i in range(self.n)
        ]
        for r in range(rows):
            four = each.let(self.as_bytes(self.of_key(k.words, word * k.row + key + r), DType.U8), "k")
            each.add(*(Assign(tile[r][i], Dot4(tile[r][i], four, queries[i])) for i in range(self.n)))
        words = -(-self.group.kind.head_size // WORD)
        out.add(For(word, zero(), index(words), each.block()))
        scales = [out.let(self.of_query(q.scale, i), "scale") for i in range(self.n)]
        for r in range(rows):
            scale, lift = (out.let(self.of_key(b, key + r), "of_key") for b in (k.scale, k.lift))
            for i in range(self.n):
                dot = Cast(tile[r][i], Vec(DType.F32, self.lanes)) * scale
                score = out.let(self.biased(Fma(dot, scales[i], lift), key + r, i), "score")
                out.add(VStore(self.scores, (key + r) * self.group.row + i * self.lanes, score))
                out.add(Assign(greatest[i], maximum(score, greatest[i])))

    def of_query_row(self, buf: Buf, row: Expr, vector: int) -> VLoad:
        return VLoad(buf, row + FIRST + vector * self.lanes, self.lanes)

    def biased(self, score: Expr, key: Expr, vector: int) -> Expr:
        if not self.group.kind.relative:
            return score
        # Queries rise along the lanes, so the reversed table is read forwards. Padding keys read as the last.
        at = SHIFT - minimum(key, KEY_COUNT - 1) + vector * self.lanes
        mask = first_lanes(ROOM - vector * self.lanes, self.lanes) if vector == self.n - 1 else None
        return Fma(VLoad(RELATIVE, at, self.lanes, mask), splat(LOG2_E, self.lanes), score)

    def softmax(self, greatest: list[Expr], out: Lets) -> list[Expr]:
        """Weights of all keys, and their sums; what outputs made with the greatest before are to be
        multiplied by."""
        tops = [out.let(g, "top") for g in greatest]
        falls = [out.let(self.of_query(GREATEST, i) - top, "fall") for i, top in enumerate(tops)]
        factors = [exp2_below(fall, out) for fall in falls]
        sums = [out.define(self.of_query(SUMS, i) * f, "sum") for i, f in enumerate(factors)]
        for i, (top, total) in enumerate(zip(tops, sums, strict=True)):
            self.weigh(i, top, total, out)
        for i, top in enumerate(tops):
            out.add(
                VStore(GREATEST, FIRST + i * self.lanes, top), VStore(SUMS, FIRST + i * self.lanes, sums[i])
            )
        return factors

    def weigh(self, vector: int, top: Expr, total: Var, out: Lets) -> None:
        """Weights of one vector of queries, added to ``total``. Vector after vector: a shorter loop, of which
        the CPU has more turns in flight."""
        word, each = self.counter("word"), Lets(self.names)
        parts: list[Expr] = []
        for j in range(WORD):
            at = (word * WORD + j) * self.group.row + vector * self.lanes
            weight = exp2_rough(each.let(VLoad(self.scores, at, self.lanes) - top, "t"), TOP, each)
            unlift = self.of_key(self.memory.keys.unlift, word * WORD + j)
            each.add(Assign(total, Fma(weight, unlift, total)))
            parts.append(weight)
        packed = _rounded_word(parts, each)
        each.add(VStore(self.weights, word * self.group.row + vector * self.lanes, packed))
        out.add(For(word, zero(), (KEY_COUNT + (WORD - 1)) // WORD, each.block()))

    def add_values(self, factors: list[Expr], out: Lets) -> None:
        """o = o factor + v w."""
        size, rows = self.group.kind.head_size, self.group.tile_rows
        whole, e = size // rows * rows, self.counter("e")
        inside = Lets(self.names)
        self.value_tile(e, rows, factors, inside)
        out.add(For(e, zero(), index(whole), inside.block(), step=rows))
        if size > whole:
            self.value_tile(index(whole), size - whole, factors, out)

    def value_tile(self, e: Expr, rows: int, factors: list[Expr], out: Lets) -> None:
        """``rows`` features from ``e`` on."""
        nothing = Const(0, Vec(DType.I32, self.lanes))
        tile = [[out.define(nothing, "dot") for _ in range(self.n)] for _ in range(rows)]
        word, each = self.counter("word"), Lets(self.names)
        weights = [
            each.let(
                self.as_bytes(
                    VLoad(self.weights, word * self.group.row + i * self.lanes, self.lanes), DType.U8
                ),
                "w",
            )
            for i in range(self.n)
        ]
        stride = self.memory.keys.row // WORD
        for r in range(rows):
            at = (e + r) * stride + word
            four = each.let(self.as_bytes(self.of_key(self.memory.value_words, at), DType.I8), "v")
            each.add(*(Assign(tile[r][i], Dot4(tile[r][i], weights[i], four)) for i in range(self.n)))
        out.add(For(word, zero(), (KEY_COUNT + (WORD - 1)) // WORD, each.block()))
        for r in range(rows):
            for i in range(self.n):
                at = (e + r) * self.memory.queries.row + FIRST + i * self.lanes
                got = Cast(tile[r][i], Vec(DType.F32, self.lanes))
                out.add(VStore(VALUES, at, Fma(VLoad(VALUES, at, self.lanes), factors[i], got)))


def _rounded_word(parts: list[Expr], out: Lets) -> Expr:
    """Four weights as bytes of one word: differences of their running sums, each rounded to an integer."""
    ints = Vec(DType.I32, _lanes(parts[0]))
    running, before = parts[0], Const(_ROUND_BITS, ints)
    word: Expr | None = None
    for j, part in enumerate(parts):
        running = out.let(running + part, "running") if j else part
        rounded = out.let(Bitcast(running + _ROUND, ints), "rounded")
        byte = rounded - before
        word = byte if word is None else out.let(word + (byte << (8 * j)), "word")
        before = rounded
    assert word is not None
    return word


def _lanes(x: Expr) -> int:
    assert isinstance(x.type, Vec)
    return x.type.lanes
