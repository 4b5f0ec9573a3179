"""Sums pulled out of products and pushed into them: the same values, in the order of loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.einsum.trees import exact

from aerogel.einsum.interpret import interpret
from aerogel.einsum.nodes import Access, Assignment, Binary, Expr, Reduce, accesses, walk
from aerogel.einsum.parse import parse
from aerogel.einsum.printer import text
from aerogel.lower.algebra import Term, fold_of, follows, nested, terms


def shown(expr: Expr) -> str:
    return text(Assignment(Access("s", ()), expr)).partition(" = ")[2]


def parts(notation: str, semiring: str = "plus_times") -> list[tuple[str, str]]:
    expr = parse(notation, semiring=semiring).expr
    return [("".join(t.loops), shown(t.body)) for t in terms(expr, fold_of(expr))]


@pytest.mark.parametrize(
    ("notation", "expected"),
    [
        ("y(i) = A(i,j) * x(j)", [("j", "A(i,j) * x(j)")]),
        ("y(i) = A(i,j) * x(j) + b(i)", [("j", "A(i,j) * x(j)"), ("", "b(i)")]),
        ("y(i) = b(i) - A(i,j) * x(j)", [("", "b(i)"), ("j", "-(A(i,j) * x(j))")]),
        ("y(i) = 2 * (A(i,j) * x(j))", [("j", "2 * (A(i,j) * x(j))")]),
        ("C(i,l) = A(i,j) * B(j,k) * D(k,l)", [("kj", "A(i,j) * B(j,k) * D(k,l)")]),
        ("y(i) = -(A(i,j) - b(i))", [("j", "-A(i,j)"), ("", "b(i)")]),
        ("y(i) = exp(A(i,j))", [("", "exp(sum(j, A(i,j)))")]),
    ],
)
def test_terms(notation: str, expected: list[tuple[str, str]]) -> None:
    assert parts(notation) == expected


def test_terms_of_another_semiring() -> None:
    assert [loops for loops, _ in parts("y(i) = A(i,j) * x(j) + b(i)", "min_plus")] == ["j", ""]
    assert [loops for loops, _ in parts("y(i) = A(i,j) * x(j)", "or_and")] == ["j"]
    assert fold_of(parse("y(i) = A(i,j)", semiring="min_plus").expr) == "min"
    assert fold_of(parse("y(i) = x(i)").expr) == "add"
    assert fold_of(parse("y(i) = reduce_max(j, A(i,j))").expr) == "max"


@pytest.mark.parametrize(
    ("notation", "order", "expected"),
    [
        (
            "M(i,r) = X(i,j,k) * U(j,r) * V(k,r)",
            "ijkr",
            "sum(j, U(j,r) * sum(k, X(i,j,k) * V(k,r)))",
        ),
        ("C(i,k) = A(i,j) * B(j,k)", "ikj", "sum(j, A(i,j) * B(j,k))"),
        ("y(i) = b(i) * A(i,j)", "ij", "b(i) * sum(j, A(i,j))"),
        ("S(i,j) = A(i,j) * U(i,k) * V(j,k)", "ijk", "A(i,j) * sum(k, U(i,k) * V(j,k))"),
        ("s = A(i,j) * B(j,k)", "kji", "sum(k, j, B(j,k) * sum(i, A(i,j)))"),
        ("y(i) = exp(A(i,j) * x(j))", "ij", "exp(sum(j, A(i,j) * x(j)))"),
    ],
)
def test_nested(notation: str, order: str, expected: str) -> None:
    assert shown(nested(parse(notation).expr, tuple(order))) == expected


def test_follows() -> None:
    expr = parse("s = A(i,j) * B(j,k)").expr
    assert follows(nested(expr, tuple("ijk")), tuple("ijk"))
    assert not follows(expr, tuple("kji"))
    assert follows(nested(expr, tuple("kji")), tuple("kji"))
    # A greatest of sums: the order of the two folds is fixed.
    mixed = parse("s = reduce_max(i, sum(j, A(i,j)))").expr
    assert follows(nested(mixed, tuple("ij")), tuple("ij"))
    assert not follows(nested(mixed, tuple("ji")), tuple("ji"))


def _loops(expr: Expr) -> tuple[str, ...]:
    return tuple(dict.fromkeys(node.index for node in walk(expr) if isinstance(node, Reduce)))


def _operands(whole: Assignment, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 4))
    names = {a.tensor: len(a.indices) for a in accesses(whole.expr)}
    return {name: rng.integers(-2, 3, (size,) * rank).astype(float) for name, rank in names.items()}


@settings(max_examples=80, deadline=None)
@given(whole=exact(0), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_nesting_keeps_the_meaning(whole: Assignment, seed: int, data: st.DataObject) -> None:
    operands = _operands(whole, seed)
    order = tuple(data.draw(st.permutations((*whole.out.indices, *_loops(whole.expr)))))
    turned = nested(whole.expr, order)
    assert sorted(accesses(turned), key=str) == sorted(accesses(whole.expr), key=str)
    if any(isinstance(node, Reduce) and node.op == "max" for node in walk(whole.expr)):
        # A product goes over max for values that are not negative alone.
        operands = {name: abs(array) for name, array in operands.items()}
    if not _only_products_of_what_is_not_negative(whole.expr):
        return
    got = interpret(Assignment(whole.out, turned), operands)
    np.testing.assert_array_equal(got, interpret(whole, operands), err_msg=f"{text(whole)} {order}")


def _only_products_of_what_is_not_negative(expr: Expr) -> bool:
    """Whether no max of products could meet a negative number."""
    ops = {node.op for node in walk(expr) if isinstance(node, Binary | Reduce)}
    negative = any("neg" in repr(node) or "value=-3" in repr(node) for node in walk(expr))
    return "max" not in ops or not ({"sub", "min"} & ops or negative)


@settings(max_examples=80, deadline=None)
@given(whole=exact(0), seed=st.integers(0, 2**32 - 1))
def test_the_terms_add_up(whole: Assignment, seed: int) -> None:
    expr = whole.expr
    fold = fold_of(expr)
    if fold != "add":
        return
    found = terms(expr, fold)
    again: Expr | None = None
    for term in found:
        part = _folded(term)
        again = part if again is None else Binary("add", again, part)
    assert again is not None
    operands = _operands(whole, seed)
    got = interpret(Assignment(whole.out, again), operands)
    np.testing.assert_array_equal(
        got.astype(float), interpret(whole, operands).astype(float), err_msg=text(whole)
    )


def _folded(term: Term) -> Expr:
    body = term.body
    for index in reversed(term.loops):
        body = Reduce("add", index, body)
    return body


def test_every_order_of_a_chain_of_products() -> None:
    whole = parse("y(l) = A(i,j) * B(j,k) * D(k,l)")
    rng = np.random.default_rng(0)
    operands = {name: rng.integers(-3, 4, (3, 3)).astype(float) for name in "ABD"}
    want = interpret(whole, operands)
    for order in itertools.permutations("ijkl"):
        turned = nested(whole.expr, order)
        assert follows(turned, order)
        np.testing.assert_array_equal(interpret(Assignment(whole.out, turned), operands), want)
