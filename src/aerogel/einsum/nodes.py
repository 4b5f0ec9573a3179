"""What to compute: index notation as frozen trees.

An ``Assignment`` such as ``y(i) = A(i,j) * x(j) + b(i)`` says which value stands at every coordinate of
its output. Sums are explicit here (``Reduce``): parsing has put each around the smallest term that holds
every use of its index. Nothing says yet how operands are stored, or in which order anything is visited.

A semiring is resolved while parsing: under ``min_plus`` the notation's ``+`` is ``min``, its ``*`` is
``add``. What is not stored in an operand has the assignment's ``zero``: 0, or the semiring's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal as Choice
from typing import assert_never

UnaryOp = Choice[
    "neg", "abs", "sqrt", "square", "relu", "sign", "not", "exp", "log", "tanh", "sigmoid", "sin", "cos",
    "reciprocal",
]  # fmt: skip
BinaryOp = Choice[
    "add", "sub", "mul", "div", "min", "max", "or", "and", "pair", "pow",
    "eq", "ne", "lt", "le", "gt", "ge",
]  # fmt: skip
ReduceOp = Choice["add", "mul", "min", "max", "or", "and"]


@dataclass(frozen=True, slots=True)
class Access:
    """``tensor(indices...)``; an index may stand more than once (a diagonal). No indices: a scalar."""

    tensor: str
    indices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A literal."""

    value: int | float | bool


@dataclass(frozen=True, slots=True)
class Unary:
    op: UnaryOp
    a: Expr


@dataclass(frozen=True, slots=True)
class Binary:
    """``pair`` is 1 where both operands are stored; comparisons give 1 or 0 in the type of their operands."""

    op: BinaryOp
    a: Expr
    b: Expr


@dataclass(frozen=True, slots=True)
class Reduce:
    """``body`` folded with ``op`` over every value of ``index``."""

    op: ReduceOp
    index: str
    body: Expr


Expr = Access | Number | Unary | Binary | Reduce


@dataclass(frozen=True, slots=True)
class Assignment:
    """``out = expr``, or ``out op= expr`` where ``accumulate`` names the operation.

    ``zero``: what an operand has where nothing is stored, and the output where nothing is written.
    """

    out: Access
    expr: Expr
    zero: int | float | bool = 0
    accumulate: ReduceOp | None = None


def children(expr: Expr) -> tuple[Expr, ...]:
    match expr:
        case Access() | Number():
            return ()
        case Unary(a=a):
            return (a,)
        case Binary(a=a, b=b):
            return (a, b)
        case Reduce(body=body):
            return (body,)
        case _:
            assert_never(expr)


def rebuilt(expr: Expr, parts: tuple[Expr, ...]) -> Expr:
    """``expr`` with other children."""
    match expr:
        case Access() | Number():
            return expr
        case Unary():
            return replace(expr, a=parts[0])
        case Binary():
            return replace(expr, a=parts[0], b=parts[1])
        case Reduce():
            return replace(expr, body=parts[0])
        case _:
            assert_never(expr)


def walk(expr: Expr) -> Iterator[Expr]:
    """``expr`` and everything below it, parents first, left to right."""
    yield expr
    for child in children(expr):
        yield from walk(child)


def accesses(expr: Expr) -> tuple[Access, ...]:
    """Every access, left to right, as often as it stands there."""
    return tuple(node for node in walk(expr) if isinstance(node, Access))


def indices(expr: Expr) -> tuple[str, ...]:
    """Every index in an access, once, in order of first use."""
    return tuple(dict.fromkeys(i for access in accesses(expr) for i in access.indices))


def folded(expr: Expr) -> tuple[str, ...]:
    """The index of every ``Reduce``, parents first, left to right, as often as one is folded."""
    return tuple(node.index for node in walk(expr) if isinstance(node, Reduce))


def loop_indices(assignment: Assignment) -> tuple[str, ...]:
    """Every index that a loop runs over, once: the output's, in its order, then those folded."""
    return tuple(dict.fromkeys((*assignment.out.indices, *folded(assignment.expr))))
