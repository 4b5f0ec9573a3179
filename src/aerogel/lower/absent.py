"""What is left of an expression where some of its operands store nothing: the merge lattice in the small."""

from __future__ import annotations

from collections.abc import Collection
from typing import assert_never

from aerogel.core.errors import UnsupportedError, require
from aerogel.einsum.nodes import Access, Binary, Expr, Number, Reduce, Unary, accesses
from aerogel.einsum.semiring import Absent, rule_of, unary_rule

MOST_POINTS = 1 << 9
"""Points of a lattice, at most: each is code of its own."""


def restrict(expr: Expr, missing: Collection[Access], zero: float) -> Expr | None:
    """``expr`` with the accesses in ``missing`` not stored; None where it is then ``zero`` itself.

    A product vanishes with either factor, a sum with both.
    """
    match expr:
        case Access():
            return None if expr in missing else expr
        case Number():
            return expr
        case Unary(op=op, a=a):
            rest = restrict(a, missing, zero)
            if rest is not None:
                return Unary(op, rest)
            return None if unary_rule(op, zero) == "absent" else Unary(op, Number(zero))
        case Reduce(op=op, index=index, body=body):
            rest = restrict(body, missing, zero)
            return None if rest is None else Reduce(op, index, rest)
        case Binary():
            return _of_two(expr, missing, zero)
        case _:
            assert_never(expr)


def _of_two(expr: Binary, missing: Collection[Access], zero: float) -> Expr | None:
    left, right = restrict(expr.a, missing, zero), restrict(expr.b, missing, zero)
    if left is not None and right is not None:
        return Binary(expr.op, left, right)
    rule = rule_of(expr, zero)
    if left is None and right is None:
        which: Absent = rule.both_absent
    else:
        which = rule.left_absent if left is None else rule.right_absent
    other = right if left is None else left
    match which:
        case "absent":
            return None
        case "other":
            # Under or and and the other operand counts as a truth value.
            if other is not None and expr.op in ("or", "and"):
                return Binary(expr.op, other, other)
            return other
        case "neg_other":
            return None if other is None else Unary("neg", other)
        case "value":
            return Binary(expr.op, left or Number(zero), right or Number(zero))
        case _:
            assert_never(which)


def live(expr: Expr, walkers: tuple[Access, ...], zero: float) -> tuple[tuple[Access, ...], ...]:
    """The points of the lattice: the sets of walkers of which every one still matters once all others have
    run out, the largest first. Walkers not in a set are absent; the empty set is not listed."""
    seen: dict[tuple[Access, ...], None] = {}
    waiting = [tuple(walkers)]
    while waiting:
        require(
            len(seen) <= MOST_POINTS,
            UnsupportedError,
            f"{len(walkers)} sparse operands meet in one loop, any of which may be missing: combine some of "
            "them first",
        )
        present = waiting.pop(0)
        rest = restrict(expr, [w for w in walkers if w not in present], zero)
        if rest is None:
            continue
        used = set(accesses(rest))
        point = tuple(w for w in present if w in used)
        if not point or point in seen:
            continue
        seen[point] = None
        waiting.extend(tuple(w for w in point if w != gone) for gone in point)
    return tuple(sorted(seen, key=len, reverse=True))


def is_sum(expr: Expr, walkers: Collection[Access], zero: float) -> bool:
    """Whether ``expr`` is a sum of ``walkers``, each times what is always there: then what is not stored may
    as well be added as nothing, and no branch needs to tell."""
    match expr:
        case Access():
            return zero == 0 and expr in walkers
        case Binary(op="add" | "sub", a=a, b=b):
            return is_sum(a, walkers, zero) and is_sum(b, walkers, zero)
        case Unary(op="neg", a=a):
            return is_sum(a, walkers, zero)
        case _:
            return False
