"""NumPy's subscripts: the same results as ``numpy.einsum``, and errors that point."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.core.errors import InputError, NotationError
from aerogel.einsum.interpret import interpret
from aerogel.einsum.nodes import Access, Assignment, Binary, Reduce
from aerogel.einsum.printer import text
from aerogel.einsum.strings import from_string

SIZES = {"i": 2, "j": 3, "K": 4, "a": 2, "Z": 3}


def run(subscripts: str, *operands: Any, semiring: str = "plus_times") -> Any:
    arrays = dict(zip("ABCDE", map(np.asarray, operands), strict=False))
    whole = from_string(subscripts, [a.ndim for a in arrays.values()], list(arrays), semiring=semiring)
    return interpret(whole, arrays)


def random_case(rng: random.Random) -> tuple[str, list[tuple[int, ...]]]:
    """Subscripts, and the shapes of the operands."""
    spread = tuple(rng.randrange(2, 4) for _ in range(rng.randrange(3)))
    terms: list[str] = []
    shapes: list[tuple[int, ...]] = []
    for _ in range(rng.randrange(1, 4)):
        letters = [rng.choice(list(SIZES)) for _ in range(rng.randrange(4))]
        term, shape = "".join(letters), tuple(SIZES[letter] for letter in letters)
        if rng.random() < 0.5:
            at = rng.randrange(len(letters) + 1)
            term = f"{term[:at]}...{term[at:]}"
            own = spread[rng.randrange(len(spread) + 1) :]
            shape = shape[:at] + own + shape[at:]
        terms.append(term)
        shapes.append(shape)
    subscripts = ",".join(terms)
    if rng.random() < 0.7:
        used = sorted({letter for letter in subscripts if letter.isalpha()})
        kept = rng.sample(used, rng.randrange(len(used) + 1))
        dots = ["..."] if "..." in subscripts else []
        subscripts += "->" + "".join(rng.sample(kept + dots, len(kept + dots)))
    if rng.random() < 0.2:
        subscripts = f" {subscripts} ".replace(",", " , ")
    return subscripts, shapes


@settings(max_examples=400, deadline=None)
@given(rng=st.randoms(use_true_random=False), seed=st.integers(0, 2**32 - 1))
def test_as_numpy_does(rng: random.Random, seed: int) -> None:
    subscripts, shapes = random_case(rng)
    values = np.random.default_rng(seed)
    dtype = rng.choice([np.float64, np.int64, np.int32, np.float32])
    operands = [values.integers(-3, 4, shape).astype(dtype) for shape in shapes]
    expected = np.einsum(subscripts, *operands)
    got = run(subscripts, *operands)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected, err_msg=subscripts)


def test_the_tree() -> None:
    product = Binary("mul", Access("A", ("i", "j")), Access("B", ("j", "k")))
    expected = Assignment(Access("out", ("i", "k")), Reduce("add", "j", product))
    assert from_string("ij,jk->ik", [2, 2], ["A", "B"]) == expected
    assert from_string("ij , jk", [2, 2], ["A", "B"]) == expected
    assert text(from_string("...ij,...jk->...ik", [3, 4], ["A", "B"])) == (
        "out(e0,e1,i,k) = A(e1,i,j) * B(e0,e1,j,k)"
    )
    assert text(from_string("ba", [2], ["out"])) == "out_(a,b) = out(b,a)"
    assert text(from_string(",i->i", [0, 1], ["i", "x"])) == "out(i) = i() * x(i)"
    assert text(from_string("ij,jk,kl->il", [2] * 3, list("ABC"))) == "out(i,l) = A(i,j) * B(j,k) * C(k,l)"


def test_semirings() -> None:
    paths = run("ij,jk->ik", [[0.0, 1]], [[5.0], [2]], semiring="min_plus")
    np.testing.assert_array_equal(paths, [[3]])
    reached = run("ij,j->i", [[True, False], [False, False]], [True, True], semiring="or_and")
    assert reached.tolist() == [True, False] and reached.dtype == bool


@pytest.mark.parametrize(
    ("marked", "ranks", "what"),
    [
        ("i^;j", [2], "';' is no part of subscripts"),
        ("i^1", [2], "'1' is no part of subscripts"),
        ("i^.j", [2], "three dots"),
        ("ij^-k", [2], "stands behind ->"),
        ("i->^->i", [1], "'->' stands twice"),
        ("ij->i^,j", [2], "there is one output"),
        ("^ij,jk->ik", [2], "2 operands in the subscripts, but 1 are given"),
        ("ij,^jkl->ik", [2, 2], "'jkl' names 3 modes, but T1 has 2"),
        ("ij,^j->i", [2, 2], r"'j' names 1 modes, but T1 has 2 \(write ... for"),
        ("...ij,^i...jk", [2, 2], "names 3 modes, but T1 has 2"),
        ("...i^...->", [2], "stands twice for one tensor"),
        ("...i->^i", [2], r"the output lacks '...', which stands for 1 modes"),
        ("i...->...i^...", [2], "stands twice for one tensor"),
        ("ij->i^i", [2], "'i' stands twice in the output"),
        ("ij->i^k", [2], "'k' is in the output, but in no operand"),
    ],
)
def test_errors_point_at_the_character(marked: str, ranks: list[int], what: str) -> None:
    at = marked.index("^")
    subscripts = marked.replace("^", "")
    with pytest.raises(NotationError, match=what) as caught:
        from_string(subscripts, ranks, [f"T{k}" for k in range(len(ranks))])
    *_, shown, caret = str(caught.value).split("\n")
    assert shown == f"  {subscripts}" and caret == " " * (2 + at) + "^"


def test_other_errors() -> None:
    with pytest.raises(InputError, match="one name and rank for each operand"):
        from_string("i,i", [1, 1], ["x", "x"])
    with pytest.raises(InputError, match="a text, not list"):
        from_string(["i"], [1], ["x"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="semiring 'nope' is unknown: there are plus_times, min_plus"):
        from_string("i", [1], ["x"], semiring="nope")
    with pytest.raises(InputError, match=r"not stretched here: drop mode 0 of A\)"):
        run("...i,...i->...", np.ones((1, 2)), np.ones((3, 2)))


@given(st.text("ij.,-> k", max_size=12), st.lists(st.integers(0, 3), max_size=3))
def test_any_text_is_read_or_refused(subscripts: str, ranks: list[int]) -> None:
    names = [f"T{k}" for k in range(len(ranks))]
    operands = [np.ones((2,) * rank) for rank in ranks]
    try:
        whole = from_string(subscripts, ranks, names)
    except NotationError:
        with pytest.raises((ValueError, TypeError)):
            np.einsum(subscripts, *operands)
        return
    np.testing.assert_array_equal(
        interpret(whole, dict(zip(names, operands, strict=True))), np.einsum(subscripts, *operands)
    )
