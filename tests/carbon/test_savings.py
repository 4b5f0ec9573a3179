"""Projected savings: by the identical method, less what pruning took, and never taken from an inventory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.carbon.cases import book, bought, factor, run, unmeasured

from aerogel.carbon.assess import assess
from aerogel.carbon.inventory import UNITS
from aerogel.carbon.run import Run
from aerogel.carbon.savings import Projection, Saving, savings

YEAR = 1e6


def pair(**sparse: Any) -> list[Run]:
    """1 kWh for 1000 inferences dense, half of it sparse; pruning took 10 kWh."""
    half = {
        "joules": 1.8e6,
        "low": 1.8e6,
        "high": 1.8e6,
        "seconds": 1800.0,
        "units": 1000.0,
        "unit": "inference",
    }
    return [
        run(pair="m", role="dense", units=1000.0, unit="inference"),
        run(pair="m", role="sparse", **(half | sparse)),
        run(pair="m", role="cost", kind="pruning", joules=3.6e7, low=3.6e7, high=3.6e7),
    ]


def only(runs: list[Run], yearly: Any = YEAR, **more: Any) -> Saving:
    (found,) = savings(assess(runs, book(**more)), yearly)
    return found


def of(saving: Saving, quantity: str) -> Projection:
    (found,) = [each for each in saving.projections if each.quantity == quantity]
    return found


def test_a_unit_a_year_and_net_of_pruning() -> None:
    energy = of(only(pair()), "energy")
    assert energy.dense.value == pytest.approx(1.5e-3) and energy.sparse.value == pytest.approx(0.75e-3)
    assert energy.saved_each.value == pytest.approx(0.75e-3)
    assert energy.saved is not None and energy.net is not None
    assert energy.saved.value == pytest.approx(750.0)
    assert energy.cost.value == pytest.approx(15.0)
    assert energy.net.value == pytest.approx(735.0)


def test_the_share_that_is_saved_has_bounds_of_both() -> None:
    share = only(pair(low=1.62e6, high=1.98e6)).share
    assert share is not None and share.value is not None
    assert (share.low, share.value, share.high) == pytest.approx((0.45, 0.5, 0.55))
    assert only(pair(joules=None, low=None, high=None, method="not measured")).share is None


def test_emissions_follow_the_grid() -> None:
    location = of(only(pair()), "location")
    assert location.saved is not None and location.saved.value == pytest.approx(750 * 0.05)
    assert location.saved.unit == "kgCO2e"


def test_the_buildings_range_does_not_count_twice() -> None:
    """PUE is 1 to 2 for both: what is saved is half a kWh times that, so never less than nothing."""
    saved = of(only(pair()), "energy").saved_each
    assert (saved.low, saved.high) == pytest.approx((0.5e-3, 1e-3))


def test_pruning_is_repaid_after_so_many_units() -> None:
    saving = only(pair())
    assert saving.repaid is not None and saving.repaid.value == pytest.approx(20_000)
    assert saving.repaid.unit == "inference"
    assert saving.verdict == "saves" and saving.seconds == (3.6, 1.8)


def test_bounds_that_hold_zero_prove_nothing() -> None:
    saving = only(pair(joules=3e6, low=1e6, high=5e6))
    assert saving.verdict == "not proven" and saving.repaid is None


def test_a_loss_is_called_one() -> None:
    saving = only(pair(joules=7.2e6, low=7.2e6, high=7.2e6))
    assert saving.verdict == "loses"
    net = of(saving, "energy").net
    assert net is not None and net.value is not None and net.value < 0


def test_without_a_meter_a_saving_is_not_proven() -> None:
    runs = [
        unmeasured(pair="m", role=role, units=1000.0, unit="inference", low=1e5, high=high)
        for role, high in (("dense", 3e6), ("sparse", 1e6))
    ]
    saving = only(runs)
    assert saving.verdict == "not proven" and saving.method == "not measured"
    assert of(saving, "energy").saved_each.value is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "estimated"),
        ("source", "another meter"),
        ("covers", "the whole server"),
        ("place", "POL"),
        ("facility", "aws"),
        ("unit", "token"),
    ],
)
def test_a_baseline_by_another_method_is_not_compared(field: str, value: str) -> None:
    saving = only(pair(**{field: value}))
    assert saving.verdict == "not comparable" and saving.projections == ()
    assert field in saving.obstacle and "identical method" in saving.obstacle


def test_what_is_missing_is_said() -> None:
    dense, sparse, _ = pair()
    saving = only([dense, sparse], None)
    assert [text.split(":")[0] for text in saving.missing] == [
        "how many units are done in a year (--yearly-units)",
        "what pruning took",
    ]
    energy = of(saving, "energy")
    assert energy.saved is None and energy.net is None and not energy.cost.bounded
    assert only([dense]).obstacle == "no sparse run is recorded for this pair"
    assert "units of work" in only(pair(units=None, unit=None)).obstacle


def test_a_net_saving_without_its_cost_is_not_known() -> None:
    dense, sparse, _ = pair()
    net = of(only([dense, sparse]), "energy").net
    assert net is not None and net.value is None and net.low == float("-inf")


def test_volumes_go_by_name() -> None:
    runs = pair()
    assert only(runs, {"m": 10.0}).yearly_units == 10.0
    assert only(runs, {"other": 10.0}).yearly_units is None


def test_money_by_the_price_of_a_kilowatt_hour() -> None:
    inventory = assess(pair(), book(factor("price/kwh", 0.2, "EUR/kWh")))
    money = of(savings(inventory, YEAR)[0], "money")
    assert money.saved is not None and money.saved.value == pytest.approx(750 * 0.2)


def test_money_that_was_paid() -> None:
    runs = [
        bought(pair="m", role=role, units=100.0, unit="request", money=paid, currency="EUR")
        for role, paid in (("dense", 8.0), ("sparse", 3.0))
    ]
    money = of(only(runs), "money")
    assert money.saved_each.value == pytest.approx(0.05) and not money.cost.bounded


@settings(max_examples=25, deadline=None)
@given(st.floats(1.0, 1e7), st.floats(1.0, 1e7), st.floats(0, 1e12))
def test_an_inventory_is_the_same_whatever_is_projected(dense: float, sparse: float, yearly: float) -> None:
    """Nothing is netted: the runs of a pair count in full, and so does what pruning took."""
    runs = [
        run(pair="m", role="dense", units=1.0, unit="x", joules=dense, low=dense, high=dense),
        run(pair="m", role="sparse", units=1.0, unit="x", joules=sparse, low=sparse, high=sparse),
        run(pair="m", role="cost", kind="pruning"),
    ]
    paired = assess(runs, book())
    before = {quantity: paired.total(quantity) for quantity in UNITS}
    savings(paired, yearly)
    apart = [run(joules=e, low=e, high=e) for e in (dense, sparse)] + [run(kind="pruning")]
    alone = assess(apart, book())
    for quantity in UNITS:
        assert paired.total(quantity) == before[quantity]
        assert paired.total(quantity).amount.value == pytest.approx(alone.total(quantity).amount.value)
