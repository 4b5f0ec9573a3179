"""The rest of a statement: cost, comparisons, intensity by time, and all of it as JSON."""

from __future__ import annotations

import json

import pytest
from tests.carbon.cases import book, bought, factor, run, unmeasured

from aerogel.carbon.amount import Amount
from aerogel.carbon.assess import Settings, assess
from aerogel.carbon.book import load_book
from aerogel.carbon.cost import BOUGHT, ELECTRICITY, HARDWARE, Cost, ownership
from aerogel.carbon.equivalences import EQUIVALENCES, equivalent
from aerogel.carbon.intensities import Slot
from aerogel.carbon.method import METHOD, RULES
from aerogel.carbon.statement import Asked, statement
from aerogel.carbon.varying import varying
from aerogel.core.errors import InputError


class TestCost:
    def of(self, costs: tuple[Cost, ...], part: str) -> Cost:
        (found,) = [cost for cost in costs if cost.part == part]
        return found

    def test_own_hardware_is_electricity_and_a_share_of_its_price(self) -> None:
        prices = (factor("price/kwh", 0.2, "EUR/kWh"), factor("price/hardware/server", 35_040.0, "EUR"))
        own = book(*prices)
        costs = ownership(assess([run()], own), own, Settings())
        assert self.of(costs, ELECTRICITY).total.known.value == pytest.approx(0.3)
        assert self.of(costs, HARDWARE).total.known.value == pytest.approx(0.5), "an hour of half of it"
        assert [cost.part for cost in costs] == [ELECTRICITY, HARDWARE]

    def test_hardware_that_runs_do_not_name_is_that_of_the_settings(self) -> None:
        own = book(factor("price/hardware/server", 35_040.0, "EUR"))
        said, silent = run(), run(hardware=None, share=None)
        told = Settings(hardware="server", share=0.5)
        for each in (said, silent):
            costs = ownership(assess([each], own, settings=told), own, told)
            assert self.of(costs, HARDWARE).total.known.value == pytest.approx(0.5)

    def test_bought_computing_is_what_was_paid_and_no_electricity(self) -> None:
        own = book(factor("price/kwh", 0.2, "EUR/kWh"))
        (cost,) = ownership(assess([bought(money=3.0, currency="EUR")], own), own, Settings())
        assert (cost.part, cost.currency, cost.total.known.value) == (BOUGHT, "EUR", 3.0)

    def test_runs_without_a_price_are_counted(self) -> None:
        costs = ownership(assess([run(), run()], book()), book(), Settings())
        assert [(cost.part, cost.missing, cost.total.lines) for cost in costs] == [
            (ELECTRICITY, 2, 0),
            (HARDWARE, 2, 0),
        ]

    def test_a_price_of_hardware_is_a_sum_of_money(self) -> None:
        own = book(factor("price/hardware/server", 5.0, "EUR/kWh"))
        with pytest.raises(InputError, match="as EUR or USD"):
            ownership(assess([run()], own), own, Settings())


class TestEquivalences:
    def test_every_one_has_a_source_and_a_year(self) -> None:
        assert all(each.source and each.year > 2000 and each.kg > 0 for each in EQUIVALENCES)
        assert [each.kg for each in EQUIVALENCES] == sorted(each.kg for each in EQUIVALENCES)

    def test_a_car_drives_so_far(self) -> None:
        (each, amount), *_ = equivalent(Amount.exact(10.81, "kgCO2e"))
        assert "car" in each.what and amount.value == pytest.approx(100.0)

    def test_comparisons_out_of_all_proportion_are_left_out(self) -> None:
        assert [each.what for each, _ in equivalent(Amount.exact(1.0, "kgCO2e"))] == [EQUIVALENCES[0].what]
        assert equivalent(Amount.exact(0.0, "kgCO2e")) == ()

    def test_what_is_without_bound_is_as_much_as_nothing(self) -> None:
        assert equivalent(Amount.unknown("kgCO2e")) == ()

    def test_kilowatt_hours_are_not_compared(self) -> None:
        with pytest.raises(InputError, match="no amount of kgCO2e"):
            equivalent(Amount.exact(1.0, "kWh"))


class TestIntensityByTime:
    """A run from 0:00 to 1:00 on 1 June 2026."""

    begin = run().began_at.timestamp()

    def slots(self, *values: float) -> tuple[Slot, ...]:
        return tuple(
            Slot(self.begin + 1800 * i, self.begin + 1800 * (i + 1), Amount(v, v - 1, v + 2, "gCO2e/kWh"))
            for i, v in enumerate(values)
        )

    def test_is_the_mean_over_the_run(self) -> None:
        found = varying({"FRA": self.slots(10.0, 30.0, 99.0)}, "table.csv")(run())
        assert found is not None
        assert (found.value, found.low, found.high) == pytest.approx((20.0, 19.0, 22.0))
        assert found.source == "table.csv" and found.own

    def test_is_weighted_by_time(self) -> None:
        found = varying({"FRA": self.slots(10.0, 30.0)}, "t")(run(seconds=2700.0))
        assert found is not None and found.value == pytest.approx((1800 * 10 + 900 * 30) / 2700)

    def test_of_a_run_that_is_not_covered_the_years_is_taken(self) -> None:
        table = varying({"FRA": self.slots(10.0)}, "t")
        assert table(run()) is None and table(run(place="POL")) is None and table(run(place=None)) is None
        inventory = assess([run()], book(), settings=Settings(intensity=table))
        line = inventory.select("location")[0]
        assert line.factors[-1].key == "grid/FRA" and line.note.startswith("not covered by the table")

    def test_its_places_are_those_of_runs(self) -> None:
        assert varying({"France": self.slots(10.0, 30.0)}, "t")(run()) is not None
        with pytest.raises(InputError, match="t: the place 'Frnce' is not known"):
            varying({"Frnce": self.slots(10.0)}, "t")
        with pytest.raises(InputError, match="FRA under two names"):
            varying({"France": self.slots(10.0), "FRA": self.slots(10.0)}, "t")

    def test_a_run_of_no_length_takes_the_slot_it_lies_in(self) -> None:
        found = varying({"FRA": self.slots(10.0, 30.0)}, "t")(run(seconds=0.0))
        assert found is not None and found.value == pytest.approx(10.0)


def test_everything_is_json_and_savings_stand_apart() -> None:
    runs = [
        run(pair="m", role="dense", units=1.0, unit="x"),
        run(pair="m", role="sparse", units=1.0, unit="x", joules=1.8e6, low=1.8e6),
        unmeasured(),
        bought(units=5.0, unit="token"),
    ]
    said = statement(runs, book(), Asked(yearly_units=1e3)).to_json()
    json.dumps(said, allow_nan=False)
    assert said["method"] == METHOD
    assert said["projected_savings"]["part_of_the_inventory"] is False
    without = {key: value for key, value in said.items() if key != "projected_savings"}
    assert "saved" not in json.dumps(without).replace(json.dumps(said["rules"]), "")
    assert len(said["lines"]) == 6 * len(runs) and len(said["runs"]) == len(runs)
    used = {key for line in said["lines"] for key in line["factors"]}
    assert used == {f"{each['key']} ({each['year']})" for each in said["assumptions"]}


def test_the_method_says_all_that_is_done() -> None:
    assert {rule.what for rule in RULES} >= {"Bounds", "Scopes", "SCI", "Market-based", "Projected savings"}


def test_aerogels_own_factors_are_enough_for_a_run_anywhere_known() -> None:
    runs = [
        run(place=place, scope=scope, facility=None, began="2026-06-01T00:00:00Z")
        for place, scope in (
            ("FRA", "2"),
            ("USA", "2"),
            ("google/europe-west1", "3.1"),
            ("aws/eu-west-1", "3.1"),
        )
    ]
    inventory = statement(runs, load_book()).inventory
    assert all(line.amount.bounded for line in inventory.lines)
    assert {"pue/google", "pue/aws", "pue/unknown"} <= {f.key for f in inventory.factors()}
    assert all(f.source and f.grade for f in inventory.factors())
