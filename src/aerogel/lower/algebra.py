"""Rewriting sums: pulled out of products where they become loops, pushed into them where that saves work."""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.einsum.nodes import Binary, BinaryOp, Expr, Reduce, ReduceOp, Unary, children, indices, rebuilt

OVER: dict[ReduceOp, BinaryOp] = {"add": "mul", "min": "add", "max": "mul", "or": "and"}
"""The product that distributes over a sum: a * (b + c) = a * b + a * c, and min's is +. (Over max, a product
does so for values that are not negative: what the semiring max_times is for.)"""


@dataclass(frozen=True, slots=True)
class Term:
    """One summand: ``body`` folded over ``loops``, outermost first."""

    loops: tuple[str, ...]
    body: Expr


def fold_of(expr: Expr) -> ReduceOp:
    """With what the sums at the top of an expression fold: ``add`` where there are none."""
    match expr:
        case Reduce(op=op):
            return op
        case Binary(op="add" | "sub" | "min" | "max" | "or" | "mul" | "and", a=a, b=b):
            for part in (a, b):
                if any(isinstance(node, Reduce) for node in _spine(part)):
                    return fold_of(part)
            return "add"
        case Unary(op="neg", a=a):
            return fold_of(a)
        case _:
            return "add"


def _spine(expr: Expr) -> list[Expr]:
    return [expr, *(node for child in children(expr) for node in _spine(child))]


def terms(expr: Expr, fold: ReduceOp) -> list[Term]:
    """The summands of ``expr`` under ``fold``, their outermost sums peeled off."""
    match expr:
        case Binary(op=op, a=a, b=b) if op == fold:
            return terms(a, fold) + terms(b, fold)
        case Binary(op="sub", a=a, b=b) if fold == "add":
            return terms(a, fold) + terms(Unary("neg", b), fold)
        case Unary(op="neg", a=Binary(op="add" | "sub" as op, a=a, b=b)) if fold == "add":
            second = b if op == "sub" else Unary("neg", b)
            return terms(Unary("neg", a), fold) + terms(second, fold)
        case _:
            return [_peeled(_lifted(expr, fold), fold)]


def _peeled(expr: Expr, fold: ReduceOp) -> Term:
    loops: list[str] = []
    while isinstance(expr, Reduce) and expr.op == fold:
        loops.append(expr.index)
        expr = expr.body
    return Term(tuple(loops), expr)


def _lifted(expr: Expr, fold: ReduceOp) -> Expr:
    """Sums under a product, or under a sign, moved to the top."""
    match expr:
        case Reduce(op=op, index=index, body=body) if op == fold:
            return Reduce(op, index, _lifted(body, fold))
        case Unary(op="neg", a=a) if fold == "add":
            inner = _lifted(a, fold)
            if isinstance(inner, Reduce) and inner.op == fold:
                return Reduce(inner.op, inner.index, _lifted(Unary("neg", inner.body), fold))
            return Unary("neg", inner)
        case Binary(op=op, a=a, b=b) if op == OVER.get(fold):
            left, right = _lifted(a, fold), _lifted(b, fold)
            if isinstance(left, Reduce) and left.op == fold and left.index not in indices(right):
                return Reduce(fold, left.index, _lifted(Binary(op, left.body, right), fold))
            if isinstance(right, Reduce) and right.op == fold and right.index not in indices(left):
                return Reduce(fold, right.index, _lifted(Binary(op, left, right.body), fold))
            return Binary(op, left, right)
        case _:
            return expr


def nested(expr: Expr, order: tuple[str, ...]) -> Expr:
    """``expr`` with sums directly inside one another in the order of loops, and every factor outside the sums
    whose index it does not have: sum(j, k) X(i,j,k) * B(j) * C(k) takes B outside the sum over k."""
    expr = rebuilt(expr, tuple(nested(child, order) for child in children(expr)))
    if not isinstance(expr, Reduce):
        return expr
    chain, body = [expr.index], expr.body
    while isinstance(body, Reduce) and body.op == expr.op:
        chain.append(body.index)
        body = body.body
    body = _flat(body, expr.op)
    while isinstance(body, Reduce) and body.op == expr.op and body.index not in chain:
        chain.append(body.index)
        body = body.body
    for index in sorted(chain, key=order.index, reverse=True):
        body = _sunk(index, expr.op, body)
    return body


def _flat(expr: Expr, fold: ReduceOp) -> Expr:
    return _lifted(expr, fold)


def _sunk(index: str, fold: ReduceOp, body: Expr) -> Expr:
    product = OVER.get(fold)
    factors = factors_of(body, product)
    inside = [f for f in factors if index in indices(f)]
    outside = [f for f in factors if index not in indices(f)]
    if not inside or not outside:
        return Reduce(fold, index, body)
    whole: Expr = Reduce(fold, index, product_of(inside, product))
    return Binary(product, product_of(outside, product), whole) if product else whole


def factors_of(expr: Expr, product: BinaryOp | None) -> list[Expr]:
    """What ``product`` puts together to ``expr``; that alone where it is no product."""
    match expr:
        case Binary(op=op, a=a, b=b) if op == product:
            return [*factors_of(a, product), *factors_of(b, product)]
        case _:
            return [expr]


def product_of(factors: list[Expr], product: BinaryOp | None) -> Expr:
    """One expression again; a single factor needs no ``product``."""
    whole = factors[0]
    for factor in factors[1:]:
        assert product is not None
        whole = Binary(product, whole, factor)
    return whole


def follows(expr: Expr, order: tuple[str, ...], outside: int = -1) -> bool:
    """Whether sums inside one another come in the order of loops: a sum that nothing distributes over stays
    where it is."""
    if isinstance(expr, Reduce):
        here = order.index(expr.index)
        return here > outside and follows(expr.body, order, here)
    return all(follows(child, order, outside) for child in children(expr))
