"""Where a block's 0 for what is absent would show: such operands are refused, for the result would be wrong.

In an expression what is not stored is absent: 0 / 0 is not even computed where the numerator is not stored.
Blocks send 0 for it (``Array`` for an empty reference, ``Reduce`` for an empty fiber), which is the same as
long as 0 times and 0 over what follows is 0. It is not with a divisor that is 0, or a factor that is infinite
or NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aerogel.core.errors import ChipError, require
from aerogel.einsum.nodes import Access, Assignment, Binary, Expr, Reduce, Unary, accesses, children, walk
from aerogel.einsum.printer import text
from aerogel.formats.storage import Storage

_UNIONS = ("add", "sub", "min", "max", "or", "ne", "lt", "gt")


def require_defined(assignment: Assignment, tensors: Mapping[str, Storage]) -> None:
    """ChipError where absent values would meet a divisor that is 0, or values that are not finite.

    ``tensors``: by the names that ``assignment`` has.
    """
    _Check(assignment, tensors).expr(assignment.expr, joined=False)


@dataclass(frozen=True, slots=True)
class _Check:
    assignment: Assignment
    tensors: Mapping[str, Storage]

    def expr(self, expr: Expr, *, joined: bool) -> None:
        """``joined``: with something that is stored elsewhere, so that all of ``expr`` may be absent."""
        if isinstance(expr, Binary) and expr.op in ("mul", "div") and (joined or _filled(expr)):
            for access in accesses(expr):
                self.finite(access.tensor)
            for access in _zero_with(expr.b) if expr.op == "div" else ():
                self.not_zero(access.tensor)
        joins = isinstance(expr, Binary) and expr.op in _UNIONS
        for child in children(expr):
            self.expr(child, joined=joined or joins)

    def finite(self, name: str) -> None:
        values = self.tensors[name].values
        require(
            values.dtype.kind != "f" or bool(np.isfinite(values).all()),
            ChipError,
            f"{text(self.assignment)}: {name} has values that are not finite, which meet what is not stored: "
            "the chip takes that for 0, and 0 times infinity is none; use aerogel.evaluate",
        )

    def not_zero(self, name: str) -> None:
        stored = self.tensors[name]
        whole = stored.stored == int(np.prod(stored.shape, dtype=np.int64))
        require(
            whole and bool((stored.values != 0).all()),
            ChipError,
            f"{text(self.assignment)}: {name} is divided by and has zeros, which meet what is not stored: "
            "the chip takes that for 0, and 0 / 0 is none; use aerogel.evaluate",
        )


def _filled(expr: Expr) -> bool:
    """Whether a part of it is 0 where nothing is stored: a sum, or two things joined."""
    return any(isinstance(n, Reduce) or (isinstance(n, Binary) and n.op in _UNIONS) for n in walk(expr))


def _zero_with(expr: Expr) -> tuple[Access, ...]:
    """The accesses of which any that is 0 makes a divisor 0."""
    match expr:
        case Access():
            return (expr,)
        case Binary(op="mul" | "and", a=a, b=b):
            return (*_zero_with(a), *_zero_with(b))
        case Unary(op="neg" | "abs" | "sqrt" | "square" | "relu" | "sign", a=a):
            return _zero_with(a)
        case _:
            return ()
