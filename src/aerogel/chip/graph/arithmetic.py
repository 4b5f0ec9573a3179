"""What operations are on the values of a stream: in doubles, one at a time. Empty, None, counts as 0."""

from __future__ import annotations

import math
from typing import Any, assert_never

import numpy as np

from aerogel.chip.graph.blocks import Fold, Function, Operation


def operate(op: Operation, a: Any, b: Any) -> Any:  # noqa: C901 (a case per operation)
    """``a op b`` in doubles; None counts as 0."""
    a, b = (0.0 if a is None else a), (0.0 if b is None else b)
    match op:
        case "add":
            return a + b
        case "sub":
            return a - b
        case "mul":
            return a * b
        case "div":
            with np.errstate(all="ignore"):
                return float(np.float64(a) / np.float64(b))
        case "min":
            return float(np.minimum(a, b))
        case "max":
            return float(np.maximum(a, b))
        case "or":
            return float(a != 0 or b != 0)
        case "and":
            return float(a != 0 and b != 0)
        case "pair":
            return 1.0
        case "eq":
            return float(a == b)
        case "ne":
            return float(a != b)
        case "lt":
            return float(a < b)
        case "le":
            return float(a <= b)
        case "gt":
            return float(a > b)
        case "ge":
            return float(a >= b)
        case _:
            assert_never(op)


def function(op: Function, a: Any) -> float:
    """A function of one value, in doubles; None counts as 0."""
    a = 0.0 if a is None else a
    with np.errstate(all="ignore"):
        match op:
            case "neg":
                return -a
            case "abs":
                return abs(a)
            case "sqrt":
                return float(np.sqrt(a))
            case "square":
                return a * a
            case "relu":
                return float(np.maximum(a, 0.0))
            case "sign":
                return float(np.sign(a))
            case "not":
                return float(a == 0)
            case "exp":
                return float(np.exp(a))
            case "reciprocal":
                return float(np.float64(1.0) / np.float64(a))
            case _:
                assert_never(op)


IDENTITY: dict[Fold, float] = {
    "add": 0.0,
    "mul": 1.0,
    "min": math.inf,
    "max": -math.inf,
    "or": 0.0,
    "and": 1.0,
}
"""What a fold starts from, and gives of an empty fiber."""


def folded(op: Fold, fiber: list[Any]) -> float:
    """A fiber folded, first to last, beginning with the identity."""
    total: float = IDENTITY[op]
    for value in fiber:
        total = operate(op, total, value)
    return total
