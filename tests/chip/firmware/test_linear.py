"""What cutting rests on: where an expression vanishes, and over what it is a sum."""

from __future__ import annotations

import pytest

from aerogel.chip.firmware.linear import is_sum_over, vanishes
from aerogel.einsum.parse import parse


@pytest.mark.parametrize(
    ("text", "empty", "answer"),
    [
        ("y(i) = A(i,j) * x(j)", "A", True),
        ("y(i) = A(i,j) * x(j)", "", False),
        ("y(i) = A(i,j) * x(j) + b(i)", "A", False),
        ("y(i) = A(i,j) * x(j) + b(i)", "Ab", True),
        ("y(i) = b(i) - A(i,j) * x(j)", "bx", True),
        ("y(i) = relu(A(i,j) * x(j))", "x", True),
        ("y(i) = exp(b(i))", "b", False),
        ("y(i) = b(i) + 1", "b", False),
        ("y(i) = 0 * b(i)", "", True),
        ("y(i) = b(i) / c(i)", "b", True),
        ("y(i) = b(i) / c(i)", "c", False),
        ("y(i) = max(b(i), c(i))", "b", False),
    ],
)
def test_where_it_vanishes(text: str, empty: str, answer: bool) -> None:
    assert vanishes(parse(text).expr, set(empty)) is answer


@pytest.mark.parametrize(("absent", "answer"), [("A", True), ("x", True), ("", False)])
def test_a_pair_counts_what_is_stored_zeros_too(absent: str, answer: bool) -> None:
    expr = parse("y(i) = A(i,j) * x(j)", semiring="plus_pair").expr
    assert vanishes(expr, {"A", "x"}, set(absent)) is answer


@pytest.mark.parametrize(("full", "answer"), [("A", True), ("x", True), ("Ax", False), (None, False)])
def test_pairs_beyond_the_end_are_counted_where_both_store_every_coordinate(
    full: str | None, answer: bool
) -> None:
    expr = parse("y(i) = A(i,j) * x(j)", semiring="plus_pair").expr
    assert is_sum_over(expr, "j", None if full is None else set(full)) is answer


@pytest.mark.parametrize(
    ("text", "index", "answer"),
    [
        ("y(i) = A(i,j) * x(j)", "j", True),
        ("y(i) = A(i,j) * B(j,k) * x(k)", "k", True),
        ("y(i) = b(i) - A(i,j) * x(j)", "j", False),
        ("y(i) = B(i,j) * x(j) - A(i,j) * x(j)", "j", True),
        ("y(i) = relu(A(i,j) * x(j))", "j", False),
        ("a = exp(x(j))", "j", False),
        ("a = x(j) + 1", "j", False),
        ("y(i) = A(i,j) * x(j)", "i", False),
    ],
)
def test_over_what_it_is_a_sum(text: str, index: str, answer: bool) -> None:
    assert is_sum_over(parse(text).expr, index) is answer
