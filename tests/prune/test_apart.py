"""Rows that do not compete: each loses the same share, all together exactly so many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel.prune.apart import apart


@st.composite
def rows_to_cut(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, int]:
    shape = draw(st.integers(1, 7)), draw(st.integers(1, 6))
    rows = draw(st.sampled_from([1, 1, 4]))
    seed = draw(st.integers(0, 1000))
    made = np.random.default_rng(seed)
    saliency = made.integers(0, draw(st.sampled_from([3, 1000])), shape).astype(float)
    frozen = made.random(shape) < draw(st.sampled_from([0.0, 0.4, 1.0]))
    saliency[frozen] = -1
    return saliency, frozen, draw(st.integers(int(frozen.sum()), saliency.size)), rows


@given(rows_to_cut())
def test_exactly_so_many_and_of_each_group_its_own_smallest(
    case: tuple[np.ndarray, np.ndarray, int, int],
) -> None:
    saliency, frozen, count, rows = case
    gone = apart(saliency, frozen, count, rows)
    assert int(gone.sum()) == count and gone[frozen].all()
    free: list[float] = []
    for top in range(0, len(saliency), rows):
        part, flags = saliency[top : top + rows].reshape(-1), gone[top : top + rows].reshape(-1)
        # The naive reference: a stable sort of the group alone.
        assert set(np.flatnonzero(flags)) == set(np.argsort(part, kind="stable")[: flags.sum()])
        if flags.sum() > (part == -1).sum():
            free.append(float(flags.sum() - 1) / part.size)
    # No group that gives more than its frozen units gives a unit more than any other could.
    for top in range(0, len(saliency), rows):
        flags = gone[top : top + rows]
        assert all((flags.sum() + 1) / flags.size > share - 1e-12 for share in free)


def test_what_is_left_over_goes_where_it_matters_least() -> None:
    saliency = np.array([[5.0, 6, 7], [1, 2, 3], [5, 5.5, 9]])
    none = np.zeros(saliency.shape, bool)
    # 4 of 9: one of each row, and one more, of the row whose second is the smallest.
    assert apart(saliency, none, 4, 1).sum(1).tolist() == [1, 2, 1]
    assert apart(saliency, none, 5, 1).sum(1).tolist() == [1, 2, 2]
    assert apart(np.ones((3, 3)), none, 4, 1).sum(1).tolist() == [2, 1, 1]


def test_rows_with_more_zeros_than_their_share_leave_less_to_the_others() -> None:
    saliency, frozen = np.arange(12.0).reshape(3, 4), np.zeros((3, 4), bool)
    frozen[1] = True
    saliency[frozen] = -1
    assert apart(saliency, frozen, 6, 1).sum(1).tolist() == [1, 4, 1]
    assert apart(saliency, frozen, 4, 1).sum(1).tolist() == [0, 4, 0]


@pytest.mark.parametrize("shape", [(0, 4), (4, 0)])
def test_nothing_to_choose_from(shape: tuple[int, int]) -> None:
    empty = np.zeros(shape)
    assert apart(empty, empty.astype(bool), 0, 1).shape == shape
