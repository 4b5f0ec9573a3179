"""Derivatives of assignments against differences of what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aerogel.core.errors import UnsupportedError
from aerogel.einsum.check import extents
from aerogel.einsum.derivative import gradients
from aerogel.einsum.interpret import interpret
from aerogel.einsum.nodes import Assignment, accesses
from aerogel.einsum.parse import parse
from aerogel.einsum.printer import text

Arrays = Mapping[str, NDArray[Any]]
SIZES = {"i": 3, "j": 4, "k": 2, "l": 3, "q": 4}
STEP = 1e-6

CASES = (
    "y(i) = A(i,j) * x(j) + b(i)",
    "y(i) = b(i) - 2 * A(i,j) * x(j)",
    "C(i,k) = A(i,j) * B(j,k)",
    "C(k,i) = A(i,j) * B(j,k) * s",
    "s = A(i,j) * B(i,j) * D(i,j)",
    "s = A(i,j)",
    "y(i) = A(i,i) * x(i)",
    "y(i) = A(i,j) * A(l,j)",
    "C(i,j) = x(i) + z(j)",
    "C(i,j) = x(i) / (z(j) + 3)",
    "y(i) = A(i,j) / x(j)",
    "S(i,j) = A(i,j) * U(i,k) * V(j,k)",
    "M(i,k) = X(i,j,l) * U(j,k) * V(l,k)",
    "y(i) = relu(A(i,j) * x(j) + b(i))",
    "y(i) = exp(A(i,j) * x(j)) * A(i,q)",
    "y(i) = sum(j, exp(A(i,j)) * x(j))",
    "y(i) = sum(j, A(i,j) + b(i))",
    "y(i) = sum(j, A(i,j)) * sum(j, B(i,j) * x(j))",
    "y(i) = sum(j, exp(A(i,j))) / sum(j, tanh(A(i,j)) + 2)",
    "y(i) = tanh(x(i)) * sigmoid(x(i)) - sin(x(i)) / cos(x(i))",
    "y(i) = sqrt(abs(x(i))) + log(square(x(i))) + reciprocal(x(i))",
    "y(i) = square(x(i)) ** 1.5 + x(i) ** 3 + abs(x(i)) ** b(i)",
    "y(i) = max(x(i), b(i)) + min(x(i), 2 * b(i))",
    "y(i) = (x(i) > b(i)) * x(i) + sign(x(i))",
)


def operands(whole: Assignment, seed: int = 0) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    shapes = {a.tensor: tuple(SIZES[i] for i in a.indices) for a in accesses(whole.expr)}
    shapes |= {a.tensor: (3, 3) for a in accesses(whole.expr) if a.indices == ("i", "i")}
    sizes = {name: np.asarray(rng.uniform(0.2, 1.5, shape)) for name, shape in shapes.items()}
    return {name: np.asarray(rng.choice([-1, 1], size.shape) * size) for name, size in sizes.items()}


def by_formula(whole: Assignment, given: Arrays, name: str, upstream: NDArray[Any]) -> NDArray[Any]:
    total = np.zeros_like(given[name])
    sizes = extents(whole, {n: a.shape for n, a in given.items()})
    for access, found in gradients(whole, name, sampled=False):
        again = parse(text(found.assignment))
        assert again == found.assignment, "it can be written and read"
        used = {a.tensor for a in accesses(again.expr)}
        values = {**given, found.upstream: upstream}
        values |= {one: np.ones(sizes[index]) for one, index in found.ones.items()}
        part = interpret(again, {n: a for n, a in values.items() if n in used})
        at = np.ix_(*(np.arange(sizes[i]) for i in again.out.indices))
        places = dict(zip(again.out.indices, at, strict=True))
        np.add.at(total, tuple(places[i] for i in access.indices), part)
    return total


def by_differences(whole: Assignment, given: Arrays, name: str, upstream: NDArray[Any]) -> NDArray[Any]:
    found = np.zeros_like(given[name])
    for at in np.ndindex(found.shape):
        values: list[NDArray[Any]] = []
        for step in (STEP, -STEP):
            moved = given[name].copy()
            moved[at] += step
            values.append(interpret(whole, {**given, name: moved}))
        found[at] = ((values[0] - values[1]) * upstream).sum() / (2 * STEP)
    return found


@pytest.mark.parametrize("notation", CASES)
def test_it_is_the_slope(notation: str) -> None:
    whole = parse(notation)
    given = operands(whole)
    out = interpret(whole, given)
    upstream = np.asarray(np.random.default_rng(1).uniform(0.5, 1.5, out.shape))
    for name in given:
        formula, differences = (f(whole, given, name, upstream) for f in (by_formula, by_differences))
        np.testing.assert_allclose(formula, differences, rtol=1e-6, atol=1e-7, err_msg=name)


def test_a_sum_stays_around_the_factors_that_have_its_index() -> None:
    found = gradients(parse("C(i,j) = x(i) * z(j) * s"), "x", sampled=False)
    assert [text(g.assignment) for _, g in found] == ["d(i) = g(i,j) * s * z(j)"]


def test_a_sparse_operand_is_asked_only_where_it_stores_something() -> None:
    ((access, found),) = gradients(parse("C(i,k) = A(i,j) * B(j,k)"), "A", sampled=True)
    assert access.indices == ("i", "j") and found.pattern == "p"
    assert text(found.assignment) == "d(i,j) = p(i,j) * g(i,k) * B(j,k)"


def test_names_that_are_taken_get_an_underscore() -> None:
    ((_, found),) = gradients(parse("p(i) = g(i,j) * d(j)"), "d", sampled=True)
    assert text(found.assignment) == "d_(j) = p_(j) * g_(i) * g(i,j)"
    assert found.pattern == "p_" and found.assignment.out.tensor == "d_"


def test_what_steps_has_no_gradient() -> None:
    assert gradients(parse("y(i) = sign(x(i)) + (x(i) > 0)"), "x", sampled=False) == ()


@pytest.mark.parametrize("notation", ["y(i) = reduce_max(j, A(i,j))", "y(i) += A(i,j)"])
def test_what_has_no_derivative_here_is_told(notation: str) -> None:
    with pytest.raises(UnsupportedError):
        gradients(parse(notation), "A", sampled=False)
    assert gradients(parse("y(i) = reduce_max(j, A(i,j)) * b(i)"), "b", sampled=False)
