"""The cubic ramp, against its formula; RigL's share."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel.core.errors import InputError
from aerogel.prune.training.ramp import Ramp, cosine


def test_the_formula_at_the_steps_it_is_made_for() -> None:
    ramp = Ramp(0.2, 0.9, begin=10, end=50, every=10)
    for n, step in enumerate((10, 20, 30, 40, 50)):
        assert ramp.due(step)
        assert ramp.at(step) == pytest.approx(0.9 + (0.2 - 0.9) * (1 - n / 4) ** 3)
    assert [ramp.at(s) for s in (0, 9, 50, 1000)] == [0.0, 0.0, 0.9, 0.9]
    assert [s for s in range(100) if ramp.due(s)] == [10, 20, 30, 40, 50]


@given(
    begin=st.integers(0, 30),
    length=st.integers(0, 50),
    every=st.integers(1, 20),
    low=st.floats(0, 1),
    high=st.floats(0, 1),
)
def test_it_grows_only_when_it_is_due_and_ends_exactly(
    begin: int, length: int, every: int, low: float, high: float
) -> None:
    low, high = sorted((low, high))
    ramp = Ramp(low, high, begin, begin + length, every)
    found = [ramp.at(step) for step in range(begin + length + 5)]
    for step in range(begin + 1, len(found)):
        assert found[step] >= found[step - 1] - 1e-12
        assert ramp.due(step) or found[step] == found[step - 1]
    assert ramp.due(begin + length) and set(found[begin + length :]) == {high}


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ((0.9, 0.5, 0, 10, 1), "falls from 0.9 to 0.5"),
        ((0.0, 0.5, 10, 5, 1), "begins at step 10 and ends at 5"),
        ((0.0, 0.5, -1, 5, 1), "0 <= begin"),
        ((0.0, 0.5, 0, 5, 0), "every is 0"),
        ((0.0, 1.5, 0, 5, 1), "1.5"),
    ],
)
def test_what_cannot_be(given_: tuple, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Ramp(*given_)


def test_the_share_that_is_replaced_falls_like_a_cosine() -> None:
    assert cosine(0.3, 0, 100) == 0.3
    assert cosine(0.3, 50, 100) == pytest.approx(0.15)
    assert cosine(0.3, 25, 100) == pytest.approx(0.15 * (1 + math.sqrt(0.5)))
    assert cosine(0.3, 100, 100) == cosine(0.3, 0, 0) == 0.0
