"""The rules for what is not stored, against the arithmetic they stand for."""

from __future__ import annotations

import math
from typing import get_args

import pytest

from aerogel.einsum.arithmetic import on_numbers
from aerogel.einsum.nodes import Access, Binary, BinaryOp, Number, ReduceOp, UnaryOp
from aerogel.einsum.semiring import SEMIRINGS, Rule, lattice_rule, reduce_rule, rule_of, unary_rule

INF = math.inf
BINARY: tuple[BinaryOp, ...] = get_args(BinaryOp)
SAMPLES = (-2.5, -1.0, 0.5, 1.0, 3.0)
ZEROS = (0, INF, -INF, False, True, 1, 2.5)


@pytest.mark.parametrize("zero", ZEROS, ids=repr)
@pytest.mark.parametrize("op", BINARY)
def test_rules_agree_with_arithmetic(op: BinaryOp, zero: float) -> None:
    """On finite values, and but for pair, which asks what is stored."""
    rule = lattice_rule(op, zero)
    if op == "pair":
        assert rule == Rule("absent", "absent", "absent")
        return
    truth = op in {"or", "and"}
    for b in SAMPLES:
        for outcome, got in ((rule.left_absent, (zero, b)), (rule.right_absent, (b, zero))):
            value = on_numbers(op, *got)
            stated = {"absent": zero, "other": bool(b) if truth else b, "neg_other": -b, "value": value}[
                outcome
            ]
            assert value == stated or (math.isnan(value) and math.isnan(stated)), (op, got, outcome)
    if rule.both_absent == "absent" and "absent" not in (rule.left_absent, rule.right_absent):
        assert on_numbers(op, zero, zero) == zero


@pytest.mark.parametrize(
    ("op", "zero", "expected"),
    [
        ("mul", 0, ("absent", "absent", "absent")),
        ("add", 0, ("other", "other", "absent")),
        ("sub", 0, ("neg_other", "other", "absent")),
        ("div", 0, ("absent", "value", "absent")),
        ("min", 0, ("value", "value", "absent")),
        ("max", 0, ("value", "value", "absent")),
        ("or", False, ("other", "other", "absent")),
        ("and", False, ("absent", "absent", "absent")),
        ("min", INF, ("other", "other", "absent")),
        ("add", INF, ("absent", "absent", "absent")),
        ("pair", INF, ("absent", "absent", "absent")),
        ("eq", 0, ("value", "value", "value")),
        ("lt", 0, ("value", "value", "absent")),
        ("pow", 0, ("value", "value", "value")),
    ],
)
def test_the_lattice(op: BinaryOp, zero: float, expected: tuple[str, str, str]) -> None:
    assert lattice_rule(op, zero) == Rule(*expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("semiring", SEMIRINGS.values(), ids=lambda ring: ring.name)
def test_zero_is_what_a_semiring_needs(semiring: object) -> None:
    ring = SEMIRINGS[semiring.name]  # type: ignore[attr-defined]
    assert lattice_rule(ring.mul, ring.zero) == Rule("absent", "absent", "absent")
    for b in (0.0, 0.5, 1.0, 3.0):
        value = on_numbers(ring.add, ring.zero, b)
        assert value == (bool(b) if ring.add == "or" else b)


def test_literals_sharpen_the_rules() -> None:
    a = Access("a", ())
    assert rule_of(Binary("lt", a, Number(0.5)), 0).left_absent == "value"
    assert rule_of(Binary("gt", a, Number(0.5)), 0).left_absent == "absent"
    assert rule_of(Binary("gt", Number(0.5), a), 0).right_absent == "value"
    assert rule_of(Binary("lt", Number(0.5), a), 0).right_absent == "absent"
    assert rule_of(Binary("pow", a, Number(2)), 0).left_absent == "absent"
    assert rule_of(Binary("pow", a, Number(0)), 0).left_absent == "value"
    assert rule_of(Binary("max", a, Number(0)), 0).left_absent == "absent"
    assert rule_of(Binary("add", a, Number(1)), 0).left_absent == "other"
    assert rule_of(Binary("add", a, a), 0) == lattice_rule("add", 0)


def test_unary_rules() -> None:
    absent = {op for op in get_args(UnaryOp) if unary_rule(op, 0) == "absent"}
    assert absent == {"neg", "abs", "sqrt", "square", "relu", "sign", "tanh", "sin"}
    absent = {op for op in get_args(UnaryOp) if unary_rule(op, INF) == "absent"}
    assert absent == {"abs", "sqrt", "square", "relu", "exp", "log"}


@pytest.mark.parametrize(
    ("op", "zero", "expected"),
    [
        ("add", 0, "skip"),
        ("min", INF, "skip"),
        ("or", False, "skip"),
        ("mul", 0, "absent"),
        ("and", False, "absent"),
        ("add", INF, "absent"),
        ("min", 0, "value"),
        ("max", 0, "value"),
    ],
)
def test_reduce_rules(op: ReduceOp, zero: float, expected: str) -> None:
    assert reduce_rule(op, zero) == expected
