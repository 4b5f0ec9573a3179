"""Semirings, and what an operation makes of operands that are not stored.

Whatever is not stored in a tensor has the value ``zero``. An operation with such an operand need not be
computed where the answer follows from algebra: a product with an absent factor is absent, a sum with an
absent term is the other term. The rules below say so for every operation and every ``zero``. They are part
of the meaning, not an optimisation of it: 0 x inf is NaN, but a factor that is *not stored* makes the product
absent. The interpreter and the compiler both read them.

They assume what makes them rules: 0 annihilates under ``mul`` and as the numerator of ``div`` (so 0/0 is
absent where the numerator is), ``inf`` under ``add`` and ``max``, ``-inf`` under ``min``.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal as Choice
from typing import cast

from aerogel.core.errors import InputError
from aerogel.core.suggest import meant
from aerogel.einsum.arithmetic import on_numbers
from aerogel.einsum.nodes import Binary, BinaryOp, Number, ReduceOp, UnaryOp


@dataclass(frozen=True, slots=True)
class Semiring:
    """What ``+`` and ``*`` mean, and implicit sums with them. ``zero``: the identity of ``add``."""

    name: str
    add: ReduceOp
    mul: BinaryOp
    zero: int | float | bool
    about: str


_ALL = (
    Semiring("plus_times", "add", "mul", 0, "ordinary arithmetic"),
    Semiring("min_plus", "min", "add", math.inf, "shortest paths: + is min, * is +, not stored is infinity"),
    Semiring("max_times", "max", "mul", 0, "most likely paths: + is max; values are 0 or more"),
    Semiring("or_and", "or", "and", zero=False, about="reachability: values are read as true or false"),
    Semiring("plus_pair", "add", "pair", 0, "counting: * is 1 where both operands are stored"),
)
SEMIRINGS = {semiring.name: semiring for semiring in _ALL}


def semiring_named(name: str) -> Semiring:
    """The semiring of that name, or InputError."""
    if name in SEMIRINGS:
        return SEMIRINGS[name]
    raise InputError(f"semiring {name!r} is unknown: {meant(name, SEMIRINGS)}")


Absent = Choice["absent", "other", "neg_other", "value"]
"""What an operation gives where an operand is not stored.

``absent``: nothing either, so ``zero``. ``other``: the operand that is stored (as a truth value under ``or``
and ``and``). ``neg_other``: that one negated. ``value``: compute it, with ``zero`` for what is not stored.
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """Of a binary operation: what it gives where its left, its right, or no operand is stored."""

    left_absent: Absent
    right_absent: Absent
    both_absent: Absent


_ANNIHILATE: dict[BinaryOp, tuple[Collection[float], Collection[float]]] = {
    "mul": ((0,), (0,)),
    "and": ((0,), (0,)),
    "or": ((1,), (1,)),
    "add": ((math.inf, -math.inf), (math.inf, -math.inf)),
    "min": ((-math.inf,), (-math.inf,)),
    "max": ((math.inf,), (math.inf,)),
    "sub": ((math.inf, -math.inf), ()),
    "div": ((0,), ()),
    "pow": ((1,), ()),
}
_IDENTITY: dict[BinaryOp, tuple[Collection[float], Collection[float]]] = {
    "mul": ((1,), (1,)),
    "and": ((1,), (1,)),
    "or": ((0,), (0,)),
    "add": ((0,), (0,)),
    "min": ((math.inf,), (math.inf,)),
    "max": ((-math.inf,), (-math.inf,)),
    "sub": ((), (0,)),
    "div": ((), (1,)),
    "pow": ((), (1,)),
}
"""Values on the left, and on the right, that annihilate; and that leave the other operand as it is."""


def lattice_rule(op: BinaryOp, zero: float) -> Rule:
    """What ``op`` makes of operands that are not stored, where that means ``zero``.

    ``max`` and ``min`` with a ``zero`` of 0 are computed: max(0, b) is b only where b is not negative.
    """
    if op == "pair":
        return Rule("absent", "absent", "absent")
    left, right = _side(op, zero, 0), _side(op, zero, 1)
    one_settles = "absent" in (left, right)
    both = "absent" if one_settles or _same(on_numbers(op, zero, zero), zero) else "value"
    return Rule(left, right, both)


def _side(op: BinaryOp, zero: float, side: int) -> Absent:
    nothing: tuple[Collection[float], Collection[float]] = ((), ())
    if zero in _ANNIHILATE.get(op, nothing)[side]:
        return "absent"
    if zero in _IDENTITY.get(op, nothing)[side]:
        return "other"
    return "neg_other" if op == "sub" and side == 0 and zero == 0 else "value"


def rule_of(expr: Binary, zero: float) -> Rule:
    """``lattice_rule`` for the operation in ``expr``, sharper where an operand is a literal.

    0 < 0.5 is 1, so ``A(i) < 0.5`` is full; but ``A(i) > 0.5``, ``A(i) ** 2`` and ``max(A(i), 0)`` are absent
    where A is. A literal is always stored.
    """
    rule = lattice_rule(expr.op, zero)
    match expr:
        case Binary(b=Number(value=value)) if _same(on_numbers(expr.op, zero, value), zero):
            return replace(rule, left_absent="absent")
        case Binary(a=Number(value=value)) if _same(on_numbers(expr.op, value, zero), zero):
            return replace(rule, right_absent="absent")
        case _:
            return rule


def unary_rule(op: UnaryOp, zero: float) -> Choice["absent", "value"]:
    """Whether ``op`` leaves absent what is absent, as sqrt(0) is 0; exp(0) is 1, which must be computed."""
    return "absent" if _same(on_numbers(op, zero), zero) else "value"


def reduce_rule(op: ReduceOp, zero: float) -> Choice["skip", "absent", "value"]:
    """What an absent element does to a fold.

    ``skip``: nothing; only what is stored is folded, and where nothing is, the result is absent.
    ``absent``: one makes the result absent. ``value``: ``zero`` takes part in the fold: the greatest of a row
    whose stored values are negative is 0 where something is not stored. Under ``min`` and ``max`` once is as
    good as often, and the result is absent where every element is.
    """
    match lattice_rule(cast("BinaryOp", op), zero):
        case Rule(left_absent="other"):
            return "skip"
        case Rule(left_absent="absent"):
            return "absent"
        case _:
            return "value"


def _same(a: float, b: float) -> bool:
    return a == b
