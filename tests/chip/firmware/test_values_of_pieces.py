"""What pieces come to where values are odd: stored zeros, infinite ones, nothing at all, too many bits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import aerogel as ag
from aerogel.chip.fabric.read import load
from aerogel.chip.machine.step import step
from aerogel.core.errors import ChipError

ROOMY = replace(load("onyx-large"), name="roomy", values="f64")


def _sparse(*shape: int) -> ag.Tensor:
    random = np.random.default_rng(1)
    return ag.tensor(random.integers(1, 9, shape) * (random.random(shape) < 0.1) * 1.0, "csr")


def test_what_is_left_out_is_what_vanishes() -> None:
    """Stored zeros count for pairs, and 0 times an infinite value is no 0."""
    matrix, vector = _sparse(12, 9), np.zeros(9)
    operands: dict[str, Any] = {"A": matrix, "x": vector}
    compiled = ag.chip.compile(
        "y(i) = A(i,j) * x(j)", fabric=ROOMY, copies=3, semiring="plus_pair", **operands
    )
    wanted = np.asarray(ag.evaluate("y(i) = A(i,j) * x(j)", semiring="plus_pair", **operands))
    np.testing.assert_array_equal(compiled.simulate(simulate=step).output, wanted)
    assert np.any(wanted)
    full = matrix.to_numpy()
    full[np.nonzero(full)[0][0]] = np.inf
    run = ag.chip.compile("y(i) = A(i,j) * x(j)", fabric=ROOMY, copies=3, A=full, x=vector).simulate(
        simulate=step
    )
    np.testing.assert_array_equal(run.output, np.where(np.isinf(full).any(axis=1), np.nan, 0.0))


@pytest.mark.parametrize("dtype", ["f4", "i4", "?"])
@pytest.mark.parametrize("op", ["max", "min"])
def test_the_greatest_of_nothing_is_what_is_not_stored(op: str, dtype: str) -> None:
    for copies in (1, 2):
        compiled = ag.chip.compile(
            f"y(i) = reduce_{op}(j, A(i,j))", fabric=ROOMY, copies=copies, A=np.zeros((3, 0), dtype)
        )
        assert not np.any(compiled.simulate(simulate=step).output)


def test_what_an_integer_does_not_hold_is_refused() -> None:
    matrix = ag.tensor(np.full((2, 2), 2**30, np.int32), "csr")
    compiled = ag.chip.compile("y(i) = A(i,j)", fabric=ROOMY, copies=1, A=matrix)
    with pytest.raises(ChipError, match=r"the result has 2\.147\d*e\+09, which i32 does not hold"):
        compiled.simulate(simulate=step)
