"""What is printed is read back as the same tree, in every semiring."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.einsum.trees import expressible

from aerogel.einsum.nodes import Access, Assignment, Binary, Number, Reduce, Unary
from aerogel.einsum.parse import parse
from aerogel.einsum.printer import text
from aerogel.einsum.semiring import SEMIRINGS


@pytest.mark.parametrize("semiring", SEMIRINGS)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_parsing_undoes_printing(semiring: str, data: st.DataObject) -> None:
    whole = data.draw(expressible(semiring))
    printed = text(whole, semiring=semiring)
    # 0, 0.0 and False are equal, so the nodes' own spelling is compared as well.
    read = parse(printed, semiring=semiring)
    assert read == whole and repr(read) == repr(whole), printed


@pytest.mark.parametrize(
    "printed",
    [
        "y(i) = A(i,j) * x(j) + b(i)",
        "y(i) = relu(W(i,j) * x(j) + b(i))",
        "C(i,k) += A(i,j) * B(j,k)",
        "s = A(i,j) * B(i,j)",
        "s = A(i,i)",
        "A(j,i) = B(i,j)",
        "y(i) min= reduce_min(j, A(i,j)) - 2",
        "y(i) = -x(i) ** -2",
        "y(i) = (-x(i)) ** 2 ** 3",
        "y(i) = a(i) - (b(i) - c(i)) / 2.5",
        "y(i) = x(i) > 0 & x(i) < inf | not(x(i))",
        "y(i) = (x(i) > 0) == (x(i) < 1)",
        "y(i) = exp(sum(j, k, square(A(i,j,k))))",
        "y(i) = i() * x(i)",
    ],
)
def test_the_canonical_spelling(printed: str) -> None:
    assert text(parse(printed)) == printed


def test_the_same_tree_in_two_semirings() -> None:
    path = parse("y(i) = A(i,j) * x(j) + y(i)", semiring="min_plus")
    assert text(path, semiring="min_plus") == "y(i) = A(i,j) * x(j) + y(i)"
    assert text(path) == "y(i) = min(reduce_min(j, A(i,j) + x(j)), y(i))"


def test_what_has_no_spelling_prints_all_the_same() -> None:
    shadowed = Reduce("add", "i", Binary("mul", Access("x", ("i",)), Reduce("add", "i", Access("x", ("i",)))))
    assert text(Assignment(Access("exp", ()), shadowed)) == "exp = sum(i, x(i) * sum(i, x(i)))"
    assert text(Assignment(Access("y", ()), Unary("neg", Number(2)), 0, "max")) == "y max= neg(2)"
