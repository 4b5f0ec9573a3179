"""What is left of an expression where operands store nothing, and the lattice that follows from it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.einsum.trees import exact

from aerogel.einsum.interpret import interpret
from aerogel.einsum.nodes import Access, Assignment, Expr, Reduce, accesses, walk
from aerogel.einsum.parse import parse
from aerogel.einsum.printer import text
from aerogel.lower.absent import is_sum, live, restrict

INF = math.inf


def expression(right: str, semiring: str = "plus_times") -> Expr:
    used = "i" if "(i)" in right else ""
    return parse(f"y({used}) = {right}" if used else f"y = {right}", semiring=semiring).expr


def access(name: str) -> Access:
    return Access(name, ("i",))


def left(right: str, *missing: str, zero: float = 0) -> str | None:
    """What is left of a text, as text."""
    rest = restrict(expression(right), [access(name) for name in missing], zero)
    return None if rest is None else text(Assignment(access("y"), rest)).partition(" = ")[2]


@pytest.mark.parametrize(
    ("right", "missing", "expected"),
    [
        ("a(i) * b(i)", "a", None),
        ("a(i) + b(i)", "a", "b(i)"),
        ("a(i) + b(i)", "ab", None),
        ("a(i) - b(i)", "a", "-b(i)"),
        ("a(i) - b(i)", "b", "a(i)"),
        ("a(i) * (b(i) + c(i))", "b", "a(i) * c(i)"),
        ("a(i) * (b(i) + c(i))", "bc", None),
        ("max(a(i), b(i))", "a", "max(0, b(i))"),
        ("max(a(i), b(i))", "ab", None),
        ("exp(a(i))", "a", "exp(0)"),
        ("sqrt(a(i)) + b(i)", "a", "b(i)"),
        ("a(i) / b(i)", "a", None),
        ("a(i) / b(i)", "b", "a(i) / 0"),
        ("a(i) + 1", "a", "1"),
        ("a(i) > 0.5", "a", None),
        ("a(i) < 0.5", "a", "0 < 0.5"),
        ("a(i) | b(i)", "a", "b(i) | b(i)"),
        ("pair(a(i), b(i))", "a", None),
        ("a(i) ** 2 - b(i)", "a", "-b(i)"),
    ],
)
def test_what_is_left(right: str, missing: str, expected: str | None) -> None:
    assert left(right, *missing) == expected


def test_under_another_zero() -> None:
    least = expression("a(i) * b(i) + c(i)", "min_plus")
    a, b, c = (access(name) for name in "abc")
    assert restrict(least, [a], INF) == c
    assert restrict(least, [c], INF) == expression("a(i) * b(i)", "min_plus")
    assert restrict(least, [a, c], INF) is None
    assert restrict(expression("max(a(i), b(i))"), [b], INF) is None


def test_sums_vanish_with_their_body() -> None:
    spmv = parse("y(i) = A(i,j) * x(j)").expr
    A, x = accesses(spmv)
    assert restrict(spmv, [A], 0) is None and restrict(spmv, [x], 0) is None
    assert restrict(spmv, [], 0) is spmv or restrict(spmv, [], 0) == spmv


def points(right: str, *walkers: str, zero: float = 0) -> list[str]:
    found = live(expression(right), tuple(access(name) for name in walkers), zero)
    return ["".join(w.tensor for w in point) for point in found]


@pytest.mark.parametrize(
    ("right", "walkers", "expected"),
    [
        ("a(i) * b(i)", "ab", ["ab"]),
        ("a(i) + b(i)", "ab", ["ab", "a", "b"]),
        ("a(i) * b(i) * c(i)", "abc", ["abc"]),
        ("a(i) + b(i) + c(i)", "abc", ["abc", "ab", "ac", "bc", "a", "b", "c"]),
        ("a(i) * (b(i) + c(i))", "abc", ["abc", "ab", "ac"]),
        ("a(i) * b(i) + c(i)", "abc", ["abc", "ab", "c"]),
        ("a(i) + b(i) * c(i)", "abc", ["abc", "a", "bc"]),
        ("a(i) / b(i)", "ab", ["ab", "a"]),
        ("sqrt(a(i))", "a", ["a"]),
        ("a(i) * b(i)", "a", ["a"]),
    ],
)
def test_the_points_of_the_lattice(right: str, walkers: str, expected: list[str]) -> None:
    assert sorted(points(right, *walkers)) == sorted(expected)
    assert [len(p) for p in points(right, *walkers)] == sorted((len(p) for p in expected), reverse=True)


def test_a_lattice_with_many_terms_has_every_subset() -> None:
    assert len(points("a(i) + b(i) + c(i) + d(i) + e(i) + f(i)", *"abcdef")) == 2**6 - 1


@settings(max_examples=80, deadline=None)
@given(whole=exact(0), seed=st.integers(0, 2**32 - 1))
def test_restricting_keeps_the_meaning(whole: Assignment, seed: int) -> None:
    """With some tensors storing nothing at all, what is left gives the same as the whole."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 4))
    used = dict.fromkeys(accesses(whole.expr))
    arrays = {a.tensor: rng.integers(-2, 3, (size,) * len(a.indices)).astype(float) for a in used}
    gone = [name for name in arrays if rng.random() < 0.4]
    stored = {name: np.full(a.shape, name not in gone) for name, a in arrays.items()}
    missing = [a for a in used if a.tensor in gone]
    rest = restrict(whole.expr, missing, 0)
    want = interpret(whole, arrays, stored)
    if rest is None:
        np.testing.assert_array_equal(want, np.zeros_like(want), err_msg=text(whole))
        return
    assert not set(accesses(rest)) & set(missing)
    folded = {node.index for node in walk(rest) if isinstance(node, Reduce)}
    known = {i for a in accesses(rest) for i in a.indices}
    if not (folded | set(whole.out.indices)) <= known:
        return  # an extent that only a missing operand had
    kept = {a.tensor: arrays[a.tensor] for a in accesses(rest)}
    got = interpret(Assignment(whole.out, rest), kept)
    np.testing.assert_array_equal(got.astype(float), want.astype(float), err_msg=text(whole))


@settings(max_examples=80, deadline=None)
@given(whole=exact(0))
def test_every_point_matters_and_none_is_left_out(whole: Assignment) -> None:
    """The lattice against its definition, over all subsets of the walkers."""
    walkers = tuple(dict.fromkeys(a for a in accesses(whole.expr) if a.indices))[:4]
    found = {frozenset(point) for point in live(whole.expr, walkers, 0)}
    for count in range(len(walkers) + 1):
        for present in itertools.combinations(walkers, count):
            rest = restrict(whole.expr, [w for w in walkers if w not in present], 0)
            # What is computed where just these are stored is what the largest point within them says.
            fitting = [p for p in found if p <= set(present)]
            if rest is None:
                assert not fitting
                continue
            mattering = set(accesses(rest)) & set(present)
            if mattering:
                best = max(fitting, key=len)
                assert mattering <= best
                assert restrict(whole.expr, [w for w in walkers if w not in best], 0) == rest


def test_sums_that_need_no_branches() -> None:
    a, b = access("a"), access("b")
    for right, expected in (
        ("a(i) + b(i)", True),
        ("a(i) - b(i)", True),
        ("-a(i) - b(i)", True),
        ("a(i) * b(i)", False),
        ("a(i) + c(i)", False),
        ("max(a(i), b(i))", False),
    ):
        assert is_sum(expression(right), [a, b], 0) == expected, right
    assert not is_sum(expression("a(i) + b(i)"), [a, b], INF)
