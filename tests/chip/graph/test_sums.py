"""Loops of their own for sums, and an order in which none is needed twice."""

from __future__ import annotations

from itertools import permutations

from aerogel.chip.graph.sums import settled, unprimed
from aerogel.einsum.nodes import Reduce, accesses, walk
from aerogel.einsum.parse import parse

SOFTMAX = "X(i,j) = exp(B(i,j) - reduce_max(k, B(i,k))) / sum(l, exp(B(i,l) - reduce_max(k, B(i,k))))"


def test_sums_over_one_index_have_loops_of_their_own_side_by_side() -> None:
    expr, loops = settled(parse("x(i) = B(i,j) * c(j) + D(i,j) * e(j)").expr, ("j", "i"), frozenset("i"))
    assert loops == ("j", "j'", "i")
    assert [a.indices for a in accesses(expr)] == [("i", "j"), ("j",), ("i", "j'"), ("j'",)]
    assert [unprimed(index) for index in loops] == ["j", "j", "i"]


def test_a_sum_that_every_j_would_need_again_comes_after_j() -> None:
    tree = parse("X(i,j) = B(i,j) / (1 + sum(k, C(i,k)))").expr
    assert settled(tree, ("k", "j", "i"), frozenset("ij"))[1] == ("j", "k", "i")
    for order in ("kij", "ijk", "jik", "jki", "ikj"):
        assert settled(tree, tuple(order), frozenset("ij"))[1] == tuple(order)


def test_no_sum_stands_before_a_loop_around_it_that_would_need_it_again() -> None:
    """In every order: of a sum, what it is over comes after all the loops around it that it does not have,
    or these come after all that it is over."""
    tree, free = parse(SOFTMAX).expr, frozenset("ij")
    for order in permutations("ijkl"):
        expr, loops = settled(tree, order, free)
        assert sorted(loops) == ["i", "j", "k", "k'", "l"]
        for node in walk(expr):
            if not isinstance(node, Reduce):
                continue
            axes = {i for a in accesses(node) for i in a.indices} - {node.index, "k'", "l"}
            around = (free | ({"l"} if node.index == "k'" else set())) - axes
            assert not [
                index
                for index in around
                if loops.index(node.index) < loops.index(index) < max(map(loops.index, axes))
            ]
