"""Totals: what is not known is neither zero nor forgotten, and scopes and currencies stand apart."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.carbon.cases import book, bought, factor, run, unmeasured

from aerogel.carbon.amount import Amount
from aerogel.carbon.assess import assess
from aerogel.carbon.inventory import Total, named


def test_a_total_says_what_it_lacks() -> None:
    found = Total.of([Amount.exact(2.0, "kWh"), Amount.unknown("kWh"), Amount(None, 1.0, 3.0, "kWh")], "kWh")
    assert (found.lines, found.unknown) == (3, 1)
    assert found.figure == Amount(None, 3.0, 5.0, "kWh")
    assert found.amount.low == 3.0 and not found.amount.bounded
    assert str(found) == "3 to 5 kWh, without 1 of 3, not known"


def test_a_trifle_with_bounds_alone_does_not_leave_a_sum_without_a_figure() -> None:
    """It counts at its upper bound, up to a hundredth of the sum; beyond that the sum has bounds alone."""
    known, trifle = Amount(100.0, 90.0, 120.0, "kWh"), Amount(None, 0.1, 0.5, "kWh")
    found = Total.of([known, trifle, trifle], "kWh")
    assert found.figure == Amount(101.0, 90.2, 121.0, "kWh") and found.vague == 2
    assert Total.of([known, trifle, trifle, trifle], "kWh").figure == Amount(None, 90.3, 121.5, "kWh")
    assert Total.of([trifle], "kWh").figure == trifle
    assert Total.of([known, trifle, Amount.unknown("kWh")], "kWh").amount.value is None


def test_a_total_of_the_unknown_is_not_known_and_one_of_nothing_is_none() -> None:
    assert Total.of([Amount.unknown("kWh")], "kWh").figure is None
    assert str(Total.of([Amount.unknown("kWh")], "kWh")) == "not known"
    nothing = Total.of([], "kWh")
    assert nothing.figure == Amount.exact(0.0, "kWh") and nothing.gap == "none recorded"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1e12)), max_size=10))
def test_what_is_known_is_never_more_than_the_whole(values: list[float | None]) -> None:
    amounts = [Amount.unknown("L") if v is None else Amount.exact(v, "L") for v in values]
    found = Total.of(amounts, "L")
    assert found.unknown == values.count(None)
    assert found.known.low <= found.amount.high
    assert (found.unknown == 0) == found.amount.bounded


def test_scopes_stand_apart() -> None:
    inventory = assess([run(), bought()], book())
    own, other = inventory.total("location", "2"), inventory.total("location", "3.1")
    assert (own.lines, other.lines) == (1, 1)
    assert inventory.total("embodied", "3.2").lines == inventory.total("embodied", "3.1").lines == 1
    assert inventory.total("embodied", "2").lines == 0


def test_currencies_are_not_added() -> None:
    paid = [
        bought(money=1.0, currency="EUR"),
        bought(money=2.0, currency="USD"),
        bought(money=4.0, currency="EUR"),
    ]
    found = assess(paid, book()).money()
    assert {unit: total.known.value for unit, total in found.items()} == {"EUR": 5.0, "USD": 2.0}


def test_factors_are_named_once_with_their_year() -> None:
    inventory = assess([run(), run()], book())
    keys = [f.key for f in inventory.factors()]
    assert len(set(keys)) == len(keys) and {"grid/FRA", "embodied/server", "lifetime/server"} <= set(keys)
    assert named(inventory.factors()[0]).endswith("(2026)")
    undated = factor("x", 1.0, "kg")
    assert named(undated) == "x (2026)"


def test_runs_are_told_by_how_their_energy_was_obtained() -> None:
    runs = [run(), unmeasured(), run()]
    assert {method: len(own) for method, own in assess(runs, book()).methods().items()} == {
        "measured": 2,
        "not measured": 1,
    }


def test_the_period_is_that_of_the_runs() -> None:
    runs = [run(began="2026-03-02T10:00:00Z"), run(began="2026-01-31T23:59:59Z")]
    assert assess(runs, book()).period == ("2026-01-31", "2026-03-02")


def test_a_line_leads_to_its_run_and_factors() -> None:
    inventory = assess([run()], book())
    said = inventory.select("location")[0].to_json()
    assert said["run"] == inventory.runs[0].id
    assert said["factors"] == ["pue/on-premises (2026)", "grid/FRA (2026)"]
    json.dumps([line.to_json() for line in inventory.lines], allow_nan=False)
