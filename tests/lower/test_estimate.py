"""How much work an order of loops is thought to be."""

from __future__ import annotations

import math

import pytest

from aerogel.core.dtypes import DType
from aerogel.einsum.nodes import Access, Assignment, accesses
from aerogel.einsum.parse import parse
from aerogel.formats.tensor_format import named
from aerogel.lower.estimate import Estimate, Sizes
from aerogel.lower.operand import OperandType

SIZES = {"i": 100, "j": 200, "k": 50}
COUNTS = {"dense": (100, 20_000), "csr": (100, 400), "dcsr": (40, 400), "dense,bitmap": (100, 20_000)}


def matrix(form: str, count: tuple[int, ...] | None = None, **others: str) -> Estimate:
    """A(i,j) of a format with 400 values; others are as given."""
    operands = {"A": OperandType("A", named(form, 2), DType.F64, DType.I32)}
    counts = {"A": count or COUNTS[form]}
    for name, other in others.items():
        rank = 1 if other in {"vector", "sv"} else 2
        shape = named("dense" if other == "vector" else other, rank)
        operands[name] = OperandType(name, shape, DType.F64, DType.I32)
        counts[name] = COUNTS[other] if rank == 2 else (20,)
    return Estimate(operands, Sizes(SIZES, counts), 0)


SPMV = parse("y(i) = A(i,j) * x(j)")


def body(whole: Assignment) -> tuple[Access, ...]:
    return accesses(whole.expr)


def test_how_full_an_operand_is() -> None:
    A = body(SPMV)[0]
    assert matrix("dense").filled(A, frozenset("ij")) == 1
    assert matrix("csr").filled(A, frozenset("i")) == 1
    assert matrix("csr").filled(A, frozenset("ij")) == pytest.approx(400 / 20_000)
    assert matrix("dcsr").filled(A, frozenset("i")) == pytest.approx(0.4)
    assert matrix("dcsr").filled(A, frozenset("j")) == 1


@pytest.mark.parametrize(
    ("right", "density"),
    [
        ("A(i,j)", 0.02),
        ("A(i,j) * B(i,j)", 0.02 * 0.02),
        ("A(i,j) + B(i,j)", 0.04),
        ("A(i,j) * D(i,j)", 0.02),
        ("A(i,j) + D(i,j)", 1),
        ("A(i,j) + 1", 1),
        ("exp(A(i,j))", 1),
        ("sqrt(A(i,j))", 0.02),
        ("A(i,j) / B(i,j)", 0.02),
        ("max(A(i,j), B(i,j))", 0.04),
    ],
)
def test_where_there_is_something_to_compute(right: str, density: float) -> None:
    estimate = matrix("csr", B="csr", D="dense")
    found = estimate.density(parse(f"C(i,j) = {right}").expr, frozenset("ij"))
    assert found == pytest.approx(density)


def test_steps_of_a_loop() -> None:
    A, x = body(SPMV)
    product = parse("C(i,j) = A(i,j) * x(j)").expr
    assert matrix("csr", x="vector").steps(product, "j", ("i",)) == pytest.approx(4)
    assert matrix("csr", x="vector").steps(product, "i", ()) == 100
    assert matrix("dcsr", x="vector").steps(product, "i", ()) == pytest.approx(40)
    assert matrix("dcsr", x="vector").steps(product, "j", ("i",)) == pytest.approx(10)
    assert matrix("dense", x="vector").steps(product, "j", ("i",)) == 200
    assert matrix("dense,bitmap", x="vector").steps(product, "j", ("i",)) == 200
    # Both are walked, one beside the other.
    assert matrix("csr", x="sv").steps(product, "j", ("i",)) == pytest.approx(4 + 20)
    assert matrix("csr", x="sv").walked(product, "j", ("i",)) == [A, x]
    assert matrix("csr", x="sv").walked(product, "j", ()) == [x]


def test_visits() -> None:
    product = parse("C(i,j) = A(i,j) * x(j)").expr
    assert matrix("csr", x="vector").visits(product, ("i",)) == 100
    assert matrix("csr", x="vector").visits(product, ("i", "j")) == pytest.approx(400)
    assert matrix("csr", x="sv").visits(product, ("i", "j")) == pytest.approx(40)
    assert matrix("csr").visits(product.a, ()) == 1  # type: ignore[union-attr]


def test_empty_operands_are_no_division_by_zero() -> None:
    product = parse("C(i,j) = A(i,j) * x(j)").expr
    empty = matrix("csr", (100, 0), x="vector")
    assert 0 <= empty.steps(product, "j", ("i",)) < 1
    nothing = Estimate(empty.operands, Sizes({"i": 0, "j": 0}, {"A": (0, 0), "x": (0,)}), 0)
    for index in "ij":
        assert math.isfinite(nothing.steps(product, index, ()))
    assert nothing.visits(product, ("i", "j")) == 0
