from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.report.boxes import Box, distances, meets, overlaps, stacked

SIDES = st.integers(-5, 5).map(float)
BOXES = st.tuples(SIDES, SIDES, SIDES, SIDES).map(
    lambda s: Box(min(s[0], s[2]), min(s[1], s[3]), max(s[0], s[2]), max(s[1], s[3]))
)


@settings(deadline=None)
@given(st.lists(BOXES, max_size=4), st.lists(BOXES, max_size=4))
def test_many_overlaps_are_those_of_one_and_one(some: list[Box], others: list[Box]) -> None:
    found = overlaps(stacked(some), stacked(others))
    assert found.shape == (len(some), len(others))
    assert [list(row) for row in found] == [[a.overlap(b) for b in others] for a in some]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ((-2, 1, 4, 1), True),  # right through
        ((1, 1, 1.5, 1), True),  # inside
        ((-2, 1, -1, 1), False),  # too short
        ((-2, 3, 4, 3), False),  # beside it
        ((-1, -1, 3, 3), True),  # from corner to corner
        ((-1, 2, 1, 4), False),  # past a corner
        ((-2, 2, 4, 2), False),  # along a side
        ((1, 5, 1, 5), False),  # a point outside
    ],
)
def test_a_line_runs_through_a_box_or_does_not(line: tuple[float, ...], wanted: bool) -> None:
    box = stacked([Box(0, 0, 2, 2)])
    forth, back = np.array([line], float), np.array([line[2:] + line[:2]], float)
    assert bool(meets(forth, box)[0, 0]) is wanted
    assert bool(meets(back, box)[0, 0]) is wanted


def test_distances_are_to_the_nearest_point_of_a_box() -> None:
    boxes, points = stacked([Box(0, 0, 2, 2)]), np.array([[1.0, 1], [5, 1], [5, 6]])
    assert distances(boxes, points).tolist() == [[0, 3, 5]]


def test_none_at_all_is_no_special_case() -> None:
    assert meets(np.zeros((0, 4)), stacked([Box(0, 0, 1, 1)])).shape == (0, 1)
    assert meets(np.zeros((2, 4)), stacked([])).shape == (2, 0)
