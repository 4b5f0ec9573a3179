"""An expression cut in two: whichever way, both halves together are the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aerogel.chip.firmware.halves import Filling, Halves, halves
from aerogel.einsum.interpret import interpret
from aerogel.einsum.nodes import Binary, Reduce, accesses, indices
from aerogel.einsum.parse import parse
from aerogel.einsum.printer import text

EXTENTS = {"i": 3, "j": 4, "k": 2, "l": 5, "m": 3}
WHOLE = [
    ("X(i,j) = A(i,k) * B(k,l) * C(l,m) * D(m,j)", "plus_times", 5),
    ("X(i,j) = A(i,k) * B(k,l) * C(l,m) * D(m,j)", "min_plus", 5),
    ("X(i,j) = A(i,k) * B(k,l) * C(l,j)", "or_and", 2),
    ("X(i,j) = A(i,j) + B(i,j) - C(i,j)", "plus_times", 1),
    ("X(i,j) = relu(A(i,k) * B(k,j) - C(i,j)) * 2 + D(i,j)", "plus_times", 4),
    ("X(i,j) = A(i,k) * relu(B(k,l) * C(l,j))", "plus_times", 2),
    ("X(i,j) = A(i,j) * sum(k, B(i,k) * C(j,k))", "plus_times", 3),
    ("y(i) = sum(k, (A(i,k) + B(i,k)) * C(k,i))", "plus_times", 1),
]


def ways(written: str, semiring: str = "plus_times", **share: float) -> list[Halves]:
    assignment = parse(written, semiring=semiring)
    names = {access.tensor for access in accesses(assignment.expr)}
    extents = {index: EXTENTS[index] for index in indices(assignment.expr)}
    return halves(assignment, "T", Filling({name: share.get(name, 0.5) for name in names}, extents))


@pytest.mark.parametrize(("written", "semiring", "count"), WHOLE)
def test_halves_make_the_whole(written: str, semiring: str, count: int) -> None:
    """And they do so whether zeros of the first half's result are stored or not."""
    assignment = parse(written, semiring=semiring)
    random = np.random.default_rng(0)
    operands: dict[str, Any] = {}
    masks: dict[str, Any] = {}
    for access in accesses(assignment.expr):
        shape = tuple(EXTENTS[index] for index in access.indices)
        operands[access.tensor] = random.integers(-3, 4, shape).astype(np.float64)
        masks[access.tensor] = random.random(shape) < 0.5
    wanted = interpret(assignment, operands, masks)
    found = ways(written, semiring)
    assert len(found) == count
    for way in found:
        part = _of(way.first, operands, masks)
        for stored in (part != assignment.zero, np.ones(part.shape, np.bool_)):
            whole = _of(way.rest, {**operands, "T": part}, {**masks, "T": stored})
            np.testing.assert_array_equal(whole, wanted, err_msg=f"{text(way.first)}; {text(way.rest)}")


def _of(assignment: Any, operands: dict[str, Any], masks: dict[str, Any]) -> Any:
    names = {access.tensor for access in accesses(assignment.expr)}
    return interpret(assignment, {n: operands[n] for n in names}, {n: masks[n] for n in names})


@pytest.mark.parametrize(
    ("written", "semiring"),
    [
        ("X(i,j) = A(i,j) * B(i,j) / C(i,j)", "plus_times"),
        ("X(i,j) = exp(A(i,j) + B(i,j)) * C(i,j)", "plus_times"),
        ("X(i,j) = max(A(i,j) * B(i,j), C(i,j))", "plus_times"),
        ("X(i,j) = relu(A(i,j) + B(i,j)) + C(i,j)", "min_plus"),
        ("X(i,j) = A(i,k) * B(k,l) * C(l,j)", "max_times"),
        ("X(i,j) = A(i,k) * B(k,l) * C(l,j)", "plus_pair"),
    ],
)
def test_nothing_is_cut_where_a_stored_zero_is_not_as_nothing(written: str, semiring: str) -> None:
    assert not [way for way in ways(written, semiring) if isinstance(way.first.expr, Binary | Reduce)]


def test_small_results_come_first_and_equal_halves_before_others() -> None:
    first = ways("X(i,j) = A(i,k) * B(k,l) * C(l,m) * D(m,j)", A=1.0, B=1.0, C=1.0, D=1.0)[0]
    assert text(first.first) == "T(k,m) = B(k,l) * C(l,m)"
    assert text(first.rest) == "X(i,j) = A(i,k) * T(k,m) * D(m,j)"
    terms = "X(i,j) = A(i,j) + B(i,j) + C(i,j) + D(i,j) + A(i,j)"
    assert text(ways(terms)[0].first) == "T(i,j) = A(i,j) + B(i,j) + C(i,j)"
