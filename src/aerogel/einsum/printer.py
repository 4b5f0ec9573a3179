"""Assignments as index notation: what ``parse`` would read as the same tree.

Sums that parsing would place where they stand are left out; if one would not, all are written. Not
everything has a spelling: a tensor named like a function, a fold within a fold over the same index, or
``zero`` (which is the semiring's). Such trees print all the same, for messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

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
    children,
    indices,
    loop_indices,
    rebuilt,
    walk,
)
from aerogel.einsum.parse import LITERAL, MINUS, POWER, PRECEDENCE
from aerogel.einsum.semiring import Semiring, semiring_named
from aerogel.einsum.sums import place_sums

_ATOM = POWER + 1
_ASSIGN: dict[ReduceOp, str] = {"or": "|=", "and": "&="}


def text(assignment: Assignment, *, semiring: str = "plus_times") -> str:
    """``assignment`` in the notation of ``semiring``: under ``min_plus``, ``min`` is written ``+``."""
    return _Printer(semiring_named(semiring), _index_names(assignment)).assignment(assignment)


def _index_names(assignment: Assignment) -> frozenset[str]:
    return frozenset((*loop_indices(assignment), *indices(assignment.expr)))


@dataclass(frozen=True)
class _Printer:
    """Every expression is printed with how tight its outermost operator binds."""

    semiring: Semiring
    index_names: frozenset[str]

    def assignment(self, whole: Assignment) -> str:
        implied = self.implied(whole)
        right, _ = self.expr(whole.expr if implied is None else implied)
        return f"{self.access(whole.out)} {self.sign(whole.accumulate)} {right}"

    def implied(self, whole: Assignment) -> Expr | None:
        """The expression without its sums, if parsing puts each where it was; else None."""
        bare = _without(whole.expr, self.semiring.add)
        if any(isinstance(node, Reduce) for node in walk(bare)):
            return None
        return bare if place_sums(bare, whole.out.indices, self.semiring.add) == whole.expr else None

    def sign(self, accumulate: ReduceOp | None) -> str:
        if accumulate is None:
            return "="
        for sign, op in (("+=", self.semiring.add), ("*=", self.semiring.mul)):
            if accumulate == op:
                return sign
        return _ASSIGN.get(accumulate, f"{accumulate}=")

    def expr(self, expr: Expr) -> tuple[str, int]:
        match expr:
            case Access():
                return self.access(expr), _ATOM
            case Number(value=value):
                printed = str(value).lower() if isinstance(value, bool) else repr(value)
                return printed, MINUS if printed.startswith("-") else _ATOM
            case Unary(op="neg", a=a) if self.semiring.name == "plus_times" and not isinstance(a, Number):
                return f"-{self.within(a, MINUS)}", MINUS
            case Unary(op=op, a=a):
                return f"{op}({self.expr(a)[0]})", _ATOM
            case Binary():
                return self.binary(expr)
            case Reduce():
                return self.fold(expr), _ATOM
            case _:
                assert_never(expr)

    def within(self, expr: Expr, least: int) -> str:
        """In parentheses unless it binds at least as tight as ``least``."""
        printed, rank = self.expr(expr)
        return printed if rank >= least else f"({printed})"

    def access(self, access: Access) -> str:
        if not access.indices:
            return f"{access.tensor}()" if access.tensor in self.index_names else access.tensor
        return f"{access.tensor}({','.join(access.indices)})"

    def binary(self, expr: Binary) -> tuple[str, int]:
        if expr.op == "pow":
            return f"{self.within(expr.a, _ATOM)} ** {self.within(expr.b, MINUS)}", POWER
        sign = self.infix(expr.op)
        if sign is None:
            return f"{expr.op}({self.expr(expr.a)[0]}, {self.expr(expr.b)[0]})", _ATOM
        rank = PRECEDENCE[sign]
        # Comparisons do not chain, so neither side may be one.
        left = self.within(expr.a, rank + (sign in LITERAL and rank == PRECEDENCE["=="]))
        return f"{left} {sign} {self.within(expr.b, rank + 1)}", rank

    def infix(self, op: BinaryOp) -> str | None:
        if op == self.semiring.add:
            return "+"
        if op == self.semiring.mul:
            return "*"
        if op in {"sub", "div"} and self.semiring.name == "plus_times":
            return "-" if op == "sub" else "/"
        return next((sign for sign, meaning in LITERAL.items() if meaning == op), None)

    def fold(self, expr: Reduce) -> str:
        names = [expr.index]
        body = expr.body
        while isinstance(body, Reduce) and body.op == expr.op:
            names.append(body.index)
            body = body.body
        word = "sum" if expr.op == self.semiring.add else f"reduce_{expr.op}"
        return f"{word}({', '.join(names)}, {self.expr(body)[0]})"


def _without(expr: Expr, op: ReduceOp) -> Expr:
    """``expr`` without its folds by ``op``."""
    if isinstance(expr, Reduce) and expr.op == op:
        return _without(expr.body, op)
    return rebuilt(expr, tuple(_without(child, op) for child in children(expr)))
