"""A model that is served much is smaller than the compute-optimal one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.carbon.plan.compute_optimal import EPOCH, HOFFMANN, LAWS
from aerogel.carbon.plan.served import for_serving
from aerogel.core.errors import InputError


def test_nothing_served_is_compute_optimal() -> None:
    found = for_serving(1e23, 0.0)
    assert found.parameters == pytest.approx(EPOCH.best_size(1e23), rel=1e-4)
    assert found.saved == pytest.approx(0.0, abs=1e-8)


def test_the_published_example() -> None:
    """Sardana et al. 2024: instead of a compute-optimal 13 B model for 2 trillion served tokens, 7 B on more
    tokens, 1.7e22 operations (17 %) less; with Hoffmann's constants, and their own fit of the demand."""
    flop = 4.83e22
    assert HOFFMANN.best_size(flop) == pytest.approx(13e9, rel=0.01)
    found = for_serving(flop, 2e12, HOFFMANN)
    assert found.parameters == pytest.approx(7.1e9, rel=0.02)
    assert found.saved == pytest.approx(0.17, abs=0.01)
    assert found.compute_optimal_flop - found.total_flop == pytest.approx(1.7e22, rel=0.05)


@settings(max_examples=30)
@given(st.sampled_from(list(LAWS.values())), st.floats(1e19, 1e26), st.floats(1e9, 1e15))
def test_no_other_size_takes_less(law, flop: float, served: float) -> None:
    found = for_serving(flop, served, law)
    assert law.loss(found.parameters, found.tokens) == pytest.approx(found.loss)
    assert found.training_flop + 2 * found.parameters * served == pytest.approx(found.total_flop)
    for share in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        size = share * found.parameters
        total = 6 * size * law.tokens_for(found.loss, size) + 2 * size * served
        assert total >= found.total_flop * (1 - 1e-9)
    assert found.parameters <= law.best_size(flop) * (1 + 1e-9) and 0 <= found.saved + 1e-9


@pytest.mark.parametrize(("flop", "served"), [(0.0, 1.0), (math.inf, 1.0), (1e20, -1.0), (1e20, math.nan)])
def test_what_is_no_plan_is_refused(flop: float, served: float) -> None:
    with pytest.raises(InputError):
        for_serving(flop, served)
