"""Compute-optimal training: the published figures, and that the optimum is one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.carbon import Amount
from aerogel.carbon.plan.compute_optimal import (
    EPOCH,
    HOFFMANN,
    HOFFMANN_ROUNDED,
    LAWS,
    ScalingLaw,
    compute_optimal,
)
from aerogel.core.errors import InputError

GOPHER = 5.76e23
"""Operations of Gopher and Chinchilla, for which the published figures are."""

BOOTSTRAP = Path(__file__).parents[3] / "benchmarks" / "results" / "scaling_law.json"

laws = st.sampled_from(list(LAWS.values()))
budgets = st.floats(1e18, 1e27)


def test_epochs_figures() -> None:
    found = compute_optimal(GOPHER)
    assert found.parameters.value == pytest.approx(72.249e9, rel=1e-4)
    assert found.tokens.value == pytest.approx(1.3287e12, rel=1e-4)
    assert found.tokens_per_parameter.value == pytest.approx(18.391, rel=1e-4)
    # As published: of tokens and parameters that were rounded before.
    assert round(1.33e12 / 72e9, 1) == 18.5


def test_hoffmanns_figures_with_the_constants_rounded_as_printed() -> None:
    found = compute_optimal(GOPHER, HOFFMANN_ROUNDED)
    assert found.parameters.value is not None and found.tokens_per_parameter.value is not None
    assert round(found.parameters.value / 1e9) == 32 and round(found.tokens_per_parameter.value) == 93


def test_rounding_hoffmanns_constants_moved_the_optimum() -> None:
    exact = compute_optimal(GOPHER, HOFFMANN).parameters.value
    assert exact == pytest.approx(40.3e9, rel=1e-3)


@settings(max_examples=50)
@given(budgets, laws, st.floats(-2, 2).filter(lambda x: abs(x) > 1e-3))
def test_no_other_split_of_the_budget_reaches_a_lower_loss(
    flop: float, law: ScalingLaw, aside: float
) -> None:
    found = compute_optimal(flop, law)
    size = found.parameters.value
    assert size is not None
    other = size * math.exp(aside)
    assert law.loss(other, flop / 6 / other) > found.loss
    assert found.tokens.value == pytest.approx(flop / 6 / size)


@settings(max_examples=50)
@given(budgets, budgets)
def test_a_larger_budget_reaches_a_lower_loss_with_a_larger_model(a: float, b: float) -> None:
    less, more = sorted((a, b))
    if more < less * 1.001:
        return
    assert compute_optimal(more).loss < compute_optimal(less).loss
    assert EPOCH.best_size(more) > EPOCH.best_size(less)


@settings(max_examples=50)
@given(budgets)
def test_error_bars_hold_the_value_and_those_of_the_ratio_are_twice_as_wide(flop: float) -> None:
    found = compute_optimal(flop)
    size, ratio = found.parameters, found.tokens_per_parameter
    assert size.value is not None and ratio.value is not None
    assert size.low < size.value < size.high
    off = size.high / size.value
    assert ratio.high / ratio.value == pytest.approx(off**2) == pytest.approx(ratio.value / ratio.low)


def test_error_bars_are_those_of_the_bootstrap() -> None:
    found = json.loads(BOOTSTRAP.read_text(encoding="utf-8"))
    errors = EPOCH.errors
    assert errors is not None and found["samples"] >= 1500 and found["points"] == 240
    for name, wanted in (("flop", errors.flop), ("least", errors.least), ("exponent", errors.exponent)):
        assert found[name] == pytest.approx(wanted, rel=3e-3)
    for flop, (low, high) in found["percentiles_5_95"].items():
        size = compute_optimal(float(flop)).parameters
        assert size.low == pytest.approx(low, rel=0.1) and size.high == pytest.approx(high, rel=0.1)


def test_the_bootstrap_repeats_the_published_fit() -> None:
    """Its constants, within a third of the standard errors that the paper prints, and those errors."""
    found = json.loads(BOOTSTRAP.read_text(encoding="utf-8"))
    published = {
        "E": (1.8172, 0.03),
        "A": (482.01, 124.58),
        "B": (2085.43, 1293.23),
        "a": (0.3478, 0.02),
        "b": (0.3658, 0.02),
    }
    for name, (value, error) in published.items():
        assert abs(found["fit"][name] - value) < error / 3, name
        assert found["standard_errors"][name] == pytest.approx(error, rel=0.25), name


def test_error_bars_grow_with_the_distance_from_the_data() -> None:
    assert EPOCH.errors is not None
    errors = [EPOCH.errors.of_size(flop) for flop in (1e20, 1e22, 1e24, 1e26)]
    assert errors == sorted(errors)


def test_a_law_without_error_bars_gives_none() -> None:
    found = compute_optimal(GOPHER, HOFFMANN)
    assert found.parameters.low == found.parameters.value == found.parameters.high


def test_bounds_of_the_budget_widen_those_of_the_plan() -> None:
    wide = compute_optimal(Amount(GOPHER, GOPHER / 4, GOPHER * 4, "FLOP"))
    narrow = compute_optimal(GOPHER)
    assert wide.parameters.value == narrow.parameters.value
    assert wide.parameters.low < narrow.parameters.low and wide.parameters.high > narrow.parameters.high
    least = compute_optimal(GOPHER / 4)
    assert wide.parameters.low == least.parameters.low and wide.tokens.low == least.tokens.low


@pytest.mark.parametrize("flop", [0.0, -1.0, Amount.unknown("FLOP"), Amount(None, 1.0, 2.0, "FLOP")])
def test_no_budget_buys_no_training(flop: float | Amount) -> None:
    with pytest.raises(InputError, match="buys no training"):
        compute_optimal(flop)


@settings(max_examples=50)
@given(laws, st.floats(1e8, 1e12), st.floats(1e9, 1e14))
def test_tokens_for_a_loss_undo_the_loss(law: ScalingLaw, size: float, tokens: float) -> None:
    assert law.tokens_for(law.loss(size, tokens), size) == pytest.approx(tokens, rel=1e-3)


def test_a_model_too_small_never_reaches_the_loss() -> None:
    assert EPOCH.tokens_for(1.9, 1e6) == math.inf


def test_every_law_says_where_it_is_from() -> None:
    for law in LAWS.values():
        said = law.to_json()
        assert "arXiv" in said["source"] and said["year"] in (2022, 2024) and said["grade"] == "published"
