"""``einsum``, ``evaluate`` and ``explain``: options, plans, and errors a user can act on."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import aerogel as ag
from aerogel.core.errors import FormatError, InputError, NotationError, UnsupportedError
from aerogel.tensor import entry

A = np.array([[1.0, 0, 2], [0, 0, 0], [0, 3, 0]])
x = np.array([1.0, 10, 100])
SPMV = "y(i) = A(i,j) * x(j)"


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> dict[Any, Any]:
    """An empty table of plans."""
    empty: dict[Any, Any] = {}
    monkeypatch.setattr(entry, "_plans", empty)
    return empty


# --- what comes back --------------------------------------------------------------------------


def test_dense_results_are_arrays_sparse_ones_tensors_and_scalars_numbers() -> None:
    S = ag.tensor(A, "csr")
    y = ag.evaluate(SPMV, A=S, x=x)
    assert isinstance(y, np.ndarray) and y.tolist() == [201, 0, 30]
    C = ag.evaluate("C(i,j) = A(i,j) * x(j)", A=S, x=x)
    assert isinstance(C, ag.Tensor) and C.format.short == "csr" and C.nnz == 3
    s = ag.evaluate("s = A(i,j) * A(i,j)", A=S)
    assert isinstance(s, np.float64) and s == 14
    assert ag.einsum("ij,j->i", S, x).tolist() == y.tolist()


def test_operands_of_all_kinds_mixed() -> None:
    want = A @ x + 2
    for given in (A, A.tolist(), scipy.sparse.csr_array(A), scipy.sparse.coo_matrix(A), ag.tensor(A, "dcsr")):
        np.testing.assert_array_equal(ag.evaluate(f"{SPMV} + b", A=given, x=x.tolist(), b=2.0), want)


def test_an_array_in_any_order_of_strides() -> None:
    wide = np.arange(24.0).reshape(4, 6)
    for view in (wide.T, wide[::2], wide[:, ::-1], np.asfortranarray(wide), wide[:0], wide[:, 1:2]):
        np.testing.assert_array_equal(ag.einsum("ij->ji", view), view.T)
        np.testing.assert_array_equal(ag.einsum("ij->j", view), view.sum(axis=0))


def test_the_result_is_not_an_operand() -> None:
    given = A.copy()
    for notation in ("C(i,j) = A(i,j)", "C(j,i) = A(i,j)", "d(i) = A(i,i)"):
        ag.evaluate(notation, A=given)[...] = -1
        np.testing.assert_array_equal(given, A)


@pytest.mark.parametrize(
    "form", ["dense", "csr", "csc", "coo", "dcsr", "bsr:3x1", "bitmap,bitmap", "dense,bitmap"]
)
def test_out_format(form: str) -> None:
    got = ag.evaluate("C(i,k) = A(i,j) * B(j,k)", A=ag.tensor(A, "csr"), B=A, out_format=form)
    assert (
        isinstance(got, np.ndarray)
        if form == "dense"
        else got.format.short == form.replace("dense,bitmap", form)
    )
    np.testing.assert_array_equal(np.asarray(got), A @ A)
    levels = ag.evaluate("C(i,j) = A(i,j)", A=A, out_format=["compressed", "compressed"])
    assert levels.format.short == "dcsr"


def test_the_loops_by_hand() -> None:
    S = ag.tensor(A, "csr")
    want = A @ A
    for order in ("ijk", "i,j,k", "i j k", ["i", "j", "k"], ("i", "k", "j")):
        got = ag.evaluate("C(i,k) = A(i,j) * B(j,k)", A=S, B=S, order=order)
        np.testing.assert_array_equal(np.asarray(got), want, err_msg=str(order))
    got = ag.evaluate("C(i,k) = A(i,j) * B(j,k)", A=S, B=S, order="jik", out_format="dense")
    np.testing.assert_array_equal(got, want)
    with pytest.raises(
        UnsupportedError, match=r"no loops fit order=j,i,k: a sparse result is made in the order"
    ):
        ag.evaluate("C(i,k) = A(i,j) * B(j,k)", A=S, B=S, order="jik")
    told = ag.explain("C(i,k) = A(i,j) * B(j,k)", A=S, B=S, order="ikj")
    assert "loops: i > k > j" in told and "B is converted from csr to csc" in told
    assert "one thread" in ag.explain(SPMV, A=S, x=x, parallel=False)
    for workspace in (True, False):
        got = ag.evaluate("C(i,k) = A(i,j) * B(j,k)", A=S, B=S, workspace=workspace, out_format="csr")
        np.testing.assert_array_equal(np.asarray(got), want)


def test_accumulation() -> None:
    y = np.array([5.0, 5, 5])
    for accumulate, want in (("+=", A @ x + y), ("*=", A @ x * y), ("max=", np.maximum(A @ x, y))):
        got = ag.evaluate(f"y(i) {accumulate} A(i,j) * x(j)", A=ag.tensor(A, "csr"), x=x, y=y)
        np.testing.assert_array_equal(got, want)
    assert y.tolist() == [5, 5, 5]
    S = ag.tensor(A, "csr")
    total = ag.evaluate("C(i,j) += A(i,j)", A=S, C=ag.tensor(A.T, "csr"))
    np.testing.assert_array_equal(np.asarray(total), A + A.T)
    with pytest.raises(InputError, match="operand 'y' is missing"):
        ag.evaluate("y(i) += A(i,j) * x(j)", A=S, x=x)


# --- what is not stored -----------------------------------------------------------------------


def test_a_fill_that_is_not_zero_is_refused_where_it_would_be_ignored() -> None:
    filled = ag.tensor(A, "csr", fill=7)
    with pytest.raises(
        InputError, match=r"A: what is not stored is 7\.0, but counts as 0 here: give A\.to_numpy"
    ):
        ag.evaluate(SPMV, A=filled, x=x)
    ag.evaluate(SPMV, A=ag.tensor(A, "csr"), x=x)
    with pytest.raises(InputError, match=r"what is not stored is 7\.0"):
        ag.evaluate(SPMV, A=filled, x=x)
    np.testing.assert_array_equal(ag.evaluate(SPMV, A=filled.to_numpy(), x=x), filled.to_numpy() @ x)
    # What min_plus makes has its infinity as fill, and goes back in.
    once = ag.evaluate(
        "C(i,k) = A(i,j) * B(j,k)", A=ag.tensor(A, "csr"), B=ag.tensor(A, "csr"), semiring="min_plus"
    )
    assert once.fill == math.inf
    twice = ag.evaluate("C(i,j) = A(i,j) * B(i,j)", A=once, B=once, semiring="min_plus")
    np.testing.assert_array_equal(twice.to_numpy(), 2 * once.to_numpy())
    with pytest.raises(InputError, match="what is not stored is inf"):
        ag.evaluate("C(i,j) = 2 * A(i,j)", A=once)


@pytest.mark.parametrize("form", ["compressed,dense", "compressed,dense@1,0", "bsr:3x3"])
def test_what_is_stored_does_not_depend_on_the_order_of_loops(form: str) -> None:
    """Under min_plus a 0 in a block is a distance of 0, whether or not the operand has to be converted."""
    S = ag.tensor((np.array([5.0, 6.0]), ([0, 2], [1, 0])), form, shape=(3, 3))
    stored = np.zeros((3, 3), bool)
    stored[tuple(S.coordinates()[0])] = True
    edges = np.where(stored, S.to_numpy(), math.inf)
    for notation, want in (
        ("C(i,k) = A(i,j) * B(j,k)", (edges[:, :, None] + edges).min(axis=1)),
        ("C(i,k) = A(j,i) * B(j,k)", (edges.T[:, :, None] + edges).min(axis=1)),
        ("C(i,k) = A(i,j) * B(k,j)", (edges[:, :, None] + edges.T).min(axis=1)),
    ):
        for out in ("dense", "csr"):
            got = ag.evaluate(notation, A=S, B=S, semiring="min_plus", out_format=out)
            dense = got if out == "dense" else got.to_numpy()
            np.testing.assert_array_equal(dense, want, err_msg=f"{notation} {out}")


def test_not_a_number_and_infinity() -> None:
    """A factor that is not stored annihilates whatever it meets; a stored zero is a number."""
    bad = np.array([math.inf, math.nan, 1.0])
    S = ag.tensor(A, "csr")
    np.testing.assert_array_equal(ag.evaluate(SPMV, A=S, x=bad), [math.inf, 0, math.nan])
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(ag.evaluate(SPMV, A=A, x=bad), A @ bad)
    zero = ag.tensor((np.array([0.0]), ([1], [0])), "csr", shape=(3, 3))
    np.testing.assert_array_equal(ag.evaluate(SPMV, A=zero, x=bad), [0, math.nan, 0])
    np.testing.assert_array_equal(
        ag.evaluate("y(i) = reduce_max(j, A(i,j) * x(j))", A=A, x=bad), [math.nan] * 3
    )


# --- plans ------------------------------------------------------------------------------------


def test_a_plan_is_made_once_for_operands_alike(plans: dict[Any, Any]) -> None:
    S = ag.tensor(A, "csr")
    for _ in range(3):
        ag.evaluate(SPMV, A=S, x=x)
    ag.evaluate(SPMV, A=ag.tensor(2 * A, "csr"), x=-x)
    assert len(plans) == 1
    ag.evaluate(SPMV, A=ag.tensor(A, "csc"), x=x)
    ag.evaluate(SPMV, A=S, x=x.astype(np.float32))
    ag.evaluate(SPMV, A=S, x=x, semiring="max_times")
    ag.evaluate(SPMV, A=S, x=x, out_format="sv")
    ag.evaluate(SPMV, A=S, x=x, order="ij")
    ag.einsum("ij,j->i", S, x)
    assert len(plans) == 7


def test_the_table_of_plans_does_not_grow_without_end(
    plans: dict[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry, "_MOST_PLANS", 3)
    for k in range(8):
        ag.evaluate(f"y(i) = x(i) * {k}", x=x)
        assert len(plans) <= 3


def test_operands_swapped_by_name_are_not_mixed_up(plans: dict[Any, Any]) -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.ones(3)
    assert ag.evaluate("y(i) = A(i,j) * x(j)", A=a, x=b).tolist() == [3, 12]
    assert ag.evaluate("y(i) = A(i,j) * x(j)", x=b, A=a).tolist() == [3, 12]
    assert ag.evaluate("y(i) = x(i,j) * A(j)", x=a, A=b).tolist() == [3, 12]


def test_a_plan_checks_the_operands_of_every_call() -> None:
    ag.evaluate(SPMV, A=np.ones((5, 6)), x=np.ones(6))
    with pytest.raises(InputError, match="index 'j' is 6 in mode 1 of A, but 7 in mode 0 of x"):
        ag.evaluate(SPMV, A=np.ones((5, 6)), x=np.ones(7))
    assert ag.evaluate(SPMV, A=np.ones((5, 7)), x=np.ones(7)).tolist() == [7] * 5


def test_a_conversion_is_made_once_for_each_tensor() -> None:
    S, x = ag.tensor(A, "csc"), np.ones(3)
    first = ag.evaluate("C(i,j) = A(i,j) * B(i,j)", A=S, B=ag.tensor(A, "csr"))
    kept = {key: found for key, found in S.storage.memo.items() if key[0] == "format"}
    again = ag.evaluate("C(i,j) = A(i,j) * B(i,j)", A=S, B=ag.tensor(A, "csr"))
    assert all(S.storage.memo[key] is found for key, found in kept.items())
    np.testing.assert_array_equal(first.to_numpy(), again.to_numpy())
    assert ag.evaluate(SPMV, A=S, x=x).tolist() == [3, 0, 3]


def test_the_target_can_change(monkeypatch: pytest.MonkeyPatch) -> None:
    from aerogel.core.target import available

    for target in available():
        monkeypatch.setenv("AEROGEL_TARGET", target.name)
        assert ag.evaluate(SPMV, A=ag.tensor(A, "csr"), x=x).tolist() == [201, 0, 30]


# --- what cannot be done ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notation", "given", "what"),
    [
        (SPMV, {"A": A}, "operand 'x' is missing: given are A"),
        (SPMV, {"A": A, "X": x}, "operand 'x' is missing"),
        (SPMV, {"A": A, "x1": x}, "operand 'x' is missing: did you mean 'x1'?"),
        (SPMV, {"A": A, "x": x, "b": x}, "operand 'b' is given but not used: leave it out"),
        (SPMV, {"A": A, "x": x[:2]}, "index 'j' is 3 in mode 1 of A, but 2 in mode 0 of x; in " + SPMV),
        (SPMV, {"A": x, "x": x}, "A(i,j) has 2 indices, but A has 1 (shape (3,))"),
        ("D(i,i) = x(i)", {"x": x}, "an index stands twice in the result"),
        (SPMV, {"A": A, "x": x, "semiring": "min_pluss"}, "did you mean 'min_plus'?"),
        (SPMV, {"A": A, "x": x, "order": "ik"}, "must name each index once: i, j"),
        (SPMV, {"A": A, "x": x, "order": "iij"}, "must name each index once: i, j"),
        (SPMV, {"A": A, "x": "text"}, "x"),
        (SPMV, {"A": A, "x": None}, "x is a NoneType: give a NumPy, SciPy, torch"),
        (SPMV, {"A": A, "x": x, "threads": 0}, "threads=0: give a whole number from 1 on"),
        (SPMV, {"A": A, "x": x, "threads": 1.5}, "threads=1.5: give a whole number from 1 on"),
    ],
)
def test_bad_input(notation: str, given: dict[str, Any], what: str) -> None:
    with pytest.raises((InputError, UnsupportedError), match=re.escape(what)):
        ag.evaluate(notation, **given)


def test_bad_formats_and_texts() -> None:
    with pytest.raises(FormatError, match="did you mean 'csr'"):
        ag.evaluate("C(i,j) = A(i,j)", A=A, out_format="crs")
    with pytest.raises(FormatError, match="format 'csr' is for 2 modes, but the tensor has 1"):
        ag.evaluate(SPMV, A=A, x=x, out_format="csr")
    with pytest.raises(FormatError, match="no multiple of the block's 2"):
        ag.evaluate("C(i,j) = A(i,j)", A=A, out_format="bsr:2x2")
    with pytest.raises(NotationError):
        ag.evaluate("y(i) = A(i,j) *", A=A)
    with pytest.raises(NotationError, match="2 operands in the subscripts, but 1 are given"):
        ag.einsum("ij,j->i", A)
    with pytest.raises(NotationError, match="'i' stands twice in the output"):
        ag.einsum("i->ii", x)
    with pytest.raises(InputError, match="what einsum is to compute is not spelt as a text"):
        ag.einsum([0, 1], A)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="an option is not spelt as a text"):
        ag.evaluate(SPMV, A=A, x=x, order=[["i"], ["j"]])  # type: ignore[list-item]
