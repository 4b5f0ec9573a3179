"""Random assignments that the notation can say, and what they mean, spelt out coordinate by coordinate."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never, cast, get_args

import numpy as np
from hypothesis import strategies as st

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
    UnaryOp,
)
from aerogel.einsum.semiring import SEMIRINGS
from aerogel.einsum.sums import free_indices

NUMBERS: tuple[float, ...] = (0, 1, 2, -3, 0.5, -1e-7, 1e30, math.inf, -math.inf, True, False, -0.0)
EXACT_UNARY: tuple[UnaryOp, ...] = ("neg", "abs", "square", "relu", "sign", "not")
EXACT_BINARY: tuple[BinaryOp, ...] = (
    "add", "sub", "mul", "min", "max", "or", "and", "eq", "ne", "lt", "le", "gt", "ge",
)  # fmt: skip
PLAIN: tuple[BinaryOp, ...] = ("min", "max", "add")


@dataclass
class Trees:
    """Makes trees. Tensors are called by their rank: ``A2`` has two modes."""

    rng: random.Random
    unary: tuple[UnaryOp, ...] = get_args(UnaryOp)
    binary: tuple[BinaryOp, ...] = get_args(BinaryOp)
    folds: tuple[ReduceOp, ...] = get_args(ReduceOp)
    numbers: tuple[float, ...] = NUMBERS
    folded: int = field(default=0, init=False)

    def assignment(self, zero: float, depth: int = 4) -> Assignment:
        scope = ("i", "j", "kk")[: self.rng.randrange(4)]
        expr = self.expr(scope, depth)
        used = list(free_indices(expr))
        self.rng.shuffle(used)
        accumulate = self.rng.choice((None, *get_args(ReduceOp)))
        return Assignment(Access("y", tuple(used)), expr, zero, accumulate)

    def access(self, scope: tuple[str, ...]) -> Access:
        rank = self.rng.randrange(4) if scope else 0
        return Access(f"{self.rng.choice('AB')}{rank}", tuple(self.rng.choice(scope) for _ in range(rank)))

    def expr(self, scope: tuple[str, ...], depth: int) -> Expr:
        kind = self.rng.random() if depth else 0.0
        if kind < 0.25:
            return self.access(scope)
        if kind < 0.32:
            return Number(self.rng.choice(self.numbers))
        if kind < 0.5 and self.unary:
            return Unary(self.rng.choice(self.unary), self.expr(scope, depth - 1))
        if kind < 0.7 and self.folds:
            return self.fold(scope, depth)
        op = self.rng.choice(self.binary)
        return Binary(op, self.expr(scope, depth - 1), self.expr(scope, depth - 1))

    def fold(self, scope: tuple[str, ...], depth: int) -> Expr:
        index = f"r{self.folded % 4 if len(scope) < 5 else self.folded}"
        self.folded += 1
        if index in scope:
            return self.access(scope)
        body = self.expr((*scope, index), depth - 1)
        if index not in free_indices(body):
            body = Binary("add", Access("A1", (index,)), body)
        return Reduce(self.rng.choice(self.folds), index, body)


def expressible(semiring: str) -> st.SearchStrategy[Assignment]:
    """Assignments that have a spelling in ``semiring``."""
    ring = SEMIRINGS[semiring]

    def make(rng: random.Random) -> Assignment:
        made = Trees(rng).assignment(ring.zero)
        if made.accumulate in {"add", "mul"} and made.accumulate not in {ring.add, ring.mul}:
            return Assignment(made.out, made.expr, made.zero)
        return made

    return st.randoms(use_true_random=False).map(make)


def exact(zero: float) -> st.SearchStrategy[Assignment]:
    """Assignments whose arithmetic on small integers is exact, so that the order of folds cannot matter."""

    def make(rng: random.Random) -> Assignment:
        if math.isinf(zero):
            trees = Trees(rng, (), PLAIN, ("min", "max", "add"), (0, 1, -2))
        else:
            trees = Trees(rng, EXACT_UNARY, EXACT_BINARY, get_args(ReduceOp), (0, 1, 2, -3))
        made = trees.assignment(zero, 3)
        return Assignment(made.out, made.expr, zero)

    return st.randoms(use_true_random=False).map(make)


# --- the meaning, spelt out -------------------------------------------------------------------

_UNARY: dict[str, Callable[[float], float]] = {
    "neg": lambda a: -a,
    "abs": abs,
    "square": lambda a: a * a,
    "relu": lambda a: max(a, 0),
    "sign": lambda a: (a > 0) - (a < 0),
    "not": lambda a: not a,
}
_BINARY: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "min": min,
    "max": max,
    "or": lambda a, b: bool(a) or bool(b),
    "and": lambda a, b: bool(a) and bool(b),
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}


def spelt_out(whole: Assignment, operands: Mapping[str, Any], sizes: Mapping[str, int]) -> Any:
    """The output on operands that have ``zero`` where nothing is stored; no operand is infinite otherwise."""
    kept = whole.out.indices
    result = np.full([sizes[index] for index in kept], float(whole.zero))
    for at in itertools.product(*(range(sizes[index]) for index in kept)):
        result[at] = _number(whole.expr, dict(zip(kept, at, strict=True)), operands, sizes)
    return result


def _number(
    expr: Expr, env: Mapping[str, int], operands: Mapping[str, Any], sizes: Mapping[str, int]
) -> float:
    match expr:
        case Access(tensor=name, indices=indices):
            return float(operands[name][tuple(env[index] for index in indices)])
        case Number(value=value):
            return value
        case Unary(op=op, a=a):
            return _UNARY[op](_number(a, env, operands, sizes))
        case Binary(op=op, a=a, b=b):
            return _BINARY[op](_number(a, env, operands, sizes), _number(b, env, operands, sizes))
        case Reduce(op=op, index=index, body=body):
            found = [_number(body, {**env, index: k}, operands, sizes) for k in range(sizes[index])]
            made = found[0]
            for value in found[1:]:
                made = _BINARY[op](made, value)
            return bool(made) if op in {"or", "and"} else made
        case _:
            assert_never(cast("Any", expr))
