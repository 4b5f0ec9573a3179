"""Block B3, energy and greenhouse gas emissions, of the voluntary standard for small and medium undertakings.

Commission Recommendation (EU) 2025/1710 of 30 July 2025, Annex I, paragraphs 29 to 31, and 50 to 53 for scope
3; Annex II for scope 2 by contract. Names of datapoints are those of EFRAG's digital template.
"""

from __future__ import annotations

from aerogel.carbon.disclosure import (
    CATEGORY_1,
    CATEGORY_2,
    COMPUTING_ALONE,
    OUTSIDE,
    SHARE_OF_MAKING,
    SUPPLIER,
    Block,
    Row,
    Turnover,
    megawatt_hours,
    per_turnover,
    stated,
    tonnes,
)
from aerogel.carbon.inventory import Inventory

STANDARD = "VSME, Commission Recommendation (EU) 2025/1710, Basic Module, B3"

_ELECTRICITY = "EnergyConsumptionFromElectricity_{}Member"


def b3(inventory: Inventory, turnover: Turnover | None = None) -> Block:
    """The block; the intensity needs the company's turnover."""
    return Block(
        "VSME B3: energy and greenhouse gas emissions",
        STANDARD,
        (*_energy(inventory), *_emissions(inventory), *_scope_3(inventory), _intensity(inventory, turnover)),
        (COMPUTING_ALONE, SHARE_OF_MAKING),
    )


def _energy(inventory: Inventory) -> tuple[Row, ...]:
    used = megawatt_hours(inventory)
    both, renewable, other = (
        _ELECTRICITY.format(name)
        for name in ("TotalRenewableAndNonRenewableEnergy", "RenewableEnergy", "NonRenewableEnergy")
    )
    return (
        stated("29", "Total energy consumption", used, "", "TotalEnergyConsumption"),
        stated("29", "of it electricity", used, "", both),
        Row("29", "of it electricity, renewable", None, SUPPLIER, renewable),
        Row("29", "of it electricity, not renewable", None, SUPPLIER, other),
        Row("29", "of it fuels", None, OUTSIDE, "EnergyConsumptionFromFuels"),
    )


def _emissions(inventory: Inventory) -> tuple[Row, ...]:
    location = tonnes(inventory, ("location", "2"))
    market = tonnes(inventory, ("market", "2"))
    by_location = "GrossLocationBasedScope2GreenhouseGasEmissions"
    by_market = "GrossMarketBasedScope2GreenhouseGasEmissions"
    both = "TotalGrossLocationBasedScope1AndScope2GHGEmissions"
    return (
        Row("30 (a)", "Scope 1, gross", None, OUTSIDE, "GrossScope1GreenhouseGasEmissions"),
        stated("30 (b)", "Scope 2, gross, location-based", location, "", by_location),
        stated("Annex II", "Scope 2, gross, market-based", market, "", by_market),
        stated("30", "Scopes 1 and 2, location-based", location, "without scope 1", both),
    )


def _scope_3(inventory: Inventory) -> tuple[Row, ...]:
    bought, making = tonnes(inventory, *CATEGORY_1), tonnes(inventory, *CATEGORY_2)
    both = tonnes(inventory, *CATEGORY_1, *CATEGORY_2)
    total = "GrossScope3GreenhouseGasEmissions"
    return (
        stated("50-53", "Scope 3.1, purchased services: computing that was bought", bought, "voluntary"),
        stated("50-53", "Scope 3.2, capital goods: share of making own hardware", making, "voluntary"),
        stated("50-53", "Scope 3, of computing", both, "voluntary", total),
    )


def _intensity(inventory: Inventory, turnover: Turnover | None) -> Row:
    emitted = tonnes(inventory, ("location", "2"))
    amount = per_turnover(emitted, turnover)
    name = "Scope1AndScope2GreenhouseGasEmissionsIntensityValueLocationBased"
    note = "give the turnover (--turnover)" if turnover is None else "scope 2 of computing over turnover"
    return Row("31", "Greenhouse gas intensity", amount, note, name)
