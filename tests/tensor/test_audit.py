"""Copied and looked at in one go: the same as looking at all of it with NumPy."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import sparse

from aerogel.core.dtypes import DType
from aerogel.core.errors import AerogelError
from aerogel.loop.interpret import interpret
from aerogel.loop.verify import verify
from aerogel.tensor.audit import audit_module, copied
from aerogel.tensor.coerce import operand


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 10, 4096, 4097, 4105, 30_000])
def test_everything_is_seen(dtype: Any, count: int) -> None:
    crd = np.random.default_rng(count).integers(-9, 10**6, count).astype(dtype)
    for threads in (1, 2):
        out, least, most, falls = copied(crd, threads)
        np.testing.assert_array_equal(out, crd)
        assert out is not crd and not np.shares_memory(out, crd)
        assert (least, most) == ((int(crd.min()), int(crd.max())) if count else (0, -1))
        assert falls == np.count_nonzero(crd[1:] <= crd[:-1])


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_the_kernel_is_what_it_says(values: list[int]) -> None:
    """The interpreter checks every index."""
    crd = np.array(values, np.int32)
    out, found = np.zeros_like(crd), np.zeros(3, np.int64)
    module = audit_module(DType.I32)
    verify(module)
    cuts = np.array([0, len(crd)])
    interpret(module, [1, cuts, crd, out, found])
    np.testing.assert_array_equal(out, crd)
    assert found.tolist() == [min(values), max(values), np.count_nonzero(crd[1:] <= crd[:-1])]


def test_a_large_matrix_is_judged_as_a_small_one() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((500, 400)) * (rng.random((500, 400)) < 0.1)
    x[[0, 7, 8, 9, 499]] = 0
    s = sparse.csr_array(x)
    sound = operand(s, "A")
    np.testing.assert_array_equal(sound.levels[1][1], s.indices)
    for at, value in ((12_345, 400), (12_345, -1), (0, 10**6)):
        wrong = s.copy()
        wrong.indices[at] = value
        with pytest.raises(AerogelError, match=f"A, mode 1 .*coordinate {value} is outside"):
            operand(wrong, "A")
    shuffled = s.copy()
    rows = np.diff(s.indptr)
    for row in (1, 250, 498):
        here = slice(s.indptr[row], s.indptr[row] + rows[row])
        shuffled.indices[here] = shuffled.indices[here][::-1]
        shuffled.data[here] = shuffled.data[here][::-1]
    shuffled.has_sorted_indices = False
    found = operand(shuffled, "A")
    np.testing.assert_array_equal(found.levels[1][1], s.indices)
    np.testing.assert_array_equal(found.values, s.data)
    twice = s.copy()
    twice.indices[s.indptr[3] + 1] = twice.indices[s.indptr[3]]
    assert len(operand(twice, "A").values) == len(s.data) - 1
