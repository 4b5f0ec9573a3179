"""What becomes of entries that share their coordinates: they are folded in the order in which they came."""

from __future__ import annotations

from typing import Literal, assert_never, get_args

from aerogel.core.dtypes import DType
from aerogel.loop.nodes import Binary, Cast, Compare, Const, Expr, Scalar, Select

Duplicates = Literal["add", "min", "max", "or", "mul", "last", "refuse"]
"""``add`` and ``mul`` of bool: or, and. ``or`` of numbers: 1 where either is not 0. ``min``, ``max``: NaN
stays. ``last``: the entry that came last. ``refuse``: an error that names the coordinates."""
DUPLICATES: tuple[Duplicates, ...] = get_args(Duplicates)
Fold = Literal["add", "min", "max", "or", "mul", "last"]


def folded(op: Fold, a: Expr, b: Expr) -> Expr:
    """``b`` folded onto ``a``, which came before."""
    truth = a.type.dtype is DType.BOOL
    match op:
        case "last":
            return b
        case "add":
            return Binary("or" if truth else "add", a, b)
        case "mul":
            return Binary("and" if truth else "mul", a, b)
        case "min" | "max":
            if truth:
                return Binary("and" if op == "min" else "or", a, b)
            return Select(_keeps(op, a, b), a, b)
        case "or":
            if truth:
                return Binary("or", a, b)
            zero = Const(0, a.type)
            return Cast(Binary("or", Compare("ne", a, zero), Compare("ne", b, zero)), Scalar(a.type.dtype))
        case _:
            assert_never(op)


def _keeps(op: Literal["min", "max"], a: Expr, b: Expr) -> Expr:
    """Whether ``a`` stays: also where it is NaN. With a NaN in ``b`` no comparison holds, so it comes in."""
    ahead = Compare("lt" if op == "min" else "gt", a, b)
    return Binary("or", ahead, Compare("ne", a, a)) if a.type.dtype.is_float else ahead
