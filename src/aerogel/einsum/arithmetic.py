"""What each operation means, on NumPy arrays that already have the dtype it is computed in (``dtypes.py``).

This is the definition that compiled kernels are held to. What is not obvious from a name:

- Integers wrap. ``and``, ``or`` and ``not`` ask "is it not 0" of their operands and give bool.
- ``min`` and ``max`` of a NaN are NaN; ``sign`` and ``relu`` of a NaN are NaN.
- Comparisons give 1 or 0 in the type of their operands, and are false for a NaN, except ``ne``.
- ``pair`` is 1 for any two operands that are stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.einsum.nodes import BinaryOp, ReduceOp, UnaryOp

Array = NDArray[Any]


def _sigmoid(a: Array) -> Array:
    # exp of what is never positive: no overflow, whatever a is.
    small = np.exp(-np.abs(a))
    return np.asarray(np.where(a >= 0, 1 / (1 + small), small / (1 + small)), dtype=a.dtype)


def _sign(a: Array) -> Array:
    return a if a.dtype == np.bool_ else np.sign(a)


def _relu(a: Array) -> Array:
    return np.maximum(a, np.zeros((), a.dtype))


def _reciprocal(a: Array) -> Array:
    return np.ones((), a.dtype) / a


def _ones(a: Array, b: Array) -> Array:
    return np.ones(np.broadcast_shapes(a.shape, b.shape), a.dtype)


def _compared(ufunc: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    return lambda a, b: np.asarray(ufunc(a, b)).astype(a.dtype)


UNARY: dict[UnaryOp, Callable[[Array], Array]] = {
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "square": lambda a: a * a,
    "relu": _relu,
    "sign": _sign,
    "not": np.logical_not,
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "sin": np.sin,
    "cos": np.cos,
    "reciprocal": _reciprocal,
}
BINARY: dict[BinaryOp, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": np.minimum,
    "max": np.maximum,
    "or": np.logical_or,
    "and": np.logical_and,
    "pair": _ones,
    "pow": np.power,
    "eq": _compared(np.equal),
    "ne": _compared(np.not_equal),
    "lt": _compared(np.less),
    "le": _compared(np.less_equal),
    "gt": _compared(np.greater),
    "ge": _compared(np.greater_equal),
}
FOLDS: dict[ReduceOp, np.ufunc] = {
    "add": np.add,
    "mul": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
    "or": np.logical_or,
    "and": np.logical_and,
}
"""Folds along an axis keep the dtype: widen first where ``reduce_dtype`` says so."""


def identity(op: ReduceOp, dtype: np.dtype[Any]) -> Any:
    """``e`` with ``op(e, b) == b`` for every ``b`` of ``dtype`` that is not NaN."""
    match op:
        case "add" | "or":
            return dtype.type(0)
        case "mul" | "and":
            return dtype.type(1)
        case "min" | "max":
            return _bound(dtype, top=op == "min")


def _bound(dtype: np.dtype[Any], *, top: bool) -> Any:
    """The greatest value of ``dtype``, or the least."""
    if dtype.kind == "f":
        return dtype.type(np.inf if top else -np.inf)
    if dtype.kind == "b":
        return np.bool_(top)
    info = np.iinfo(dtype)
    return dtype.type(info.max if top else info.min)


def on_numbers(op: BinaryOp | UnaryOp, *values: float) -> float:
    """The operation on plain numbers, in float64."""
    operands = [np.asarray(value, np.float64) for value in values]
    with np.errstate(all="ignore"):
        if len(operands) == 1:
            return float(UNARY[op](*operands))  # type: ignore[index]
        return float(BINARY[op](*operands))  # type: ignore[index]
