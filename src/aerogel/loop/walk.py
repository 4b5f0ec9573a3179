"""One way to walk the Loop IR: which fields of a node hold expressions, buffers and blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from aerogel.loop.nodes import (
    Alloc,
    Assign,
    Barrier,
    Binary,
    Bitcast,
    Block,
    Broadcast,
    Buf,
    Call,
    Cast,
    Compare,
    Const,
    Define,
    Dot2,
    Dot4,
    Expand,
    Expr,
    Fma,
    For,
    If,
    Iota,
    Let,
    LetView,
    Load,
    PairDot4,
    Permute,
    Prefetch,
    Reduce,
    Select,
    Shuffle,
    Stmt,
    Store,
    ThreadCount,
    ThreadId,
    Unary,
    Var,
    VLoad,
    VStore,
    While,
)

EXPR_FIELDS: dict[type[Expr], tuple[str, ...]] = {
    Const: (),
    Var: (),
    Binary: ("a", "b"),
    Unary: ("a",),
    Compare: ("a", "b"),
    Select: ("cond", "a", "b"),
    Cast: ("a",),
    Bitcast: ("a",),
    Load: ("index",),
    VLoad: ("index", "mask"),
    Broadcast: ("a",),
    Iota: (),
    Fma: ("a", "b", "c"),
    Reduce: ("a",),
    Expand: ("bits", "values"),
    Dot4: ("acc", "a", "b"),
    PairDot4: ("acc", "a", "b"),
    Dot2: ("acc", "a", "b"),
    Shuffle: ("a", "b"),
    Permute: ("a", "b", "at"),
    ThreadId: (),
    ThreadCount: (),
}
"""The fields of an expression that are expressions (a missing mask is None)."""

STMT_FIELDS: dict[type[Stmt], tuple[str, ...]] = {
    Let: ("value",),
    Define: ("value",),
    Assign: ("value",),
    LetView: ("offset", "count"),
    Alloc: (),
    Store: ("index", "value"),
    VStore: ("index", "value", "mask"),
    For: ("start", "stop"),
    While: ("cond",),
    If: ("cond",),
    Prefetch: ("index",),
    Call: (),
    Barrier: (),
}
"""The fields of a statement that are expressions; the arguments of a Call come on top."""

BLOCK_FIELDS: dict[type[Stmt], tuple[str, ...]] = {
    Let: (),
    Define: (),
    Assign: (),
    LetView: (),
    Alloc: (),
    Store: (),
    VStore: (),
    For: ("body",),
    While: ("body",),
    If: ("then", "orelse"),
    Prefetch: (),
    Call: (),
    Barrier: (),
}
"""The fields of a statement that are blocks."""


def children(expr: Expr) -> tuple[Expr, ...]:
    """The direct operands of an expression, in evaluation order."""
    found = (getattr(expr, field) for field in EXPR_FIELDS[type(expr)])
    return tuple(child for child in found if child is not None)


def map_children(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The same node with ``change`` applied to its direct operands; the node itself if none changed."""
    changed: dict[str, Expr] = {}
    for field in EXPR_FIELDS[type(expr)]:
        old = getattr(expr, field)
        if old is not None and (new := change(old)) is not old:
            changed[field] = new
    return replace(expr, **changed) if changed else expr  # pyright: ignore[reportArgumentType]


def operands(stmt: Stmt) -> tuple[Expr, ...]:
    """The expressions a statement evaluates itself, not those in its blocks."""
    if isinstance(stmt, Call):
        return tuple(arg for arg in stmt.args if not isinstance(arg, Buf))
    found = (getattr(stmt, field) for field in STMT_FIELDS[type(stmt)])
    return tuple(expr for expr in found if expr is not None)


def map_operands(stmt: Stmt, change: Callable[[Expr], Expr]) -> Stmt:
    """The same statement with ``change`` applied to the expressions it evaluates itself."""
    if isinstance(stmt, Call):
        return Call(stmt.function, tuple(a if isinstance(a, Buf) else change(a) for a in stmt.args))
    changed: dict[str, Expr] = {}
    for field in STMT_FIELDS[type(stmt)]:
        old = getattr(stmt, field)
        if old is not None and (new := change(old)) is not old:
            changed[field] = new
    return replace(stmt, **changed) if changed else stmt  # pyright: ignore[reportArgumentType]


def blocks(stmt: Stmt) -> tuple[Block, ...]:
    """The blocks a statement runs."""
    return tuple(getattr(stmt, field) for field in BLOCK_FIELDS[type(stmt)])


def subexpressions(expr: Expr) -> Iterator[Expr]:
    """The expression and everything below it, the node before its operands."""
    stack = [expr]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def statements(block: Block) -> Iterator[Stmt]:
    """Every statement of a block and of the blocks inside it, in program order."""
    for stmt in block:
        yield stmt
        for inner in blocks(stmt):
            yield from statements(inner)


def bound_name(stmt: Stmt) -> str | None:
    """The name a statement introduces, if it does."""
    match stmt:
        case Let(var=named) | Define(var=named) | For(var=named) | LetView(buf=named) | Alloc(buf=named):
            return named.name
        case _:
            return None


def has_barrier(block: Block) -> bool:
    """Whether a thread may wait for others inside this block."""
    return any(isinstance(stmt, Barrier) for stmt in statements(block))


def stmt_kind(stmt: Stmt) -> str:
    """The word for a statement in paths: ``store``, ``vstore``, ``letview`` ..."""
    return type(stmt).__name__.lower()
