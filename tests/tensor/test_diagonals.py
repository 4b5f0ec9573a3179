"""Diagonals of operands: A(i,i) of any format, and of more modes."""

from __future__ import annotations

import numpy as np
import pytest

import aerogel as ag
from aerogel.core.errors import InputError
from aerogel.tensor.diagonals import diagonal

SQUARE = np.array([[1.0, 2, 0], [0, 0, 3], [4, 0, 5]])
FORMATS = (
    "dense",
    "dense,dense@1,0",
    "csr",
    "csc",
    "coo",
    "dcsr",
    "bitmap,bitmap",
    "compressed,dense",
    "bsr:3x1",
)


@pytest.mark.parametrize("form", FORMATS)
def test_an_access_with_an_index_twice_is_a_diagonal(form: str) -> None:
    A = ag.tensor(SQUARE, form)
    assert ag.evaluate("s = A(i,i)", A=A) == 6
    assert ag.einsum("ii", A) == 6
    found = ag.evaluate("d(i) = A(i,i) * x(i)", A=A, x=np.array([1.0, 2, 3]))
    np.testing.assert_array_equal(np.asarray(found), [1, 0, 15])
    both = ag.evaluate("C(i,j) = A(i,i) * A(i,j)", A=A)
    np.testing.assert_array_equal(np.asarray(both), np.diagonal(SQUARE)[:, None] * SQUARE)


@pytest.mark.parametrize("form", ["dense", "csf", "coo", "dense,dense,compressed", "bitmap,bitmap,bitmap"])
def test_of_three_modes(form: str) -> None:
    X = np.where(np.arange(27).reshape(3, 3, 3) % 4 == 0, np.arange(27.0).reshape(3, 3, 3), 0)
    T = ag.tensor(X, form)
    for subscripts in ("iij->j", "iji->ij", "iij->ij", "iii->i", "iii", "ijj->i"):
        got = np.asarray(ag.einsum(subscripts, T))
        np.testing.assert_array_equal(got, np.einsum(subscripts, X), err_msg=subscripts)


def test_it_is_made_once_and_keeps_explicit_zeros() -> None:
    A = ag.tensor((np.array([0.0, 7.0]), ([0, 1], [0, 0])), "csr", shape=(2, 2))
    found = diagonal(A.storage, (0, 0))
    assert found is diagonal(A.storage, (0, 0)) and found.stored == 1 and found.shape == (2,)
    assert diagonal(A.storage, ()) is A.storage
    # pair counts what is stored, a zero too.
    np.testing.assert_array_equal(np.asarray(ag.evaluate("d(i) = pair(A(i,i), A(i,i))", A=A)), [1, 0])


def test_modes_of_different_sizes_are_refused() -> None:
    wide = ag.tensor(np.ones((2, 3)), "csr")
    with pytest.raises(
        InputError, match=r"index 'i' is 2 in mode 0 of A, but 3 in mode 1 of A; in s = A\(i,i\)"
    ):
        ag.evaluate("s = A(i,i)", A=wide)
    ag.evaluate("s = A(i,i)", A=ag.tensor(np.ones((3, 3)), "csr"))
    with pytest.raises(InputError, match="index 'i' is 3 in mode 0 of A, but 2 in mode 1 of A"):
        ag.evaluate("s = A(i,i)", A=ag.tensor(np.ones((3, 2)), "csr"))
    with pytest.raises(InputError, match=r"shape \(2, 3\) has no diagonal"):
        diagonal(wide.storage, (0, 0))


def test_explain_says_so() -> None:
    told = ag.explain("y(i) = A(i,i) * A(i,j)", A=ag.tensor(SQUARE, "csr"))
    assert "A stands for a diagonal of A" in told
