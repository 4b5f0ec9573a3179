"""What cutting an expression into pieces rests on: where it vanishes, and over what it is a sum."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import assert_never

from aerogel.einsum.nodes import Access, Binary, Expr, Number, Reduce, Unary, indices, walk

_KEEPS_ZERO = frozenset({"neg", "abs", "sqrt", "square", "relu", "sign"})


def vanishes(expr: Expr, empty: AbstractSet[str]) -> bool:
    """Whether ``expr`` is 0 everywhere where the tensors ``empty`` are; False where that is not certain."""
    match expr:
        case Access(tensor=tensor):
            return tensor in empty
        case Number(value=value):
            return value == 0
        case Unary(op=op, a=a):
            return op in _KEEPS_ZERO and vanishes(a, empty)
        case Binary(op="mul" | "and" | "pair", a=a, b=b):
            return vanishes(a, empty) or vanishes(b, empty)
        case Binary(op="div", a=a):
            return vanishes(a, empty)
        case Binary(op="add" | "sub" | "min" | "max" | "or", a=a, b=b):
            return vanishes(a, empty) and vanishes(b, empty)
        case Binary():
            return False
        case Reduce(op="add" | "min" | "max" | "or", body=body):
            return vanishes(body, empty)
        case Reduce():
            return False
        case _:
            assert_never(expr)


def is_sum_over(expr: Expr, index: str) -> bool:
    """Whether ``expr`` is the sum of what it is over parts of ``index``: then results of pieces add up."""
    match expr:
        case Reduce(op="add", index=own, body=body):
            within = {a.tensor for a in walk(body) if isinstance(a, Access) and index in a.indices}
            # Pieces may reach beyond the index's end, where operands are 0: nothing may be added there.
            return vanishes(body, within) if own == index else is_sum_over(body, index)
        case Binary(op="add" | "sub", a=a, b=b):
            return is_sum_over(a, index) and is_sum_over(b, index)
        case Unary(op="neg", a=a):
            return is_sum_over(a, index)
        case Binary(op="mul", a=a, b=b):
            return (is_sum_over(a, index) and not _mentions(b, index)) or (
                is_sum_over(b, index) and not _mentions(a, index)
            )
        case _:
            return False


def _mentions(expr: Expr, index: str) -> bool:
    return index in indices(expr)
