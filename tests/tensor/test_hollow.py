"""Folds of nothing are what NumPy says they are, in every format."""

from __future__ import annotations

import numpy as np
import pytest

import aerogel as ag


@pytest.mark.parametrize("form", ["csr", "coo", "dcsr", "csc", "dense"])
def test_products_and_alls_over_no_coordinates(form: str) -> None:
    a = ag.tensor(np.zeros((3, 0)), form)
    for _ in range(2):
        np.testing.assert_array_equal(ag.evaluate("y(i) = reduce_mul(j, A(i,j))", A=a), np.ones(3))
        found = ag.evaluate("y(i) = reduce_and(j, A(i,j))", A=a)
        np.testing.assert_array_equal(np.asarray(found, bool), np.ones(3, bool))
        np.testing.assert_array_equal(ag.evaluate("y(i) = A(i,j)", A=a), np.zeros(3))


def test_times_what_is_stored_and_in_a_format_that_is_asked_for() -> None:
    a = ag.tensor(np.zeros((4, 0)), "coo")
    b = ag.tensor(np.array([0.0, 2.0, 0.0, 3.0]), "sv")
    found = ag.evaluate("y(i) = b(i) * reduce_mul(j, A(i,j))", A=a, b=b, out_format="sv")
    assert found.nnz == 2
    np.testing.assert_array_equal(found.to_numpy(), [0, 2, 0, 3])


def test_one_coordinate_is_not_nothing() -> None:
    a = ag.tensor(np.array([[0.0], [5.0]]), "coo")
    np.testing.assert_array_equal(ag.evaluate("y(i) = reduce_mul(j, A(i,j))", A=a), [0, 5])


def test_with_a_number_in_it() -> None:
    a = ag.tensor(np.zeros(0), "sv")
    assert ag.evaluate("y = c * reduce_mul(j, A(j))", A=a, c=3.0) == 3
