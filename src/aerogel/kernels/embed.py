"""Embedding: the sum of one row from each of several tables, per token, into a tiled activation.

A transposing gather: rows come in with features in lanes, are summed, and leave with tokens in lanes.
"""

from __future__ import annotations

from aerogel.core.dtypes import DType
from aerogel.core.errors import UnsupportedError, require
from aerogel.kernels.approx import Lets, Names
from aerogel.kernels.layout import Layout, index, zero
from aerogel.kernels.pack import (
    COLUMNS,
    FEATURES,
    integers,
    load_index,
    rows_to_vector,
    share,
    sink,
    source,
    vector_count,
)
from aerogel.loop.nodes import (
    I64,
    Alloc,
    Block,
    Buf,
    BufferType,
    Expr,
    For,
    Function,
    If,
    Load,
    Store,
    Var,
    VLoad,
)


def embed(layout: Layout, tables: int) -> Function:
    """``embed_E(ids, table0 .. table(E-1), out, features, columns)`` for E = ``tables``, 1 to 3.

    out[:, n] = sum over e, in order, of table_e[ids[e, n], :]. ``ids``: i32 [E, columns], each below the
    number of rows of its table (the caller has checked); tables: row-major [rows, features]; out: tiled,
    its padding zero.
    """
    require(
        1 <= tables <= 3, UnsupportedError, f"embed adds 1 to 3 tables, not {tables}: add the others apart"
    )
    ids, out = integers("ids"), sink("out")
    sources = tuple(source(f"table{e}") for e in range(tables))
    starts = Buf("starts", BufferType(DType.I64))
    names = Names()
    body, each = Lets(names), Lets(names)
    vector = Var("vector", I64)

    def row(lane: int, feature: Expr, mask: Expr | None, lets: Lets) -> Expr:
        total: Expr | None = None
        for e, table in enumerate(sources):
            start = Load(starts, index(e * layout.lanes + lane))
            part = lets.let(VLoad(table, start + feature, layout.lanes, mask), "row")
            total = part if total is None else lets.let(total + part, "row")
        assert total is not None
        return total

    body.add(Alloc(starts, tables * layout.lanes))
    begin, end = share(vector_count(layout, COLUMNS, body), body)
    each.add(*_find_rows(layout, tables, ids, starts, vector))
    each.add(*rows_to_vector(layout, COLUMNS, vector, row, out, names))
    body.add(For(vector, begin, end, each.block()))
    return Function(f"embed_{tables}", (ids, *sources, out, FEATURES, COLUMNS), body.block())


def _find_rows(layout: Layout, tables: int, ids: Buf, starts: Buf, vector: Expr) -> Block:
    """starts[e, lane] = where the row of that lane's token begins in table e; 0 past the last token."""
    lane = Var("lane", I64)
    column = vector * layout.lanes + lane
    found = tuple(
        Store(starts, lane + e * layout.lanes, load_index(ids, COLUMNS * e + column) * FEATURES)
        for e in range(tables)
    )
    missing = tuple(Store(starts, lane + e * layout.lanes, zero()) for e in range(tables))
    return (For(lane, zero(), index(layout.lanes), (If(column < COLUMNS, found, missing),)),)
