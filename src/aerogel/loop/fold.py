"""Smaller expressions with the same value: constants folded with the interpreter's arithmetic, identities.

Floats keep every bit, so of their identities only those remain that hold for -0.0, infinities and NaN.
Run under ``np.errstate(all="ignore")``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aerogel.core.dtypes import DType
from aerogel.loop.exact import operation
from aerogel.loop.nodes import (
    Binary,
    Bitcast,
    Broadcast,
    Cast,
    Compare,
    Const,
    Dot2,
    Dot4,
    Expand,
    Expr,
    Fma,
    PairDot4,
    Permute,
    Reduce,
    Select,
    Shuffle,
    Type,
    Unary,
    Var,
    Vec,
    VLoad,
)
from aerogel.loop.values import ComputeError, Value, cast, like, literal, wrapper
from aerogel.loop.walk import children, map_children

_COMPUTES = (
    Binary, Unary, Compare, Select, Cast, Bitcast, Broadcast, Fma, Reduce, Expand, Dot4, PairDot4, Dot2,
    Shuffle, Permute,
)  # fmt: skip
_COMMUTES = ("add", "mul", "and", "or", "xor")


def fold(expr: Expr, known: Mapping[str, Expr]) -> Expr:
    """The expression with ``known`` names replaced by what they stand for, and then made smaller."""
    if isinstance(expr, Var):
        return known.get(expr.name, expr)
    return _smaller(map_children(expr, lambda child: fold(child, known)))


def _smaller(expr: Expr) -> Expr:
    """One node whose operands are as small as they get."""
    if isinstance(expr, _COMPUTES) and all(isinstance(child, Const) for child in children(expr)):
        return _constant(expr) or expr
    match expr:
        case Binary():
            return _exact_float(expr) if expr.type.dtype.is_float else _integer(expr)
        case Select(cond=Const(value=chosen), a=a, b=b):
            return a if chosen else b
        case Cast(a=a, type=type_) | Bitcast(a=a, type=type_) if a.type == type_:
            return a
        case Unary(op="not", a=Unary(op="not", a=inner)):
            return inner
        case VLoad(buf=buf, index=index, lanes=lanes, mask=Const(value=True)):
            return VLoad(buf, index, lanes)
        case _:
            return expr


# --- constants ------------------------------------------------------------------------------


def _constant(expr: Expr) -> Const | None:
    """The constant an operation on constants gives; None if there is none, or if it has no spelling."""
    try:
        value = operation(expr)(*(literal(child) for child in children(expr) if isinstance(child, Const)))
    except ComputeError:
        return None
    found = _spelt(value, expr.type)
    # A Const holds no NaN's bits, so they must not be created here, nor looked at.
    if isinstance(expr, Bitcast) and (found is None or _is_nan(found) or _is_nan(expr.a)):
        return None
    return found


def _spelt(value: Value, type_: Type) -> Const | None:
    """A value as a Const, if every lane has the same bits."""
    if isinstance(type_, Vec):
        if value.tobytes() != np.full_like(value, value[0]).tobytes():
            return None
        value = value[0]
    if type_.dtype is DType.BF16:
        value = cast(type_, like(type_, DType.F32))(np.full(1, value, np.uint16))[0]
    if type_.dtype.is_float:
        return Const(float(value), type_)
    return Const(bool(value) if type_.dtype is DType.BOOL else int(value), type_)


def _is_nan(expr: Expr) -> bool:
    return isinstance(expr, Const) and expr.value != expr.value


# --- identities -----------------------------------------------------------------------------


def _is(expr: Expr, value: float) -> bool:
    """Whether it is this constant, the sign of a zero included."""
    if not isinstance(expr, Const) or expr.value != value:
        return False
    return value != 0 or bool(np.signbit(expr.value) == np.signbit(value))


def _exact_float(expr: Binary) -> Expr:
    match expr:
        case Binary(op="mul", a=a, b=b) if _is(b, 1.0):
            return a
        case Binary(op="mul", a=a, b=b) if _is(a, 1.0):
            return b
        case Binary(op="div", a=a, b=b) if _is(b, 1.0):
            return a
        # x + 0.0 is not x where x is -0.0; these two are.
        case Binary(op="add", a=a, b=b) if _is(b, -0.0):
            return a
        case Binary(op="add", a=a, b=b) if _is(a, -0.0):
            return b
        case Binary(op="sub", a=a, b=b) if _is(b, 0.0):
            return a
        case _:
            return expr


def _integer(expr: Binary) -> Expr:
    """Integers and bool."""
    if expr.op in _COMMUTES and isinstance(expr.a, Const):
        expr = Binary(expr.op, expr.b, expr.a)
    if not isinstance(expr.b, Const):
        return expr
    a, value, type_ = expr.a, expr.b.value, expr.type
    ones = True if type_.dtype is DType.BOOL else (1 << type_.dtype.bits) - 1
    is_ones = not type_.dtype.is_float and int(value) & int(ones) == int(ones)
    match expr.op:
        case "add" | "mul":
            return _chained(expr)
        case "sub" | "shl" | "shr" | "or" | "xor" if value == 0:
            return a
        case "and" if is_ones:
            return a
        case "div" if value == 1:
            return a
        case "and" if value == 0:
            return expr.b
        case "or" if is_ones:
            return expr.b
        case "rem" if value == 1:
            return Const(0, type_)
        case _:
            return expr


def _chained(expr: Binary) -> Expr:
    """``(x + c) + d`` is ``x + (c + d)``, as integers wrap; the same for products."""
    op, a, b = expr.op, expr.a, expr.b
    assert isinstance(b, Const)
    match a:
        case Binary(op=inner, a=x, b=Const(value=first)) if inner == op:
            both = int(first) + int(b.value) if op == "add" else int(first) * int(b.value)
            return _chained(Binary(op, x, Const(wrapper(expr.type.dtype)(both), expr.type)))
        case _ if b.value == (0 if op == "add" else 1):
            return a
        case _ if op == "mul" and b.value == 0:
            return b
        case _:
            return expr
