"""The definition of an assignment: against sums spelt out, and what is not stored, of every dtype."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.einsum.trees import exact, spelt_out

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.einsum.interpret import interpret
from aerogel.einsum.nodes import Access, Assignment, Binary, Reduce, accesses
from aerogel.einsum.parse import parse
from aerogel.einsum.printer import text

INF = math.inf


def run(notation: str, semiring: str = "plus_times", /, **operands: Any) -> Any:
    return interpret(parse(notation, semiring=semiring), {k: np.asarray(v) for k, v in operands.items()})


def sparse(notation: str, semiring: str = "plus_times", /, **operands: Any) -> Any:
    """NaN marks what is not stored."""
    arrays = {name: np.asarray(values, np.float64) for name, values in operands.items()}
    stored = {name: ~np.isnan(values) for name, values in arrays.items()}
    return interpret(parse(notation, semiring=semiring), arrays, stored)


@pytest.mark.parametrize("zero", [0, INF])
@settings(max_examples=150, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_as_if_spelt_out(zero: float, data: st.DataObject, seed: int) -> None:
    whole = data.draw(exact(zero))
    rng = np.random.default_rng(seed)
    # All modes of a tensor have one extent, so that any index may stand in any of them.
    size = int(rng.integers(1, 4))
    names = {access.tensor: len(access.indices) for access in accesses(whole.expr)}
    arrays = {name: rng.integers(-2, 3, (size,) * rank).astype(float) for name, rank in names.items()}
    stored = {name: rng.random(array.shape) < 0.6 for name, array in arrays.items()}
    full = {name: np.where(stored[name], array, zero) for name, array in arrays.items()}
    sizes = dict.fromkeys("ij", size) | {f"{name}{k}": size for name in ("kk", "r") for k in ("", *range(9))}
    got = interpret(whole, arrays, stored)
    np.testing.assert_array_equal(got, spelt_out(whole, full, sizes), err_msg=text(whole))


# --- what is not stored -----------------------------------------------------------------------

NO = math.nan


@pytest.mark.parametrize(
    ("notation", "expected"),
    [
        # one operand of each row: both stored, left only, right only, none
        ("y(i) = a(i) * b(i)", [10, 0, 0, 0]),
        ("y(i) = a(i) + b(i)", [7, INF, 5, 0]),
        ("y(i) = a(i) - b(i)", [-3, INF, -5, 0]),
        ("y(i) = a(i) / b(i)", [0.4, INF, 0, 0]),
        ("y(i) = b(i) / a(i)", [2.5, 0, INF, 0]),
        ("y(i) = min(a(i), b(i))", [2, 0, 0, 0]),
        ("y(i) = max(a(i), b(i))", [5, INF, 5, 0]),
        ("y(i) = pair(a(i), b(i))", [1, 0, 0, 0]),
        ("y(i) = pair(a(i), 3)", [1, 1, 0, 0]),
        ("y(i) = a(i) == b(i)", [0, 0, 0, 1]),
        ("y(i) = a(i) < b(i)", [1, 0, 1, 0]),
        ("y(i) = a(i) <= b(i)", [1, 0, 1, 1]),
        ("y(i) = a(i) & b(i)", [1, 0, 0, 0]),
        ("y(i) = a(i) | b(i)", [1, 1, 1, 0]),
        ("y(i) = not(a(i))", [0, 0, 1, 1]),
        ("y(i) = exp(0 * a(i))", [1, NO, 1, 1]),
        # a literal operand: what stays absent annihilates an infinity later
        ("y(i) = (a(i) > 1) * inf", [INF, INF, 0, 0]),
        ("y(i) = (a(i) < 1) * b(i)", [0, 0, 5, 0]),
        ("y(i) = a(i) ** 2 * inf", [INF, INF, 0, 0]),
        ("y(i) = (a(i) + 1) * b(i)", [15, 0, 5, 0]),
        ("y(i) = sin(a(i) * 0) * inf", [NO, NO, 0, 0]),
        ("y(i) = cos(b(i) * 0) * inf", [INF, INF, INF, INF]),
    ],
)
def test_operations_on_what_is_not_stored(notation: str, expected: list[float]) -> None:
    a, b = [2, INF, NO, NO], [5, NO, 5, NO]
    whole = parse(notation)
    given_ = {"a": np.array(a), "b": np.array(b)}
    used = {access.tensor for access in accesses(whole.expr)}
    operands = {name: array for name, array in given_.items() if name in used}
    got = interpret(whole, operands, {name: ~np.isnan(array) for name, array in operands.items()})
    np.testing.assert_array_equal(got, expected)


def test_a_stored_zero_is_a_value() -> None:
    assert np.isnan(run("s = a * b", a=0.0, b=INF))
    assert sparse("s = a * b", a=NO, b=INF) == 0
    assert sparse("s = A(i) * x(i)", A=[1, NO], x=[2, INF]) == 2
    assert sparse("s = pair(A(i), x(i))", A=[0, NO, 0], x=[0, 5, 5]) == 2


def test_folds_of_what_is_not_stored() -> None:
    A = [[-1, -2], [-1, NO], [NO, NO], [3, NO]]
    np.testing.assert_array_equal(sparse("y(i) = reduce_max(j, A(i,j))", A=A), [-1, 0, 0, 3])
    np.testing.assert_array_equal(sparse("y(i) = reduce_min(j, A(i,j))", A=A), [-2, -1, 0, 0])
    np.testing.assert_array_equal(sparse("y(i) = reduce_mul(j, A(i,j))", A=A), [2, 0, 0, 0])
    np.testing.assert_array_equal(sparse("y(i) = reduce_or(j, A(i,j))", A=A), [1, 1, 0, 1])
    np.testing.assert_array_equal(sparse("y(i) = reduce_and(j, A(i,j))", A=A), [1, 0, 0, 0])
    np.testing.assert_array_equal(sparse("y(i) = sum(j, A(i,j)) * inf", A=A), [-INF, -INF, 0, INF])
    assert sparse("s = reduce_mul(i, x(i)) * inf", x=[2, NO]) == 0


def test_empty_extents() -> None:
    empty = np.zeros((2, 0))
    np.testing.assert_array_equal(run("y(i) = A(i,j)", A=empty), [0, 0])
    np.testing.assert_array_equal(run("y(i) = reduce_mul(j, A(i,j))", A=empty), [1, 1])
    np.testing.assert_array_equal(run("y(i) = reduce_max(j, A(i,j))", A=empty), [0, 0])
    np.testing.assert_array_equal(run("y(i) = A(i,j)", "min_plus", A=empty), [INF, INF])
    assert run("C(j,i) = A(i,j) + 1", A=empty).shape == (0, 2)


def test_min_plus_is_shortest_paths() -> None:
    edges = np.array([[NO, 1, 5], [NO, NO, 2], [NO, NO, NO]])
    start = [0, NO, NO]
    once = sparse("y(j) = x(j) + x(i) * A(i,j)", "min_plus", x=start, A=edges)
    np.testing.assert_array_equal(once, [0, 1, 5])
    np.testing.assert_array_equal(
        sparse("y(j) = x(j) + x(i) * A(i,j)", "min_plus", x=once, A=edges), [0, 1, 3]
    )
    # A stored -inf does not come through an edge that is not there.
    assert sparse("s = a * b", "min_plus", a=NO, b=-INF) == INF
    assert run("y = a * b", "min_plus", a=np.int32(1), b=np.int32(2)).dtype == np.float64


def test_the_other_semirings() -> None:
    A, x = [[0.5, NO], [0.25, 1]], [0.5, 0.9]
    np.testing.assert_array_equal(sparse("y(i) = A(i,j) * x(j)", "max_times", A=A, x=x), [0.25, 0.9])
    reached = sparse("y(i) = A(i,j) * x(j)", "or_and", A=A, x=[NO, 1])
    assert reached.dtype == bool and reached.tolist() == [False, True]
    copied = run("y(i) = x(i)", "or_and", x=[0.5, 0.0, -2])
    assert copied.dtype == bool and copied.tolist() == [True, False, True]
    np.testing.assert_array_equal(sparse("y(i) = A(i,j) * x(j)", "plus_pair", A=A, x=[0, 7]), [1, 2])


# --- dtypes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notation", "dtype", "expected"),
    [
        ("s = x(i)", "int32", "int32"),
        ("s = x(i)", "bool", "int64"),
        ("s = x(i) * x(i)", "bool", "int64"),
        ("y(i) = x(i) * x(i)", "bool", "bool"),
        ("y(i) = x(i) + x(i)", "bool", "int64"),
        ("y(i) = x(i) * 2", "int32", "int32"),
        ("y(i) = x(i) * 2", "bool", "int64"),
        ("y(i) = x(i) * 2.5", "int32", "float64"),
        ("y(i) = x(i) * 2.5", "float32", "float32"),
        ("y(i) = x(i) / 2", "int64", "float64"),
        ("y(i) = x(i) ** 2", "int32", "int32"),
        ("y(i) = x(i) ** -1", "int32", "float64"),
        ("y(i) = sqrt(x(i))", "float32", "float32"),
        ("y(i) = sqrt(x(i))", "bool", "float64"),
        ("y(i) = x(i) > 0.5", "float32", "float32"),
        ("y(i) = x(i) > 0", "int32", "int32"),
        ("y(i) = not(x(i))", "float64", "bool"),
        ("y(i) = x(i) & 1", "float64", "bool"),
        ("y(i) = -x(i)", "bool", "int64"),
        ("y(i) = sign(abs(relu(square(x(i)))))", "bool", "bool"),
    ],
)
def test_result_dtypes(notation: str, dtype: str, expected: str) -> None:
    x = np.array([1, 0, 1]).astype(dtype)
    got = run(notation, x=x)
    assert got.dtype == expected
    np.testing.assert_array_equal(got, run(notation, x=x.astype(np.float64)).astype(expected))


@pytest.mark.parametrize("left", ["bool", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("right", ["bool", "int32", "int64", "float32", "float64"])
def test_products_promote_as_in_numpy(left: str, right: str) -> None:
    a, b = np.array([1, 1]).astype(left), np.array([0, 1]).astype(right)
    got = run("y(i) = a(i) * b(i)", a=a, b=b)
    assert got.dtype == (a * b).dtype
    np.testing.assert_array_equal(got, a * b)


def test_integers_wrap_and_other_dtypes_are_refused() -> None:
    assert run("s = x(i)", x=np.array([2**31 - 1, 1], np.int32)) == -(2**31)
    with pytest.raises(UnsupportedError, match="operand 'x' is float16: einsum computes in float64, float32"):
        run("s = x(i)", x=np.zeros(2, np.float16))


# --- outputs ----------------------------------------------------------------------------------


def test_accumulation_starts_from_out() -> None:
    A, y = np.array([[1.0, 2], [3, 4]]), np.array([10.0, 20])
    for given_ in ({"y": y}, {}):
        got = interpret(parse("y(i) += A(i,j)"), {"A": A, **given_}, None, None if given_ else y)
        np.testing.assert_array_equal(got, [13, 27])
    np.testing.assert_array_equal(run("y(i) min= A(i,j) - 5", A=A, y=y), [-7 + 5, 2])
    np.testing.assert_array_equal(run("C(i,j) += y(i)", y=y, C=A), A + y[:, None])
    np.testing.assert_array_equal(run("y(i) += y(i)", y=y), 2 * y)
    assert y.tolist() == [10, 20]
    with pytest.raises(InputError, match="accumulates in 'y': give it as out"):
        run("y(i) += A(i,j)", A=A)
    with pytest.raises(InputError, match="index 'i' is 2 in mode 0 of A, but 3 in mode 0 of y"):
        run("y(i) += A(i,j)", A=A, y=np.zeros(3))
    assert run("y(i) += x(i)", x=np.ones(2), y=np.zeros(2, np.int64)).dtype == np.float64


def test_accumulation_of_what_is_not_stored() -> None:
    whole = parse("y(i) *= x(i)")
    stored = {"x": np.array([True, False])}
    got = interpret(whole, {"x": np.array([2.0, 2])}, stored, np.array([INF, INF]))
    np.testing.assert_array_equal(got, [INF, 0])


def test_diagonals() -> None:
    A = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(run("d(i) = A(i,i)", A=A), [0, 4, 8])
    np.testing.assert_array_equal(run("D(i,i) = A(i,j)", A=A), np.diag([3, 12, 21]))
    np.testing.assert_array_equal(run("A(i,i) += x(i)", A=A, x=np.ones(3)), A + np.eye(3))


def test_a_body_without_the_index_is_folded_over_the_whole_extent() -> None:
    body = Binary("mul", Access("x", ("i",)), Reduce("add", "j", Access("s", ())))
    whole = Assignment(Access("y", ("i",)), Binary("add", body, Reduce("add", "j", Access("z", ("j",)))))
    got = interpret(whole, {"x": np.array([1.0]), "s": np.array(2.0), "z": np.ones(4)})
    np.testing.assert_array_equal(got, [12])
