"""In which dtype each node of an expression is computed, and what it gives.

NumPy's promotion among f64, f32, i64, i32 and bool, with these choices:

- Literals are weak, as Python's numbers are in NumPy: 2 stays i32 beside i32, 2.5 stays f32 beside f32.
- Bools are counted: + - and sums of bools give i64 (``numpy.einsum`` would give bool: for that there is the
  semiring ``or_and``). A product of bools is bool, so a bool matrix product gives the number of paths.
- ``sum`` keeps i32, as ``numpy.einsum`` does and ``numpy.sum`` does not.
- ``/`` sqrt exp log tanh sigmoid sin cos reciprocal of integers and bools give f64. So does ``**``, but for a
  literal exponent that is a whole number from 0 on.
- Comparisons and ``pair`` give the type of their operands; ``and``, ``or``, ``not`` give bool.
- Integers are read as f64 where what is not stored is a float, such as the infinity of ``min_plus``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import assert_never

import numpy as np

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.core.suggest import meant
from aerogel.einsum.nodes import (
    Access,
    Assignment,
    Binary,
    BinaryOp,
    Expr,
    Number,
    Reduce,
    ReduceOp,
    Unary,
    UnaryOp,
    walk,
)

DTYPES = (DType.F64, DType.F32, DType.I64, DType.I32, DType.BOOL)
"""What einsum computes in."""


class Weak(Enum):
    """The type of a literal: any of its kind, whatever the other operand needs."""

    INT = "int"
    FLOAT = "float"


Kind = DType | Weak
_FLOATING = frozenset({"sqrt", "exp", "log", "tanh", "sigmoid", "sin", "cos", "reciprocal"})


def strong(kind: Kind) -> DType:
    """The dtype of a value that stands alone: a literal is i64 or f64."""
    match kind:
        case DType():
            return kind
        case Weak.INT:
            return DType.I64
        case Weak.FLOAT:
            return DType.F64


def join(a: Kind, b: Kind) -> Kind:
    """The type both are computed in."""
    match a, b:
        case DType(), DType():
            return DType.of(np.promote_types(a.numpy(), b.numpy()))
        case (Weak(), DType()):
            return _beside(a, b)
        case (DType(), Weak()):
            return _beside(b, a)
        case (Weak(), Weak()):
            return Weak.FLOAT if Weak.FLOAT in (a, b) else Weak.INT


def _beside(weak: Weak, dtype: DType) -> DType:
    if dtype.is_float or (weak is Weak.INT and dtype is not DType.BOOL):
        return dtype
    return strong(weak)


def _counted(kind: Kind) -> Kind:
    return DType.I64 if kind is DType.BOOL else kind


def _floating(kind: Kind) -> Kind:
    return join(kind, Weak.FLOAT)


def number_kind(value: float) -> Kind:
    """The type of a literal."""
    if isinstance(value, bool):
        return DType.BOOL
    return Weak.INT if isinstance(value, int) else Weak.FLOAT


def unary_kinds(op: UnaryOp, a: Kind) -> tuple[Kind, Kind]:
    """In which type ``op`` is computed, and what it gives."""
    if op in _FLOATING:
        return _floating(a), _floating(a)
    match op:
        case "not":
            return DType.BOOL, DType.BOOL
        case "neg":
            return _counted(a), _counted(a)
        case _:
            return a, a


def binary_kinds(expr: Binary, a: Kind, b: Kind) -> tuple[Kind, Kind]:
    """In which type the operation is computed, its operands being of ``a`` and ``b``; and what it gives."""
    if expr.op == "pow" and _whole(expr.b):
        # x ** 2 is x * x: the exponent has no say in the type.
        return _counted(a), _counted(a)
    return _binary_kinds(expr.op, join(a, b))


def _binary_kinds(op: BinaryOp, both: Kind) -> tuple[Kind, Kind]:
    match op:
        case "add" | "sub":
            return _counted(both), _counted(both)
        case "div" | "pow":
            return _floating(both), _floating(both)
        case "and" | "or":
            return DType.BOOL, DType.BOOL
        case "mul" | "min" | "max" | "pair" | "eq" | "ne" | "lt" | "le" | "gt" | "ge":
            return both, both
        case _:
            assert_never(op)


def _whole(expr: Expr) -> bool:
    match expr:
        case Number(value=value):
            return isinstance(value, int) and value >= 0
        case _:
            return False


def reduce_kind(op: ReduceOp, a: Kind) -> Kind:
    """In which type a fold is computed, which is also what it gives."""
    match op:
        case "add":
            return _counted(a)
        case "or" | "and":
            return DType.BOOL
        case "mul" | "min" | "max":
            return a


def access_kind(dtype: DType, zero: float) -> Kind:
    """The type an operand of ``dtype`` is read in: one that can hold ``zero``."""
    return join(dtype, Weak.FLOAT) if isinstance(zero, float) else dtype


def kind_of(expr: Expr, zero: float, dtypes: Mapping[str, DType]) -> Kind:
    """The type ``expr`` gives, for tensors of these dtypes."""
    match expr:
        case Access(tensor=name):
            return access_kind(_supported(name, dtypes), zero)
        case Number(value=value):
            return number_kind(value)
        case Unary(op=op, a=a):
            return unary_kinds(op, kind_of(a, zero, dtypes))[1]
        case Binary(a=a, b=b):
            return binary_kinds(expr, kind_of(a, zero, dtypes), kind_of(b, zero, dtypes))[1]
        case Reduce(op=op, body=body):
            return reduce_kind(op, kind_of(body, zero, dtypes))
        case _:
            assert_never(expr)


def _supported(name: str, dtypes: Mapping[str, DType]) -> DType:
    if name not in dtypes:
        raise InputError(f"no operand {name!r} was given: {meant(name, dtypes)}")
    dtype = dtypes[name]
    words = ", ".join(known.numpy().name for known in DTYPES)
    require(
        dtype in DTYPES,
        UnsupportedError,
        f"operand {name!r} is {dtype.numpy().name}: einsum computes in {words}; convert it to one of these",
    )
    return dtype


def result_dtype(assignment: Assignment, dtypes: Mapping[str, DType]) -> DType:
    """The dtype of the output, for operands of these dtypes.

    Bool where ``zero`` is False (the semiring ``or_and``); else what the expression gives. Where the
    assignment accumulates and ``dtypes`` has its output too, what the two give together.
    """
    zero = assignment.zero
    kind = kind_of(assignment.expr, zero, dtypes)
    if assignment.accumulate is not None and assignment.out.tensor in dtypes:
        before = access_kind(_supported(assignment.out.tensor, dtypes), zero)
        kind = _binary_kinds(assignment.accumulate, join(before, kind))[1]
    if isinstance(zero, bool):
        return DType.BOOL
    return strong(join(kind, Weak.FLOAT) if isinstance(zero, float) else kind)


def compute_dtype(assignment: Assignment, dtypes: Mapping[str, DType]) -> DType:
    """One dtype that holds every intermediate value: where code works in a single type."""
    zero = assignment.zero
    if isinstance(zero, bool) and _logical(assignment.expr):
        return DType.BOOL
    kind: Kind = result_dtype(assignment, dtypes)
    for node in walk(assignment.expr):
        kind = join(kind, kind_of(node, zero, dtypes))
        match node:
            case Unary(op=op, a=a):
                kind = join(kind, unary_kinds(op, kind_of(a, zero, dtypes))[0])
            case Binary(a=a, b=b):
                kind = join(kind, binary_kinds(node, kind_of(a, zero, dtypes), kind_of(b, zero, dtypes))[0])
            case _:
                pass
    return strong(kind)


def _logical(expr: Expr) -> bool:
    """Whether only truth values matter: operands may then be read as such."""
    return all(
        isinstance(node, Access) or (isinstance(node, Binary | Reduce) and node.op in ("or", "and"))
        for node in walk(expr)
    )
