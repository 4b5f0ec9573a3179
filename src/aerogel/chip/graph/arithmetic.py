"""What operations are on the values of a stream: in doubles, one at a time.

Empty is None. It means that nothing is stored, and the rules of absence are those of ``einsum/semiring.py``:
a result that is not there either is Empty again; everywhere else Empty counts as 0.
"""

from __future__ import annotations

import math
from typing import Any, assert_never, get_args

import numpy as np

from aerogel.chip.graph.blocks import Fold, Function, Operation
from aerogel.einsum.semiring import lattice_rule, reduce_rule, unary_rule

_RULES = {op: lattice_rule(op, 0) for op in get_args(Operation)}
LEFT = frozenset(op for op, rule in _RULES.items() if rule.left_absent == "absent")
RIGHT = frozenset(op for op, rule in _RULES.items() if rule.right_absent == "absent")
BOTH = frozenset(op for op, rule in _RULES.items() if rule.both_absent == "absent")
"""Operations that give Empty where the left operand is Empty, the right one, both."""
SKIP = frozenset(op for op in get_args(Fold) if reduce_rule(op, 0) == "skip")
"""Folds in which Empty takes no part; in the others it counts as 0."""
KEPT = frozenset(op for op in get_args(Function) if unary_rule(op, 0) == "absent")
"""Functions of which Empty is Empty."""


def number(a: Any) -> Any:
    """What a value counts as: None as 0."""
    return 0.0 if a is None else a


def absent(op: Operation, *, left: bool, right: bool) -> bool:
    """Whether ``op`` gives Empty where its left operand, or its right one, is Empty."""
    return (left and op in LEFT) or (right and op in RIGHT) or (left and right and op in BOTH)


def with_constant(op: Operation, value: float, a: Any, *, reverse: bool) -> Any:
    """``a op value``, or ``value op a``. Empty also where 0 for ``a`` gives 0, as ``a > 0.5``."""
    found = operate(op, value, number(a)) if reverse else operate(op, number(a), value)
    gone = absent(op, left=not reverse, right=reverse) or found == 0
    return None if a is None and gone else found


def operate(op: Operation, a: Any, b: Any) -> Any:  # noqa: C901 (a case per operation)
    """``a op b`` in doubles; None where that is not there."""
    if absent(op, left=a is None, right=b is None):
        return None
    a, b = number(a), number(b)
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


def function(op: Function, a: Any) -> Any:
    """A function of one value, in doubles; of None it is None, or that of 0."""
    if a is None and op in KEPT:
        return None
    a = number(a)
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


def folded(op: Fold, fiber: list[Any], *, sparse: bool = False) -> Any:
    """A fiber folded, first to last, beginning with the identity. ``sparse``: what is None takes no part, and
    of nothing comes None; else None counts as 0."""
    some = [value for value in fiber if value is not None] if sparse else fiber
    if sparse and not some:
        return None
    total: float = IDENTITY[op]
    for value in some:
        total = operate(op, total, number(value))
    return total
