"""Values that would make a difference between 0 and nothing are refused before a run."""

from __future__ import annotations

import numpy as np
import pytest

import aerogel as ag
from aerogel.core.errors import ChipError

A = ag.tensor(np.array([[1.0, 0.0], [0.0, 4.0]]), "csr")
C = ag.tensor(np.array([[0.0, 5.0], [6.0, 0.0]]), "csr")


@pytest.mark.parametrize(
    ("text", "operands", "told"),
    [
        ("X(i,j) = A(i,j) / d(i) + C(i,j)", {"d": np.array([0.0, 2.0])}, "d is divided by and has zeros"),
        (
            "X(i,j) = A(i,j) * d(i) + C(i,j)",
            {"d": np.array([np.inf, 2.0])},
            "d has values that are not finite",
        ),
        ("y(i) = A(i,j) * C(i,j) / d(i)", {"d": np.array([0.0, 2.0])}, "d is divided by and has zeros"),
        ("y(i) = A(i,j) * C(j,i) * d(i)", {"d": np.array([np.nan, 2.0])}, "d has values that are not finite"),
    ],
)
def test_zero_is_not_nothing(text: str, operands: dict[str, np.ndarray], told: str) -> None:
    given = {"A": A, **operands} | ({"C": C} if "C(" in text else {})
    with pytest.raises(ChipError, match=told):
        ag.chip.compile(text, fabric="onyx-small", **given)


def test_what_is_stored_may_be_divided_by_zero() -> None:
    d = np.array([0.0, 2.0])
    found = ag.chip.compile("X(i,j) = A(i,j) / d(i)", fabric="onyx-small", A=A, d=d).simulate().output
    np.testing.assert_array_equal(ag.tensor(found).to_numpy(), [[np.inf, 0.0], [0.0, 2.0]])
    fine = ag.chip.compile("X(i,j) = A(i,j) / d(i) + C(i,j)", fabric="onyx-small", A=A, C=C, d=d + 1)
    expected = ag.evaluate("X(i,j) = A(i,j) / d(i) + C(i,j)", A=A, C=C, d=d + 1)
    np.testing.assert_allclose(
        ag.tensor(fine.simulate().output).to_numpy(), ag.tensor(expected).to_numpy(), rtol=1e-2
    )
