"""What cutting an expression into pieces rests on: where it vanishes, and over what it is a sum."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import assert_never

from aerogel.einsum.nodes import Access, Binary, Expr, Number, Reduce, Unary, indices, walk

_KEEPS_ZERO = frozenset({"neg", "abs", "sqrt", "square", "relu", "sign"})


def vanishes(expr: Expr, empty: AbstractSet[str], absent: AbstractSet[str] = frozenset()) -> bool:
    """Whether ``expr`` is 0 everywhere where the tensors ``empty`` are; False where that is not certain.

    ``absent``: those of them that store nothing there, not even zeros: ``pair`` asks what is stored.
    """

    def all_zero(some: Expr) -> bool:
        return vanishes(some, empty, absent)

    match expr:
        case Access(tensor=tensor):
            return tensor in empty
        case Number(value=value):
            return value == 0
        case Unary(op=op, a=a):
            return op in _KEEPS_ZERO and all_zero(a)
        case Binary(op="pair"):
            return vanishes(expr.a, absent, absent) or vanishes(expr.b, absent, absent)
        case Binary(op="mul" | "and", a=a, b=b):
            return all_zero(a) or all_zero(b)
        case Binary(op="div", a=a):
            return all_zero(a)
        case Binary(op="add" | "sub" | "min" | "max" | "or", a=a, b=b):
            return all_zero(a) and all_zero(b)
        case Binary():
            return False
        case Reduce(op="add" | "min" | "max" | "or", body=body):
            return all_zero(body)
        case Reduce():
            return False
        case _:
            assert_never(expr)


def is_sum_over(expr: Expr, index: str, full: AbstractSet[str] | None = None) -> bool:
    """Whether ``expr`` is the sum of what it is over parts of ``index``: then results of pieces add up.

    ``full``: tensors that store every coordinate of that index; None: maybe all.
    """
    match expr:
        case Reduce(op="add", index=own, body=body):
            if own != index:
                return is_sum_over(body, index, full)
            # Pieces may reach beyond the index's end, where operands are 0: nothing may be added there.
            within = {a.tensor for a in walk(body) if isinstance(a, Access) and index in a.indices}
            return vanishes(body, within, within - (within if full is None else full))
        case Binary(op="add" | "sub", a=a, b=b):
            return is_sum_over(a, index, full) and is_sum_over(b, index, full)
        case Unary(op="neg", a=a):
            return is_sum_over(a, index, full)
        case Binary(op="mul", a=a, b=b):
            return (is_sum_over(a, index, full) and not _mentions(b, index)) or (
                is_sum_over(b, index, full) and not _mentions(a, index)
            )
        case _:
            return False


def _mentions(expr: Expr, index: str) -> bool:
    return index in indices(expr)
