"""The tables that say what is inside a node cover every node."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import get_args

from aerogel.core.dtypes import DType
from aerogel.loop import (
    BOOL,
    F32,
    I64,
    Barrier,
    Binary,
    Buf,
    BufferType,
    Call,
    Const,
    Expr,
    For,
    If,
    Let,
    Stmt,
    Store,
    Var,
    Vec,
    VLoad,
)
from aerogel.loop.walk import (
    BLOCK_FIELDS,
    EXPR_FIELDS,
    STMT_FIELDS,
    blocks,
    bound_name,
    children,
    has_barrier,
    map_children,
    map_operands,
    operands,
    statements,
    stmt_kind,
    subexpressions,
)

X, N = Var("x", F32), Var("n", I64)
Y = Buf("y", BufferType(DType.F32))


def declared(node: type, annotation: str) -> tuple[str, ...]:
    assert is_dataclass(node)
    return tuple(f.name for f in fields(node) if str(f.type).removesuffix(" | None") == annotation)


def test_the_tables_say_what_the_nodes_declare() -> None:
    assert set(EXPR_FIELDS) == set(get_args(Expr))
    assert set(STMT_FIELDS) == set(BLOCK_FIELDS) == set(get_args(Stmt))
    for node, names in EXPR_FIELDS.items():
        assert names == declared(node, "Expr"), node
    for stmt, names in STMT_FIELDS.items():
        assert names == declared(stmt, "Expr"), stmt
        assert BLOCK_FIELDS[stmt] == declared(stmt, "Block"), stmt


def test_children_and_operands() -> None:
    load = VLoad(Y, N, 4)
    masked = VLoad(Y, N, 4, Const(True, Vec(DType.BOOL, 4)))
    assert children(load) == (N,) and children(masked) == (N, masked.mask)
    assert operands(Call("f", (N, Y, X))) == (N, X)
    assert operands(Store(Y, N, X)) == (N, X)
    assert list(subexpressions(X * X + 1.0)) == [X * X + 1.0, X * X, X, X, Const(1.0, F32)]


def test_maps_change_operands_and_keep_what_stays() -> None:
    two = Const(2.0, F32)
    expr = Binary("add", X, two)
    assert map_children(expr, lambda e: e) is expr
    assert map_children(expr, lambda e: two if e is X else e) == Binary("add", two, two)
    store = Store(Y, N, X)
    assert map_operands(store, lambda e: e) is store
    assert map_operands(store, lambda e: two if e is X else e) == Store(Y, N, two)
    assert map_operands(Call("f", (N, Y)), lambda _: Const(1, I64)) == Call("f", (Const(1, I64), Y))


def test_blocks_statements_and_names() -> None:
    let, loop = Let(X, Const(1.0, F32)), For(N, Const(0, I64), Const(1, I64), (Barrier(),))
    branch = If(Const(True, BOOL), (let,), (loop,))
    assert blocks(branch) == ((let,), (loop,)) and blocks(let) == ()
    assert list(statements((branch,))) == [branch, let, loop, Barrier()]
    assert bound_name(let) == "x" and bound_name(loop) == "n" and bound_name(branch) is None
    assert has_barrier((branch,)) and not has_barrier((let,))
    assert stmt_kind(branch) == "if" and stmt_kind(Store(Y, N, X)) == "store"
