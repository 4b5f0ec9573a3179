"""The random programs do what they are for: every node, every operation, every type."""

from __future__ import annotations

import random
from typing import get_args

from tests.loop.programs import random_program

from aerogel.core.dtypes import DType
from aerogel.loop import (
    Binary,
    BinaryOp,
    Compare,
    CompareOp,
    Expr,
    Reduce,
    ReduceOp,
    Stmt,
    Type,
    Unary,
    UnaryOp,
)
from aerogel.loop.printer import show
from aerogel.loop.walk import operands, statements, subexpressions

SEEDS = range(60)


def test_they_use_everything() -> None:
    nodes: set[type] = set()
    ops: set[tuple[type, str]] = set()
    types: set[Type] = set()
    for seed in SEEDS:
        for function in random_program(random.Random(seed)).module.functions:
            for stmt in statements(function.body):
                nodes.add(type(stmt))
                for expr in (e for top in operands(stmt) for e in subexpressions(top)):
                    nodes.add(type(expr))
                    types.add(expr.type)
                    if isinstance(expr, Binary | Unary | Compare | Reduce):
                        ops.add((type(expr), expr.op))
    assert nodes == {*get_args(Stmt), *get_args(Expr)}
    wanted = {Binary: BinaryOp, Unary: UnaryOp, Compare: CompareOp, Reduce: ReduceOp}
    assert ops == {(node, op) for node, names in wanted.items() for op in get_args(names)}
    assert {type_.dtype for type_ in types} == set(DType)


def test_the_same_seed_gives_the_same_program_and_arguments() -> None:
    a, b = random_program(random.Random(3)), random_program(random.Random(3))
    # As text, because a NaN equals nothing.
    assert show(a.module) == show(b.module)
    assert [str(x) for x in a.arguments()] == [str(x) for x in b.arguments()]
