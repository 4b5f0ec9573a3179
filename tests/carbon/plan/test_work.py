"""What work takes on hardware, against published training runs and by hand; and what a budget buys."""

from __future__ import annotations

import math

import pytest

from aerogel.carbon import Amount, Factor
from aerogel.carbon.book import load_book
from aerogel.carbon.plan.assumed import own_utilisation
from aerogel.carbon.plan.compute_optimal import compute_optimal
from aerogel.carbon.plan.hardware import hardware_table
from aerogel.carbon.plan.ranking import rank
from aerogel.carbon.plan.work import Bill, Budget, Machine, Site, bill, bill_of_budget
from aerogel.core.errors import InputError

TABLE = hardware_table()
H100 = Machine(TABLE.find("h100-sxm"), "bf16")


def own(key: str, value: float, unit: str) -> Factor:
    return Factor(key, value, value, value, unit, 2026, "test", "measured")


EXACT = load_book().with_own(
    [
        own("grid/FRA", 50.0, "gCO2e/kWh"),
        own("pue/on-premises", 1.2, "kWh/kWh"),
        own("price/kwh", 0.1, "EUR/kWh"),
        own("price/instance-hour", 2.0, "USD/h"),
        own("water/site", 0.5, "L/kWh"),
        own("embodied/h100", 200.0, "kgCO2e"),
        own("embodied/server-8gpu", 4000.0, "kgCO2e"),
        own("lifetime/server", 5.0, "year"),
    ]
)
SITE = Site(EXACT, "FRA", "on-premises")
SURE = Machine(TABLE.find("h100-sxm"), "bf16", own_utilisation(0.5), watts=1000.0)


def flop(value: float) -> Amount:
    return Amount.exact(value, "FLOP")


def value(amount: Amount | None) -> float:
    assert amount is not None and amount.value is not None
    return amount.value


def test_by_hand() -> None:
    found = bill(flop(989.4e12 * 0.5 * 3600 * 100), SURE, SITE)  # 100 hours
    assert value(found.hours) == pytest.approx(100)
    assert value(found.computer) == pytest.approx(100) and value(found.energy) == pytest.approx(120)
    assert value(found.location) == pytest.approx(120 * 0.05)
    assert value(found.water) == pytest.approx(50)
    assert value(found.money) == pytest.approx(12) and found.money is not None and found.money.unit == "EUR"
    assert value(found.embodied) == pytest.approx((200 + 4000 / 8) * 100 / (5 * 365 * 24))
    for amount in (found.hours, found.energy, found.location, found.embodied):
        assert amount.low == pytest.approx(value(amount)) == pytest.approx(amount.high)


def test_bought_computing_is_paid_by_the_hour() -> None:
    found = bill(flop(989.4e12 * 0.5 * 3600 * 100), SURE, Site(EXACT, "FRA", "on-premises", "3.1"))
    assert value(found.money) == pytest.approx(200) and found.money is not None and found.money.unit == "USD"


def test_work_that_waits_for_memory_takes_longer() -> None:
    moved = 3350e9 * 0.5 * 3600 * 40
    found = bill(flop(1e12), SURE, SITE, moved)
    assert value(found.hours) == pytest.approx(40)
    computing = bill(flop(989.4e12 * 0.5 * 3600 * 100), SURE, SITE, moved)
    assert value(computing.hours) == pytest.approx(100)
    with pytest.raises(InputError, match="bandwidth of AMD Instinct MI250 is not known"):
        Machine(TABLE.find("mi250"), "bf16").hours(flop(1.0), 1.0)


@pytest.mark.parametrize(
    ("what", "hardware", "dtype", "operations", "published"),
    [
        # 30.84 million H100-hours for 3.8e25 operations: Llama 3.1 405B, its model card and arXiv:2407.21783.
        ("hours", "h100-sxm", "bf16", 3.8e25, 30.84e6),
        # 1,287 MWh for GPT-3: Patterson et al. 2021, arXiv:2104.10350; 6 x 175e9 parameters x 300e9 tokens.
        ("energy", "v100-sxm2", "fp16", 6 * 175e9 * 300e9, 1_287_000.0),
        # BLOOM, Luccioni et al. 2022, arXiv:2211.02001: GPU-hours; and kWh of the GPUs and of the rest, idle.
        ("hours", "a100-sxm", "bf16", 6 * 176e9 * 366e9, 1_082_990.0),
        ("computer", "a100-sxm", "bf16", 6 * 176e9 * 366e9, 433_196.0 + 256_646.0),
    ],
)
def test_published_training_runs_lie_within_the_bounds(
    what: str, hardware: str, dtype: str, operations: float, published: float
) -> None:
    found = bill(flop(operations), Machine(TABLE.find(hardware), dtype), Site(load_book(), "USA", "cloud"))
    amount = getattr(found, what)
    assert amount.low < published < amount.high
    assert value(amount) == pytest.approx(published, rel=0.5)


BUDGETS: list[tuple[Budget, float]] = [("hours", 1000.0), ("MWh", 100.0), ("tCO2e", 2.0), ("money", 5000.0)]


def spent(found: Bill, kind: Budget) -> Amount:
    match kind:
        case "hours":
            return found.hours
        case "MWh":
            return found.energy.scaled(1e-3)
        case "tCO2e":
            return found.location.scaled(1e-3)
        case "money":
            assert found.money is not None
            return found.money


@pytest.mark.parametrize("scope", ["2", "3.1"])
@pytest.mark.parametrize(("kind", "budget"), BUDGETS)
def test_a_budget_is_spent_exactly(kind: Budget, budget: float, scope) -> None:
    book = load_book().with_own([own("price/instance-hour", 2.0, "USD/h")])
    found = bill_of_budget(budget, kind, H100, Site(book, "DEU", "aws", scope))
    amount = spent(found, kind)
    assert amount.low == pytest.approx(budget) == pytest.approx(amount.high)
    assert found.flop.low < value(found.flop) < found.flop.high


@pytest.mark.parametrize(("kind", "budget"), BUDGETS)
def test_a_budget_buys_what_costs_it(kind: Budget, budget: float) -> None:
    there = bill_of_budget(budget, kind, H100, SITE)
    back = bill(flop(value(there.flop)), H100, SITE)
    assert value(spent(back, kind)) == pytest.approx(budget)
    bounds = spent(back, kind)
    assert bounds.low <= budget <= bounds.high


def test_a_budget_and_the_plan_it_leads_to() -> None:
    found = bill_of_budget(100.0, "MWh", H100, Site(load_book(), "FRA", "aws"))
    plan = compute_optimal(found.flop)
    assert plan.parameters.low < 30e9 < plan.parameters.high


def test_the_world_stands_for_no_place_in_particular() -> None:
    world = bill(flop(1e21), H100, Site(load_book(), None))
    france = bill(flop(1e21), H100, Site(load_book(), "FRA"))
    assert world.location.low < france.location.low and world.location.high > france.location.high
    assert any("world" in note for note in world.notes)


def test_unknown_places_and_prices_are_errors() -> None:
    with pytest.raises(InputError, match="grid/XYZ"):
        bill(flop(1e21), H100, Site(load_book(), "XYZ"))
    with pytest.raises(InputError, match="no price is known here"):
        bill_of_budget(100.0, "money", H100, Site(load_book(), "FRA", scope="3.1"))
    with pytest.raises(InputError, match="give a number above 0"):
        bill_of_budget(0.0, "hours", H100, SITE)


def test_what_is_not_known_is_no_zero() -> None:
    found = bill(flop(1e21), Machine(TABLE.find("mi300x"), "bf16"), Site(load_book(), "FRA", scope="3.1"))
    assert found.money is None
    assert found.embodied.value is None and found.embodied.high == math.inf


def test_every_factor_stands_once_with_its_source() -> None:
    found = bill(flop(1e21), H100, SITE)
    keys = [factor.key for factor in found.factors]
    assert len(keys) == len(set(keys)) and all(factor.source for factor in found.factors)
    wanted = {
        "plan/utilisation",
        "plan/server-power",
        "pue/on-premises",
        "grid/FRA",
        "water/site",
        "price/kwh",
    }
    assert wanted <= set(keys)
    said = found.to_json()
    assert said["hardware"]["key"] == "h100-sxm" and said["energy"]["unit"] == "kWh"


def test_hardware_in_order_of_energy() -> None:
    machines = [Machine(h, "int8", server=False) for h in TABLE]
    found = rank(flop(1e18), machines)
    energies = [value(effort.energy) for effort in found.efforts]
    assert energies == sorted(energies)
    keys = [effort.machine.hardware.key for effort in found.efforts]
    assert keys.index("l4") < keys.index("a100-sxm")
    assert {name for name, _ in found.left_out} >= {"NVIDIA V100 SXM2", "NVIDIA T4"}
    assert found.rivals() and found.efforts[0] not in found.rivals()


def test_only_disjoint_bounds_make_an_order_certain() -> None:
    sure = own_utilisation(0.4)
    few = [Machine(TABLE.find(k), "bf16", sure, server=False, watts=w) for k, w in (("l4", 72), ("a10", 150))]
    found = rank(flop(1e18), few)
    assert [e.machine.hardware.key for e in found.efforts] == ["l4", "a10"] and found.rivals() == ()


def test_nothing_to_rank() -> None:
    with pytest.raises(InputError, match="nothing can be ranked"):
        rank(flop(1e18), [Machine(TABLE.find("t4"), "fp8", server=False)])
    with pytest.raises(InputError, match="no hardware"):
        rank(flop(1e18), [])
