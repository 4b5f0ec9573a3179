"""Estimates from samples: exact where all is run, right as often as they say where it is not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aerogel.chip.machine.sample import estimate, sample, student
from aerogel.core.errors import InputError


def test_all_pieces_are_no_estimate() -> None:
    found = sample([3.0, 5.0, 9.0], lambda piece: piece, count=7).estimate
    assert (found.total, found.low, found.high, found.exact) == (17.0, 17.0, 17.0, True)
    assert str(found) == "17 (all 3 pieces)"


@pytest.mark.parametrize(
    ("confidence", "freedom", "t"),
    [(0.95, 1, 12.7062), (0.95, 2, 4.3027), (0.95, 9, 2.2622), (0.95, 10, 2.2281), (0.99, 30, 2.7500)],
)
def test_student_is_as_tabulated(confidence: float, freedom: int, t: float) -> None:
    assert math.isclose(student(confidence, freedom), t, rel_tol=1e-4)


def test_an_interval_by_hand() -> None:
    found = estimate([2.0, 4.0, 6.0], 12)
    half = 4.302653 * 12 * math.sqrt(4 / 3 * (1 - 3 / 12))
    assert math.isclose(found.total, 48.0)
    assert math.isclose(found.high - found.total, half, rel_tol=1e-5)
    assert str(found).startswith("about 48 (")
    assert "a sample of 3 of 12 pieces" in str(found)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    pieces = np.random.default_rng(1).normal(100, 20, 60).tolist()
    truth, held = sum(pieces), 0
    for seed in range(200):
        found = sample(pieces, float, count=12, confidence=0.9, seed=seed).estimate
        held += found.low <= truth <= found.high
    assert 165 <= held <= 195


def test_one_piece_of_many_is_no_sample() -> None:
    with pytest.raises(InputError, match="draw 2 pieces or more"):
        sample([1, 2, 3], float, count=1)
