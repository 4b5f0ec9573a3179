"""The blocks of VSME B3 and ESRS E1: what stands where, and what an inventory of computing cannot say."""

from __future__ import annotations

import pytest
from tests.carbon.cases import book, bought, run, unmeasured

from aerogel.carbon.assess import assess
from aerogel.carbon.disclosure import Block, Row, Turnover
from aerogel.carbon.esrs import e1
from aerogel.carbon.vsme import b3
from aerogel.core.errors import InputError

BOTH = assess([run(), bought(), run(place="POL")], book())
MADE = 1000 / (4 * 8760) * 0.5 / 1000


def row(block: Block, name: str) -> Row:
    (found,) = [each for each in block.rows if name in (each.name, each.datapoint)]
    return found


def value(block: Block, name: str) -> float:
    amount = row(block, name).amount
    assert amount is not None and amount.value is not None
    return amount.value


class TestVsme:
    block = b3(BOTH, Turnover(2e6))

    def test_energy_is_that_of_own_hardware_in_megawatt_hours(self) -> None:
        assert value(self.block, "TotalEnergyConsumption") == pytest.approx(0.003)
        found = row(self.block, "TotalEnergyConsumption").amount
        assert found is not None and found.unit == "MWh"

    def test_scope_2_both_ways_in_tonnes(self) -> None:
        location = "GrossLocationBasedScope2GreenhouseGasEmissions"
        market = "GrossMarketBasedScope2GreenhouseGasEmissions"
        assert value(self.block, location) == pytest.approx((0.075 + 0.9) / 1000)
        assert value(self.block, market) == pytest.approx((0.075 + 1.05) / 1000)

    def test_scope_3_by_category(self) -> None:
        bought_ = value(self.block, "Scope 3.1, purchased services: computing that was bought")
        making = value(self.block, "Scope 3.2, capital goods: share of making own hardware")
        assert bought_ == pytest.approx(0.36 / 1000 + MADE)
        assert making == pytest.approx(2 * MADE)
        assert value(self.block, "GrossScope3GreenhouseGasEmissions") == pytest.approx(bought_ + making)

    def test_intensity_is_over_turnover(self) -> None:
        name = "Scope1AndScope2GreenhouseGasEmissionsIntensityValueLocationBased"
        assert value(self.block, name) == pytest.approx(0.975 / 1000 / 2)
        assert row(b3(BOTH), name).amount is None and "--turnover" in row(b3(BOTH), name).note

    def test_what_is_not_of_computing_is_empty_and_not_zero(self) -> None:
        for name in ("GrossScope1GreenhouseGasEmissions", "EnergyConsumptionFromFuels"):
            assert row(self.block, name).amount is None
            assert "not part of computing" in row(self.block, name).note

    def test_the_mix_of_sources_is_not_guessed(self) -> None:
        for member in ("RenewableEnergyMember", "NonRenewableEnergyMember"):
            assert row(self.block, f"EnergyConsumptionFromElectricity_{member}").amount is None


class TestEsrs:
    block = e1(BOTH, Turnover(1e6, "USD"))

    def test_both_totals_have_all_scopes_but_the_first(self) -> None:
        scope_3 = 0.36 / 1000 + 3 * MADE
        assert value(self.block, "Total, location-based") == pytest.approx(0.975 / 1000 + scope_3)
        assert value(self.block, "Total, market-based") == pytest.approx(1.125 / 1000 + scope_3)
        assert "without scope 1" in row(self.block, "Total, location-based").note

    def test_intensities_are_in_the_currency_of_the_revenue(self) -> None:
        found = row(self.block, "Intensity, market-based").amount
        assert found is not None and found.unit == "tCO2e per million USD"

    def test_the_revised_numbers_are_named(self) -> None:
        assert "E1-7 and E1-8" in self.block.standard and "2023/2772" in self.block.standard


@pytest.mark.parametrize("make", [b3, e1])
def test_a_figure_that_lacks_runs_says_so(make: object) -> None:
    block: Block = make(assess([run(), unmeasured()], book()))  # type: ignore[operator]
    found = row(block, "GrossLocationBasedScope2GreenhouseGasEmissions")
    assert found.amount is not None and found.amount.value == pytest.approx(0.075 / 1000)
    assert found.note == "without 1 of 2, not known"


@pytest.mark.parametrize("make", [b3, e1])
def test_of_nothing_known_there_is_no_figure(make: object) -> None:
    block: Block = make(assess([unmeasured()], book()))  # type: ignore[operator]
    found = row(block, "GrossLocationBasedScope2GreenhouseGasEmissions")
    assert found.amount is None and found.note == "not known"


@pytest.mark.parametrize("make", [b3, e1])
def test_bounds_alone_are_stated_with_what_to_do(make: object) -> None:
    block: Block = make(assess([unmeasured(low=3.6e6, high=7.2e6)], book()))  # type: ignore[operator]
    found = row(block, "GrossLocationBasedScope2GreenhouseGasEmissions")
    assert found.amount is not None and found.amount.value is None and found.amount.bounded
    assert "state the upper one" in found.note


@pytest.mark.parametrize("make", [b3, e1])
def test_none_recorded_is_no_zero(make: object) -> None:
    block: Block = make(assess([run()], book()))  # type: ignore[operator]
    (found,) = [each for each in block.rows if "computing that was bought" in each.name]
    assert found.amount is None and "none recorded" in found.note


@pytest.mark.parametrize("make", [b3, e1])
def test_the_two_ways_to_count_hardware_are_told_apart(make: object) -> None:
    block: Block = make(BOTH)  # type: ignore[operator]
    assert any("counts hardware in full in the year" in remark for remark in block.remarks)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_turnover_is_above_0(value: float) -> None:
    with pytest.raises(InputError, match="above 0"):
        Turnover(value)
