"""Implicit sums: where the sum over an index that the output lacks is placed.

The sum goes around the smallest sub-expression that holds every use of its index; and since a sum of terms is
the terms' sums, it enters ``+`` and ``-`` term by term:

- ``y(i) = A(i,j) * x(j) + b(i)``: around the product; b stands outside and counts once.
- ``y(i) = relu(A(i,j) * x(j) + b(i))``: inside relu, as all uses are, and around the product alone.
- ``y(i) = A(i,j) ** 2``: likewise inside, so the sum is squared. For the sum of squares write
  ``sum(j, A(i,j) ** 2)``.
- ``y(i) = min(A(i,j), B(i,j))``: around min, which needs both at the same j.
"""

from __future__ import annotations

from collections.abc import Collection

from aerogel.einsum.nodes import Access, Binary, Expr, Reduce, ReduceOp, children, rebuilt


def free_indices(expr: Expr) -> tuple[str, ...]:
    """The indices of ``expr`` that no Reduce within it binds, in order of first use."""
    found: dict[str, None] = {}
    _collect(expr, frozenset(), found)
    return tuple(found)


def _collect(expr: Expr, bound: frozenset[str], found: dict[str, None]) -> None:
    match expr:
        case Access(indices=used):
            found.update(dict.fromkeys(index for index in used if index not in bound))
        case Reduce(index=index, body=body):
            _collect(body, bound | {index}, found)
        case _:
            for child in children(expr):
                _collect(child, bound, found)


def place_sums(expr: Expr, kept: Collection[str], op: ReduceOp) -> Expr:
    """``expr`` with a fold by ``op`` over each free index that is not ``kept``.

    Of several around the same sub-expression, the index used first is outermost.
    """
    for index in free_indices(expr):
        if index not in kept:
            expr = _placed(expr, index, op)
    return expr


def _placed(expr: Expr, index: str, op: ReduceOp) -> Expr:
    parts = children(expr)
    if isinstance(expr, Binary) and expr.op == "pair":
        # How often both are there is counted around the whole product: pair(a + b, c) is 1 all the same.
        return Reduce(op, index, expr)
    uses = [index in free_indices(part) for part in parts]
    if not parts or (sum(uses) > 1 and not _distributes(expr, op)):
        return Reduce(op, index, expr)
    placed = [_placed(part, index, op) if used else part for part, used in zip(parts, uses, strict=True)]
    return rebuilt(expr, tuple(placed))


def _distributes(expr: Expr, op: ReduceOp) -> bool:
    match expr:
        case Binary(op="sub"):
            return op == "add"
        case Binary(op=term):
            return term == op
        case _:
            return False
