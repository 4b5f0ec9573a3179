"""What a tree tells of itself: its indices, those it folds, and those that loops run over."""

from __future__ import annotations

import pytest

from aerogel.einsum.nodes import folded, indices, loop_indices
from aerogel.einsum.parse import parse


@pytest.mark.parametrize(
    ("spelt", "loops", "folds"),
    [
        ("y(i) = A(i,j) * x(j)", ("i", "j"), ("j",)),
        ("C(j,i) = A(i,k) * B(k,j)", ("j", "i", "k"), ("k",)),
        ("y = sum(i, sum(j, A(i,j)))", ("i", "j"), ("i", "j")),
        ("y(i) = A(i,j) + B(i,j)", ("i", "j"), ("j", "j")),  # A sum enters terms, so each has its own fold.
        ("y(i) = x(i)", ("i",), ()),
        ("y = 2", (), ()),
    ],
)
def test_loops_run_over_the_outputs_indices_then_those_folded(
    spelt: str, loops: tuple[str, ...], folds: tuple[str, ...]
) -> None:
    assignment = parse(spelt)
    assert loop_indices(assignment) == loops
    assert folded(assignment.expr) == folds


def test_indices_of_accesses_come_in_order_of_use() -> None:
    assert indices(parse("C(j,i) = A(i,k) * B(k,j)").expr) == ("i", "k", "j")
