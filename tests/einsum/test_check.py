"""Operands against the assignment: what fits, and errors that name tensor, mode and index."""

from __future__ import annotations

import re

import pytest

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError
from aerogel.einsum.check import extents, result_dtype
from aerogel.einsum.nodes import Access, Assignment, Binary, Reduce
from aerogel.einsum.parse import parse

SPMV = "y(i) = A(i,j) * x(j)"


def test_extents() -> None:
    assert extents(parse(SPMV), {"A": (2, 3), "x": (3,)}) == {"i": 2, "j": 3}
    assert extents(parse("s = a + 1"), {"a": ()}) == {}
    assert extents(parse("C(i,j) += x(i)"), {"x": (2,), "C": (2, 5)}) == {"i": 2, "j": 5}
    assert extents(parse("y(i) += x(i)"), {"x": (2,)}) == {"i": 2}


@pytest.mark.parametrize(
    ("notation", "shapes", "what"),
    [
        (SPMV, {"A": (2, 3), "x": (4,)}, "index 'j' is 3 in mode 1 of A, but 4 in mode 0 of x; in " + SPMV),
        (SPMV, {"A": (2, 3), "x": (1,)}, "(a mode of size 1 is not stretched here: drop mode 0 of x)"),
        (SPMV, {"A": (2, 3, 4), "x": (3,)}, "A(i,j) has 2 indices, but A has 3 (shape (2, 3, 4))"),
        (SPMV, {"A": (2, 3)}, "operand 'x' is missing: given are A"),
        (SPMV, {}, "operand 'A' is missing: none are given"),
        (SPMV, {"A": (2, 3), "x1": (3,)}, "operand 'x' is missing: did you mean 'x1'?"),
        (SPMV, {"A": (2, 3), "x": (3,), "b": (3,)}, "operand 'b' is given but not used: leave it out"),
        (SPMV, {"A": (2, 3), "x": (3,), "A_": (3,)}, "operand 'A_' is given but not used: did you mean 'A'?"),
        ("y(i) = A(i,i)", {"A": (2, 3)}, "index 'i' is 2 in mode 0 of A, but 3 in mode 1 of A"),
        ("C(i,k) = x(i)", {"x": (2,)}, "index 'k' of the output is in no operand: its extent is unknown"),
        ("C(i,row) = A(i,rows)", {"A": (2, 2)}, "of the output is in no operand: did you mean 'rows'?"),
        ("y(i) += x(i)", {"x": (2,), "y": (3,)}, "index 'i' is 2 in mode 0 of x, but 3 in mode 0 of y"),
        ("y(i) = x(i)", {"x": (2,), "y": (2,)}, "operand 'y' is given but not used"),
    ],
)
def test_what_does_not_fit(notation: str, shapes: dict[str, tuple[int, ...]], what: str) -> None:
    with pytest.raises(InputError, match=re.escape(what)):
        extents(parse(notation), shapes)


def test_trees_made_by_hand() -> None:
    x, out = Access("x", ("i",)), Access("y", ())
    with pytest.raises(InputError, match="index 'i' is not in the output, and nothing folds it; in y = x"):
        extents(Assignment(out, x), {"x": (2,)})
    twice = Reduce("add", "i", Binary("mul", x, Reduce("add", "i", x)))
    with pytest.raises(InputError, match="index 'i' is folded where it has a value already"):
        extents(Assignment(out, twice), {"x": (2,)})
    with pytest.raises(InputError, match="index 'k' is folded but in no operand"):
        extents(Assignment(out, Reduce("add", "k", Reduce("add", "i", x))), {"x": (2,)})


def test_result_dtype() -> None:
    spmv = parse(SPMV)
    assert result_dtype(spmv, {"A": DType.F32, "x": DType.I32}) is DType.F64
    assert result_dtype(spmv, {"A": DType.F32, "x": DType.BOOL}) is DType.F32
    assert result_dtype(parse("y = 2"), {}) is DType.I64
    assert result_dtype(parse("y = 2 + 2.5 * -3"), {}) is DType.F64
    assert result_dtype(parse("y += x"), {"x": DType.F32, "y": DType.F64}) is DType.F64
    assert result_dtype(parse("y += x"), {"x": DType.F32}) is DType.F32
    assert result_dtype(parse("y |= x"), {"x": DType.F32, "y": DType.F64}) is DType.BOOL
    for semiring, dtype in (("min_plus", DType.F64), ("or_and", DType.BOOL), ("max_times", DType.I32)):
        found = result_dtype(parse(SPMV, semiring=semiring), {"A": DType.I32, "x": DType.I32})
        assert found is dtype
    with pytest.raises(InputError, match="no operand 'x' was given: did you mean 'x2'"):
        result_dtype(spmv, {"A": DType.F32, "x2": DType.F32})
