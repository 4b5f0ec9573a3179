"""An expression on the emulated chip, from its text to its result, against ``aerogel.evaluate``."""

from __future__ import annotations

import numpy as np
import pytest

import aerogel as ag
from aerogel.core.errors import InputError


def _matrix(rows: int, columns: int, seed: int) -> ag.Tensor:
    random = np.random.default_rng(seed)
    full = random.integers(-4, 5, (rows, columns)) * (random.random((rows, columns)) < 0.3)
    return ag.tensor(full.astype(np.float64), "csr")


@pytest.mark.parametrize("copies", [1, 3])
def test_a_matrix_times_a_vector(copies: int) -> None:
    matrix, vector = _matrix(10, 7, 1), np.arange(7.0)
    text = "y(i) = A(i,j) * x(j)"
    compiled = ag.chip.compile(text, fabric="onyx-large", copies=copies, A=matrix, x=vector)
    run = compiled.simulate()
    np.testing.assert_array_equal(run.output, ag.evaluate(text, A=matrix, x=vector))
    assert run.cycles >= run.array_cycles > 0
    assert run.seconds == run.cycles / compiled.program.fabric.clock_hertz
    assert run.work.run == copies
    assert run.counts.operations["mul"] == matrix.nnz


def test_operands_that_are_missing_are_named() -> None:
    with pytest.raises(InputError, match="no tensor was given for x"):
        ag.chip.compile("y(i) = A(i,j) * x(j)", A=_matrix(3, 3, 1))
