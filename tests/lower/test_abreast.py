"""Sampled inner products, several at a time: rows of every length, sums of every length."""

from __future__ import annotations

import numpy as np
import pytest

import aerogel as ag

SDDMM = "C(i,j) = A(i,j) * X(i,k) * Y(j,k)"


@pytest.mark.parametrize("inner", [1, 3, 4, 7, 8, 16, 33, 64])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int32])
def test_rows_of_every_length(inner: int, dtype: type) -> None:
    rng = np.random.default_rng(inner)
    # Row i has i entries: all that rounds of four can leave.
    mask = np.tri(11, 10, -1)
    draw = lambda *shape: (rng.random(shape) * 8 - 4).astype(dtype)  # noqa: E731
    a, x, y = (draw(11, 10) * mask).astype(dtype), draw(11, inner), draw(10, inner)
    found = ag.evaluate(SDDMM, A=ag.tensor(a, "csr"), X=x, Y=y, out_format="csr")
    assert found.dtype == dtype
    tolerance = 1e-5 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(found.to_numpy(), a * (x @ y.T), rtol=tolerance, atol=tolerance * 64)


def test_the_same_row_anywhere_has_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((1, 37)), rng.random((9, 37))
    for count in range(1, 10):
        row = ag.tensor(np.ones((1, count)), "csr")
        first = ag.evaluate(SDDMM, A=row, X=x, Y=y[:count].copy(), out_format="csr").to_numpy()
        whole = ag.evaluate(SDDMM, A=ag.tensor(np.ones((1, 9)), "csr"), X=x, Y=y, out_format="csr").to_numpy()
        assert first.tobytes() == whole[:, :count].tobytes()


def test_nothing_stored_and_no_columns() -> None:
    empty = ag.tensor(np.zeros((3, 4)), "csr")
    assert ag.evaluate(SDDMM, A=empty, X=np.ones((3, 5)), Y=np.ones((4, 5)), out_format="csr").nnz == 0
    full = ag.tensor(np.ones((3, 4)), "csr")
    found = ag.evaluate(SDDMM, A=full, X=np.ones((3, 0)), Y=np.ones((4, 0)), out_format="csr")
    np.testing.assert_array_equal(found.to_numpy(), np.zeros((3, 4)))
