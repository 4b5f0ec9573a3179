"""Derivatives of assignments, as assignments: what the gradient of an operand is, in the notation itself.

If ``out(I) = expr`` feeds a number whose gradient with respect to ``out`` is ``g(I)``, the gradient of an
operand is a sum over the places where it stands: for ``y(i) = A(i,j) * x(j)``, that of ``x`` is
``g(i) * A(i,j)``, and that of ``A`` is ``g(i) * x(j)``. Where ``A`` is sparse only the gradient of what it
stores is wanted; then the expression is multiplied by a tensor ``p(i,j)`` of ones with its pattern, so that
nothing else is computed.

At a kink one side is taken: relu has the slope 0 at 0, abs 0, and of equal operands min and max follow the
first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from aerogel.core.errors import UnsupportedError, refuse
from aerogel.einsum.nodes import (
    Access,
    Assignment,
    Binary,
    Expr,
    Number,
    Reduce,
    Unary,
    accesses,
    children,
    folded,
    indices,
    rebuilt,
)
from aerogel.einsum.sums import free_indices


@dataclass(frozen=True, slots=True)
class Gradient:
    """The gradient of one access: ``assignment``, whose output has each index of the access once.

    It reads the operands of the original, and by the names given here ``upstream``, the gradient of the
    original's output; ``pattern``, ones where the operand stores something (None: its gradient is dense); and
    vectors of ones as long as an index that nothing else has, name: index.
    """

    assignment: Assignment
    upstream: str
    pattern: str | None
    ones: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Path:
    """From the root to an access: the slopes that are passed, and the indices of the sums."""

    access: Access
    slopes: tuple[Expr, ...]
    summed: tuple[str, ...]


def gradients(whole: Assignment, tensor: str, *, sampled: bool) -> tuple[tuple[Access, Gradient], ...]:
    """One gradient for each place where ``tensor`` stands and matters; their sum is its gradient.

    ``sampled``: only where the tensor stores something. UnsupportedError for what has no derivative here:
    folds other than sums, accumulation.
    """
    if whole.accumulate is not None:
        refuse(UnsupportedError, f"{whole.out.tensor}: write what it accumulates to as an operand of the sum")
    found = [path for path in _paths(whole.expr, tensor) if path.access.tensor == tensor]
    return tuple((path.access, _gradient(whole, path, sampled=sampled)) for path in found)


def _gradient(whole: Assignment, path: _Path, *, sampled: bool) -> Gradient:
    taken = {a.tensor for a in accesses(whole.expr)} | {whole.out.tensor}
    target = tuple(dict.fromkeys(path.access.indices))
    upstream = _fresh("g", taken)
    pattern = _fresh("p", taken) if sampled else None
    factors: list[Expr] = [] if pattern is None else [Access(pattern, path.access.indices)]
    factors.append(Access(upstream, whole.out.indices))
    factors += _renamed(path.slopes, {*indices(whole.expr), *whole.out.indices})
    numbers = [f.value for f in factors if isinstance(f, Number)]
    factors = [f for f in factors if not isinstance(f, Number)]
    used = {index for f in factors for index in free_indices(f)}
    ones = {_fresh(f"ones_{i}", taken): i for i in (*target, *path.summed) if i not in used}
    factors += [Access(name, (index,)) for name, index in ones.items()]
    expr = factors[0]
    for factor in factors[1:]:
        expr = Binary("mul", expr, factor)
    for index in free_indices(expr):
        if index not in target:
            expr = _summed(expr, index)
    scale = 1.0
    for number in numbers:
        scale *= number
    expr = expr if scale == 1 else Unary("neg", expr) if scale == -1 else Binary("mul", expr, Number(scale))
    out = Access(_fresh("d", taken), target)
    return Gradient(Assignment(out, expr, whole.zero), upstream, pattern, ones)


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _summed(expr: Expr, index: str) -> Expr:
    """The sum over ``index`` of a product, around the factors that have it."""
    match expr:
        case Binary(op="mul", a=a, b=b):
            left, right = (index in free_indices(side) for side in (a, b))
            if left and right:
                return Reduce("add", index, expr)
            return Binary("mul", _summed(a, index), b) if left else Binary("mul", a, _summed(b, index))
        case Reduce(op="add", index=outer, body=body):
            return Reduce("add", outer, _summed(body, index))
        case _:
            return Reduce("add", index, expr)


def _renamed(slopes: tuple[Expr, ...], taken: set[str]) -> list[Expr]:
    """The slopes with their own folds over indices of their own: those of the path are free now."""
    own = {index for slope in slopes for index in folded(slope)}
    names = {index: _fresh(f"{index}_", taken) for index in sorted(own)}
    return [_with_folds(slope, names, {}) for slope in slopes]


def _with_folds(expr: Expr, names: dict[str, str], inside: dict[str, str]) -> Expr:
    match expr:
        case Access(tensor=tensor, indices=used):
            return Access(tensor, tuple(inside.get(index, index) for index in used))
        case Reduce(op=op, index=index, body=body):
            new = names[index]
            return Reduce(op, new, _with_folds(body, names, {**inside, index: new}))
        case _:
            return rebuilt(expr, tuple(_with_folds(child, names, inside) for child in children(expr)))


# --- slopes ---------------------------------------------------------------------------------------


def _paths(expr: Expr, tensor: str) -> Iterator[_Path]:
    """A path to every access of ``tensor`` that the value follows; slopes outermost first."""
    if not any(access.tensor == tensor for access in accesses(expr)):
        return
    match expr:
        case Access():
            yield _Path(expr, (), ())
        case Number():
            pass
        case Unary(op="sign" | "not"):
            pass
        case Unary(a=a):
            yield from _through(a, _slope(expr), tensor)
        case Binary():
            for part, slope in _slopes(expr):
                yield from _through(part, slope, tensor)
        case Reduce(op="add", index=index, body=body):
            for path in _paths(body, tensor):
                yield _Path(path.access, path.slopes, (index, *path.summed))
        case Reduce(op=op):
            refuse(
                UnsupportedError, f"the gradient of {tensor} through reduce_{op} is not known here: use a sum"
            )
        case _:
            assert_never(expr)


def _through(part: Expr, slope: Expr, tensor: str) -> Iterator[_Path]:
    for path in _paths(part, tensor):
        yield _Path(path.access, (slope, *path.slopes), path.summed)


def _slope(expr: Unary) -> Expr:
    """The derivative of a function at its operand."""
    a = expr.a
    match expr.op:
        case "neg":
            return Number(-1)
        case "abs":
            return Unary("sign", a)
        case "sqrt":
            return Binary("div", Number(0.5), expr)
        case "square":
            return Binary("mul", Number(2), a)
        case "relu":
            return Binary("gt", a, Number(0))
        case "exp":
            return expr
        case "log":
            return Unary("reciprocal", a)
        case "tanh":
            return Binary("sub", Number(1), Unary("square", expr))
        case "sigmoid":
            return Binary("mul", expr, Binary("sub", Number(1), expr))
        case "sin":
            return Unary("cos", a)
        case "cos":
            return Unary("neg", Unary("sin", a))
        case "reciprocal":
            return Unary("neg", Unary("square", expr))
        case "sign" | "not":
            return Number(0)
        case _:
            assert_never(expr.op)


def _slopes(expr: Binary) -> tuple[tuple[Expr, Expr], ...]:
    """(operand, derivative with respect to it) of those that matter; steps have the slope 0."""
    a, b = expr.a, expr.b
    match expr.op:
        case "add":
            return (a, Number(1)), (b, Number(1))
        case "sub":
            return (a, Number(1)), (b, Number(-1))
        case "mul":
            return (a, b), (b, a)
        case "div":
            return (a, Unary("reciprocal", b)), (b, Unary("neg", Binary("div", a, Unary("square", b))))
        case "pow":
            lower = Number(b.value - 1) if isinstance(b, Number) else Binary("sub", b, Number(1))
            base = Binary("mul", Binary("pow", a, lower), b)
            return (a, base), (b, Binary("mul", expr, Unary("log", a)))
        case "max":
            return (a, Binary("ge", a, b)), (b, Binary("lt", a, b))
        case "min":
            return (a, Binary("le", a, b)), (b, Binary("gt", a, b))
        case "or" | "and" | "pair" | "eq" | "ne" | "lt" | "le" | "gt" | "ge":
            return ()
        case _:
            assert_never(expr.op)
