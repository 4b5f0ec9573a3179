"""The rules of an inventory: each quantity worked out by hand, and what is not known never zero."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.carbon.cases import book, bought, factor, run, unmeasured

from aerogel.carbon.amount import Amount
from aerogel.carbon.assess import Settings, assess, embodied_share
from aerogel.carbon.inventory import Inventory, Line, Quantity
from aerogel.core.errors import InputError


def line(inventory: Inventory, quantity: Quantity) -> Line:
    (found,) = inventory.select(quantity)
    return found


def bounds(found: Line) -> tuple[float | None, float, float]:
    return found.amount.value, found.amount.low, found.amount.high


class TestOneRun:
    inventory = assess([run()], book())

    def test_energy_is_joules_times_the_building(self) -> None:
        assert bounds(line(self.inventory, "computer")) == (1.0, 1.0, 1.0)
        assert bounds(line(self.inventory, "energy")) == (1.5, 1.0, 2.0)

    def test_location_is_energy_times_the_grid_and_takes_the_extremes(self) -> None:
        found = line(self.inventory, "location")
        assert found.amount.unit == "kgCO2e"
        assert bounds(found) == pytest.approx((0.075, 0.04, 0.12))
        assert [f.key for f in found.factors] == ["pue/on-premises", "grid/FRA"]

    def test_market_takes_the_grid_where_no_mix_is_known_and_says_so(self) -> None:
        found = line(self.inventory, "market")
        assert bounds(found) == bounds(line(self.inventory, "location"))
        assert "no contract or residual mix is known" in found.note

    def test_the_making_is_a_share_by_time(self) -> None:
        found = line(self.inventory, "embodied")
        assert found.scope == "3.2"
        assert found.amount.value == pytest.approx(1000 / (4 * 8760) * 0.5)

    def test_water_is_of_the_computers_and_not_of_the_building(self) -> None:
        assert bounds(line(self.inventory, "water")) == (1.0, 0.0, 2.0)

    def test_without_a_price_there_is_no_money(self) -> None:
        assert self.inventory.select("money") == []

    def test_every_line_names_its_run_formula_and_factors(self) -> None:
        for found in self.inventory.lines:
            assert found.run in self.inventory.runs and found.formula
            assert found.factors or found.quantity == "computer"


def test_a_residual_mix_makes_the_market_figure() -> None:
    inventory = assess([run(place="POL")], book())
    assert line(inventory, "location").amount.value == pytest.approx(0.9)
    assert line(inventory, "market").amount.value == pytest.approx(1.05)
    assert line(inventory, "market").note == ""


def test_bought_computing_is_one_scope_with_its_hardware() -> None:
    inventory = assess([bought()], book())
    assert {found.scope for found in inventory.lines} == {"3.1"}
    assert line(inventory, "energy").amount.value == 1.2, "a region tells its provider, so its PUE"
    assert line(inventory, "location").amount.value == pytest.approx(0.36)


class TestWhatIsNotKnown:
    def test_no_energy_is_no_zero(self) -> None:
        for quantity in ("computer", "energy", "location", "market", "water"):
            found = line(assess([unmeasured()], book()), quantity)
            assert found.amount.value is None and found.amount.high == math.inf
        assert line(assess([unmeasured()], book()), "computer").note == "energy not known"

    def test_bounds_without_a_value_stay_bounds(self) -> None:
        inventory = assess([unmeasured(low=3.6e6, high=7.2e6)], book())
        assert bounds(line(inventory, "energy")) == (None, 1.0, 4.0)

    def test_hardware_that_is_not_named(self) -> None:
        found = line(assess([run(hardware=None, share=None)], book()), "embodied")
        assert not found.amount.bounded and "hardware not named" in found.note

    def test_a_share_that_is_not_known_is_anything_up_to_all(self) -> None:
        found = line(assess([run(share=None)], book()), "embodied")
        assert bounds(found) == (None, 0.0, pytest.approx(1000 / (4 * 8760)))
        assert "share of the hardware not known" in found.note

    def test_a_building_that_is_not_known_has_the_range_of_buildings(self) -> None:
        found = line(assess([run(facility=None)], book()), "energy")
        assert bounds(found) == (2.0, 1.0, 3.0) and "building not known" in found.note

    def test_a_place_that_is_not_known_is_an_error(self) -> None:
        with pytest.raises(
            InputError, match=r"it is not known where 'lost' ran.*--place.*--unknown-place world"
        ):
            assess([run(), run(label="lost", place=None)], book())

    def test_or_by_request_the_worlds_average_with_its_range(self) -> None:
        inventory = assess([run(place=None)], book(), settings=Settings(unknown_place="world"))
        found = line(inventory, "location")
        assert bounds(found) == pytest.approx((0.72, 0.02, 2.0))
        assert "the world's average" in found.note

    def test_a_place_that_no_factor_knows_is_an_error(self) -> None:
        with pytest.raises(InputError, match=r"no factor 'grid/DEU'"):
            assess([run(place="DEU")], book())

    def test_hardware_that_no_factor_knows_is_an_error(self) -> None:
        with pytest.raises(InputError, match=r"no factor 'embodied/abacus'"):
            assess([run(hardware="abacus")], book())

    def test_many_lost_runs_are_counted_rather_than_listed(self) -> None:
        with pytest.raises(InputError, match=r"and 2 more ran"):
            assess([run(label=f"r{i}", place=None) for i in range(7)], book())


class TestSettings:
    def test_answer_for_runs_that_do_not_say(self) -> None:
        silent = run(place=None, facility=None, hardware=None, share=None)
        answers = Settings(facility="on-premises", hardware="server", share=0.5, place="FRA")
        said, answered = assess([run()], book()), assess([silent], book(), settings=answers)
        assert [bounds(found) for found in answered.lines] == [bounds(found) for found in said.lines]
        assert answered.runs == (silent,), "it stays as it was recorded"
        assert all(found.run is silent for found in answered.lines)

    def test_do_not_overrule_runs_that_do(self) -> None:
        answers = Settings(facility="aws", hardware="server", share=1.0, place="POL")
        said = assess([run()], book(), settings=answers)
        assert [bounds(found) for found in said.lines] == [bounds(f) for f in assess([run()], book()).lines]

    def test_intensity_by_time_goes_before_the_years(self) -> None:
        hourly = factor("grid/FRA at noon", 10.0, "gCO2e/kWh")
        inventory = assess([run()], book(), settings=Settings(intensity=lambda _: hourly))
        assert line(inventory, "location").amount.value == pytest.approx(0.015)
        assert line(inventory, "market").amount.value == pytest.approx(0.075), "contracts know no hours"


class TestMoney:
    def test_what_was_paid_goes_before_any_price(self) -> None:
        paid = bought(money=3.5, currency="USD")
        inventory = assess([paid], book(factor("price/instance-hour", 9.0, "EUR/h")))
        assert bounds(line(inventory, "money")) == (3.5, 3.5, 3.5)
        assert line(inventory, "money").amount.unit == "USD"

    def test_own_electricity_by_the_kilowatt_hour_of_the_building(self) -> None:
        inventory = assess([run()], book(factor("price/kwh", 0.2, "EUR/kWh")))
        assert line(inventory, "money").amount.value == pytest.approx(0.3)

    def test_bought_computing_by_the_hour_and_not_its_electricity_too(self) -> None:
        prices = (factor("price/kwh", 0.2, "EUR/kWh"), factor("price/instance-hour", 2.0, "EUR/h"))
        inventory = assess([bought(seconds=1800)], book(*prices))
        assert line(inventory, "money").amount.value == pytest.approx(1.0)

    def test_the_unions_average_is_for_the_union_alone(self) -> None:
        average = factor("price/kwh/EU", 0.2, "EUR/kWh")
        inventory = assess([run()], book(average))
        assert "average of companies in the EU" in line(inventory, "money").note
        world = Settings(unknown_place="world")
        assert assess([run(place=None)], book(average), settings=world).select("money") == []

    @pytest.mark.parametrize("unit", ["EUR", "EUR/h", "euro/kWh"])
    def test_a_price_per_something_else_is_refused(self, unit: str) -> None:
        with pytest.raises(InputError, match="give a price as EUR/kWh"):
            assess([run()], book(factor("price/kwh", 0.2, unit)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (factor("grid/FRA", 50.0, "kgCO2e/MWh"), "is in gCO2e/kWh"),
        (factor("embodied/server", 1.0, "tCO2e"), "is in kgCO2e"),
        (factor("lifetime/server", 35_040.0, "hours"), "is in years"),
    ],
)
def test_factors_in_other_units_are_refused(wrong: object, said: str) -> None:
    own = book().with_own([wrong])  # type: ignore[list-item]
    with pytest.raises(InputError, match=said):
        assess([run()], own)


def test_a_run_that_stands_twice_is_refused() -> None:
    one = run()
    with pytest.raises(InputError, match="stands twice"):
        assess([one, one], book())


def test_of_no_runs_there_is_an_inventory_of_nothing() -> None:
    inventory = assess([], book())
    assert inventory.lines == () and inventory.period is None
    assert str(inventory.total("energy")) == "none"


amounts = st.floats(0, 1e9)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(amounts, amounts, amounts), max_size=8))
def test_totals_are_the_sums_of_their_lines_within_their_bounds(triples: list[tuple[float, ...]]) -> None:
    runs = [run(joules=b, low=a, high=c) for a, b, c in map(sorted, triples)]
    inventory = assess(runs, book())
    for quantity in ("computer", "energy", "location"):
        found = inventory.total(quantity).amount
        assert found.value == pytest.approx(sum(x.amount.value or 0.0 for x in inventory.select(quantity)))
        assert found.low <= (found.value or 0.0) <= found.high
    # In any order of runs.
    assert assess(runs[::-1], book()).total("location") == inventory.total("location")


@settings(deadline=None)
@given(st.floats(1, 1e5), st.floats(1, 1e6), st.floats(0.5, 20), st.floats(0, 1))
def test_a_share_of_making_is_never_more_than_its_time(
    te: float, seconds: float, years: float, share: float
) -> None:
    made = embodied_share(
        Amount.exact(te, "kgCO2e"), seconds, Amount.exact(years, "years"), Amount.exact(share, "")
    )
    assert made.value is not None
    assert made.value <= te * seconds / 3600 / (years * 8760) * (1 + 1e-9)


def test_a_contract_of_another_year_is_told() -> None:
    """One that holds for 2026 says nothing of 2024."""
    contract = replace(factor("market/FRA", 5.0, "gCO2e/kWh"), own=True)
    found = line(assess([run(began="2024-06-01T00:00:00Z")], book(contract)), "market")
    assert found.amount.value == pytest.approx(0.0075) and "contract or factor of 2026" in found.note
    assert line(assess([run()], book(contract)), "market").note == ""


def test_water_is_in_litres() -> None:
    gallons = replace(factor("water/site", 1.0, "gal/kWh"), own=True)
    with pytest.raises(InputError, match="in gal/kWh: water on site is in L/kWh"):
        assess([run()], book(gallons))
