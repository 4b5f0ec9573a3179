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
    F32,
    I64,
    Alloc,
    Block,
    Broadcast,
    Buf,
    BufferType,
    Cast,
    Const,
    Expr,
    For,
    Function,
    If,
    Let,
    Load,
    Stmt,
    Store,
    Var,
    Vec,
    VLoad,
)


def embed(layout: Layout, tables: tuple[bool, ...]) -> Function:
    """``embed_KINDS(ids, table0, [scales0,] table1 ..., out, features, columns)``, one to three tables.

    out[:, n] = sum over e, in order, of row ids[e, n] of table e. ``tables[e]``: False for a table of f32
    [rows, features]; True for i8 [rows, features] with f32 scales [rows], row r being scales[r] times the
    integers. ``ids``: i32 [tables, columns], each below the number of rows of its table (the caller has
    checked); out: tiled, its padding zero. KINDS has a letter per table, ``f`` or ``i``.
    """
    require(1 <= len(tables) <= 3, UnsupportedError, f"embed adds 1 to 3 tables, not {len(tables)}")
    gather = _Gather(layout, tables)
    names = gather.names
    ids, out = integers("ids"), sink("out")
    body, each = Lets(names), Lets(names)
    vector = Var("vector", I64)
    body.add(*(Alloc(buf, len(tables) * layout.lanes) for buf in gather.scratch()))
    begin, end = share(vector_count(layout, COLUMNS, body), body)
    each.add(*gather.find_rows(ids, vector))
    each.add(*rows_to_vector(layout, COLUMNS, vector, gather.row, out, names))
    body.add(For(vector, begin, end, each.block()))
    kinds = "".join("i" if small else "f" for small in tables)
    return Function(f"embed_{kinds}", (ids, *gather.params(), out, FEATURES, COLUMNS), body.block())


STARTS = Buf("starts", BufferType(DType.I64))
SCALE = Buf("scale", BufferType(DType.F32))


class _Gather:
    """Reads rows of the tables: where each token's rows begin, found once per vector, then their features."""

    def __init__(self, layout: Layout, tables: tuple[bool, ...]) -> None:
        self.layout, self.tables, self.names = layout, tables, Names()

    def table(self, e: int) -> Buf:
        dtype = DType.I8 if self.tables[e] else DType.F32
        return Buf(f"table{e}", BufferType(dtype, const=True, align=dtype.itemsize))

    def scales(self, e: int) -> Buf:
        return source(f"scales{e}")

    def params(self) -> tuple[Buf, ...]:
        return tuple(
            buf for e, small in enumerate(self.tables) for buf in (self.table(e), self.scales(e))[: 1 + small]
        )

    def scratch(self) -> tuple[Buf, ...]:
        """Per table and lane: where the row begins, and its scale if a table has scales."""
        return (STARTS, SCALE) if any(self.tables) else (STARTS,)

    def row(self, lane: int, feature: Expr, mask: Expr | None, lets: Lets) -> Expr:
        """Features from ``feature`` on of the summed rows of one token."""
        lanes = self.layout.lanes
        total: Expr | None = None
        for e, small in enumerate(self.tables):
            at = index(e * lanes + lane)
            part = VLoad(self.table(e), Load(STARTS, at) + feature, lanes, mask)
            value = lets.let(Cast(part, Vec(DType.F32, lanes)) if small else part, "row")
            if small:
                value = lets.let(value * Broadcast(Load(SCALE, at), lanes), "row")
            total = value if total is None else lets.let(total + value, "row")
        assert total is not None
        return total

    def find_rows(self, ids: Buf, vector: Expr) -> Block:
        """Fill the scratch for the tokens of ``vector``; row 0 past the last token."""
        lane, lanes = Var("lane", I64), self.layout.lanes
        column = vector * lanes + lane
        found: list[Stmt] = []
        missing: list[Stmt] = []
        for e, small in enumerate(self.tables):
            row, at = Var(f"row{e}", I64), lane + e * lanes
            found += [Let(row, load_index(ids, COLUMNS * e + column)), Store(STARTS, at, row * FEATURES)]
            missing.append(Store(STARTS, at, zero()))
            if small:
                found.append(Store(SCALE, at, Load(self.scales(e), row)))
                missing.append(Store(SCALE, at, Const(0.0, F32)))
        choose = If(column < COLUMNS, tuple(found), tuple(missing))
        return (For(lane, zero(), index(lanes), (choose,)),)
