"""Where an expression can be cut in two: part of it as an assignment of its own, the rest with its result.

Only where it makes no difference whether the result of the part stores a zero or leaves it out: what is
absent to one block may come back as a stored zero. So nothing is cut below a division, a comparison, ``pair``
or a function that makes something of 0; below min and max only where what is not stored is their identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import inf, log2, prod

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
    accesses,
    indices,
)
from aerogel.einsum.sums import free_indices, place_sums
from aerogel.lower.algebra import OVER, factors_of, product_of, terms

_KEEPS_ZERO = frozenset({"neg", "abs", "sqrt", "square", "relu", "sign", "tanh"})
_BETWEEN: dict[float, frozenset[BinaryOp]] = {
    0: frozenset({"add", "sub", "mul", "or", "and"}),
    inf: frozenset({"add", "min"}),
}
"""Operations that take a stored zero as they take nothing, by what the zero is."""
_SUMS: dict[float, tuple[ReduceOp, ...]] = {0: ("add", "or"), inf: ("min",)}
"""Sums that do so, too."""
_FACTORS = 8
"""Of a sum of products: with more than these, not every choice of them is looked at."""

_Refilled = Callable[[Expr], Expr]
"""The whole expression with something else where its part was."""
_Cut = tuple[Expr, _Refilled]


@dataclass(frozen=True, slots=True)
class Halves:
    """``first`` computes a part of an assignment, ``rest`` the assignment from its result, which both call by
    the same name. ``values``: about how many the result has."""

    first: Assignment
    rest: Assignment
    values: float


@dataclass(frozen=True, slots=True)
class Filling:
    """What is known of operands: the ``share`` of places that each stores, and the extent of each index."""

    share: Mapping[str, float]
    extents: Mapping[str, int]

    def values(self, expr: Expr) -> float:
        """About how many values ``expr`` has, what is stored being spread evenly and independently."""
        return self._share(expr) * prod(self.extents[index] for index in free_indices(expr))

    def _share(self, expr: Expr) -> float:
        match expr:
            case Access(tensor=tensor):
                return self.share[tensor]
            case Number():
                return 1.0
            case Unary(a=a):
                return self._share(a)
            case Reduce(index=index, body=body):
                return 1.0 - (1.0 - self._share(body)) ** self.extents[index]
            case Binary(op="mul" | "and" | "div" | "pair", a=a, b=b):
                return self._share(a) * self._share(b)
            case Binary(a=a, b=b):
                return min(1.0, self._share(a) + self._share(b))


def halves(assignment: Assignment, name: str, filling: Filling) -> list[Halves]:
    """All ways to cut an assignment, the best first. ``name``: of the results.

    Good is a small result; of those within a factor of two, equal halves, for which the fewest parts may do.
    """
    found: dict[Assignment, Halves] = {}
    for part, refilled in _cuts(assignment.expr, assignment.zero):
        out = Access(name, free_indices(part))
        first = replace(assignment, out=out, expr=part)
        rest = replace(assignment, expr=refilled(out))
        if len(accesses(part)) > 1 and len(accesses(rest.expr)) > 1:
            found.setdefault(first, Halves(first, rest, filling.values(part)))
    return sorted(found.values(), key=lambda one: (round(log2(max(1.0, one.values))), _apart(one)))


def _apart(way: Halves) -> int:
    """By how many operands its halves differ."""
    return abs(len(accesses(way.first.expr)) - len(accesses(way.rest.expr)))


def _cuts(expr: Expr, zero: float) -> Iterator[_Cut]:
    """Parts of an expression, itself not among them."""
    sums: tuple[ReduceOp, ...] = _SUMS.get(zero, ())
    match expr:
        case Unary(op=op, a=a) if op in _KEEPS_ZERO and zero == 0:
            yield from _within(a, zero, lambda other: Unary(op, other))
        case Reduce(op=fold) if fold in sums:
            yield from _of_products(expr, fold, zero)
        case Binary(op=op, a=a, b=b) if op in _BETWEEN.get(zero, ()):
            folds: list[ReduceOp] = [fold for fold in sums if OVER[fold] == op]
            if folds:
                yield from _of_products(expr, folds[0], zero)
                return
            yield from _within(a, zero, lambda other: Binary(op, other, b))
            yield from _within(b, zero, lambda other: Binary(op, a, other))
        case _:
            return


def _within(part: Expr, zero: float, refilled: _Refilled) -> Iterator[_Cut]:
    """A part, and parts of it."""
    yield part, refilled
    for smaller, inner in _cuts(part, zero):
        yield smaller, lambda other, inner=inner: refilled(inner(other))


def _of_products(expr: Expr, fold: ReduceOp, zero: float) -> Iterator[_Cut]:
    """Parts of a product, or of a sum of products: some factors, summed over what the others do not have."""
    (term,) = terms(expr, fold)
    product = OVER.get(fold)
    factors = factors_of(term.body, product)
    for at, factor in enumerate(factors):
        around = _joined(factors[:at], factors[at + 1 :], product)
        yield from _within(
            factor, zero, lambda other, around=around: _summed(around(other), fold, term.loops)
        )
    for some in _choices(factors):
        left = [factor for at, factor in enumerate(factors) if at not in some]
        beyond = {index for factor in left for index in free_indices(factor)}
        own = tuple(index for index in term.loops if index not in beyond)
        rest = tuple(index for index in term.loops if index in beyond)
        around = _joined(left[: some[0]], left[some[0] :], product)
        part = _joined([], [factors[at] for at in some[1:]], product)(factors[some[0]])
        yield (
            _summed(part, fold, own),
            lambda other, around=around, rest=rest: _summed(around(other), fold, rest),
        )


def _choices(factors: Sequence[Expr]) -> Iterator[tuple[int, ...]]:
    """Some of several factors, by number: at least two, not all, no product of what has nothing in common."""
    for count in range(2, len(factors)) if len(factors) <= _FACTORS else ():
        for some in combinations(range(len(factors)), count):
            if _connected([factors[at] for at in some]):
                yield some


def _summed(whole: Expr, fold: ReduceOp, over: tuple[str, ...]) -> Expr:
    if all(isinstance(factor, Access | Number) for factor in factors_of(whole, OVER.get(fold))):
        # Where the notation has its sums: so it reads like what was written.
        return place_sums(whole, set(free_indices(whole)) - set(over), fold)
    for index in reversed(over):
        whole = Reduce(fold, index, whole)
    return whole


def _joined(before: Sequence[Expr], after: Sequence[Expr], product: BinaryOp | None) -> _Refilled:
    """The product of factors with one more between them."""
    return lambda other: product_of([*before, other, *after], product)


def _connected(factors: list[Expr]) -> bool:
    """Whether each shares an index with others, and all hang together: else their product is large."""
    reached, left = set(indices(factors[0])), factors[1:]
    while near := [factor for factor in left if reached & set(indices(factor))]:
        reached.update(index for factor in near for index in indices(factor))
        left = [factor for factor in left if factor not in near]
    return not left
