"""Attention over packed sequences: softmax(scale q k + bias) v, never more than a block of scores in memory.

One *task* is one head of one sequence and some of its queries. Queries stand in lanes, so the softmax needs
no horizontal sums. Keys come in blocks, counted from the start of the sequence: scores of a block go to the
stack, then the running maximum, the sum and the outputs are rescaled (online softmax: Milakov and
Gimelshein, 2018; Dao et al., 2022), then weighted values are added. What a task does is in
``attention_float`` and ``attention_int8``; here tasks are shared out.

A sequence gives the same bits alone and in any batch, at any number of threads: every query sums over d and
over keys in order, and blocks of keys begin with the sequence. NaN in a sequence may spoil all of that
head of that sequence, and nothing else.
"""

from __future__ import annotations

from aerogel.kernels import attention_float, attention_int8
from aerogel.kernels.approx import Lets, Names, minimum
from aerogel.kernels.attention_terms import (
    HEADS,
    K_ROW,
    LIMIT,
    OFFSETS,
    OUT,
    OUT_FEATURES,
    Q_ROW,
    QKV,
    QKV_FEATURES,
    SCALE,
    SEQUENCES,
    V_ROW,
    Attention,
)
from aerogel.kernels.layout import Layout, zero
from aerogel.kernels.pack import COLUMNS, first_lanes, load_index, place, splat, vector_count
from aerogel.loop.nodes import (
    I64,
    Assign,
    Block,
    Call,
    Compare,
    Expr,
    For,
    Function,
    If,
    Param,
    ThreadCount,
    ThreadId,
    Unary,
    Var,
    VStore,
)

__all__ = ["Attention", "attention"]


def attention(layout: Layout, kind: Attention) -> tuple[Function, ...]:
    """``attention(qkv, [key_bias,] [relative,] offsets, out, sequences, columns, heads, qkv_features, q_row,
    k_row, v_row, [limit,] scale)``: the last function; the others are what it calls.

    ``qkv``: tiled [qkv_features, columns]; feature e of head h of q is row q_row + h * head_size + e, and so
    for k and v. ``out``: tiled [heads * head_size, columns]; its padding becomes zero. ``offsets``: i32
    [sequences + 1], the first token of each sequence, and ``columns``. ``scale`` multiplies q k.
    """
    match kind.products:
        case "fp32":
            functions, most = attention_float.tasks(layout, kind), attention_float.most_vectors(layout, kind)
            tasks = tuple(f.name for f in functions)
        case "int8":
            functions, most = attention_int8.tasks(layout, kind), attention_int8.most_vectors(layout, kind)
            tasks = (functions[-1].name,)
    return (*functions, _program(layout, kind, tasks, most))


def _program(layout: Layout, kind: Attention, tasks: tuple[str, ...], most: int) -> Function:
    """Walks sequences, heads, parts of at most ``most`` vectors of queries; a thread does the tasks that
    begin in its share of the whole cost: keys times vectors of queries."""
    names = Names()
    body, each, inner = Lets(names), Lets(names), Lets(names)
    features = body.let(HEADS * kind.head_size, OUT_FEATURES.name)
    total = _whole_cost(layout, body)
    done = body.define(zero(), "done")
    b, head, part = Var("b", I64), Var("head", I64), Var("part", I64)
    start, stop, vectors = _sequence(layout, b, each)
    parts = each.let((vectors + (most - 1)) // most, "parts")
    # Parts as equal as can be: a last one of one vector would keep few multipliers busy.
    size = each.let((vectors + parts - 1) // parts * layout.lanes, "size")
    query = inner.let(start + part * size, "query")
    count = inner.let(minimum(stop - query, size), "count")
    row = inner.let(head * kind.head_size, "row")
    args: tuple[Expr, ...] = (COLUMNS, QKV_FEATURES, features, Q_ROW + row, K_ROW + row, V_ROW + row, row)
    args += (start, stop, query, count)
    args += (head * (LIMIT * 2 - 1) + (LIMIT - 1),) if kind.relative else ()
    mine = Compare("eq", done * ThreadCount() // total, ThreadId())
    inner.add(If(mine, _task(layout, kind, tasks, count, (*args, SCALE))))
    inner.add(Assign(done, done + (stop - start) * ((count + (layout.lanes - 1)) // layout.lanes)))
    walk = For(head, zero(), HEADS, (For(part, zero(), parts, inner.block()),))
    each.add(If(vectors > 0, (walk,)))
    body.add(For(b, zero(), SEQUENCES, each.block()))
    body.add(If(Compare("eq", ThreadId(), zero()), _clear_padding(layout, features, names)))
    params: tuple[Param, ...] = (QKV, *kind.biases, OFFSETS, OUT, SEQUENCES, COLUMNS, HEADS, QKV_FEATURES)
    params += (Q_ROW, K_ROW, V_ROW, *((LIMIT,) if kind.relative else ()), SCALE)
    return Function(kind.name, params, body.block())


def _sequence(layout: Layout, b: Expr, out: Lets) -> tuple[Expr, Expr, Expr]:
    """Where sequence ``b`` begins and ends, and how many vectors its queries fill."""
    start, stop = out.let(load_index(OFFSETS, b), "start"), out.let(load_index(OFFSETS, b + 1), "stop")
    return start, stop, out.let((stop - start + (layout.lanes - 1)) // layout.lanes, "length")


def _whole_cost(layout: Layout, out: Lets) -> Expr:
    """The cost of all tasks."""
    total, b, each = out.define(zero(), "total"), Var("s", I64), Lets(out.names)
    start, stop, vectors = _sequence(layout, b, each)
    each.add(Assign(total, total + HEADS * (stop - start) * vectors))
    out.add(For(b, zero(), SEQUENCES, each.block()))
    return total


def _task(
    layout: Layout, kind: Attention, tasks: tuple[str, ...], count: Expr, args: tuple[Expr, ...]
) -> Block:
    """Calls the task for as many vectors as ``count`` queries fill: ``tasks[n - 1]`` takes up to n."""
    step: Block = ()
    for n in range(len(tasks), 0, -1):
        call = Call(tasks[n - 1], (QKV, *kind.biases, OUT, *args))
        step = (If(count <= n * layout.lanes, (call,), step),) if step else (call,)
    return step


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
