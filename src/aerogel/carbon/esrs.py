"""Energy and emissions as ESRS E1 asks for them: E1-5, energy consumption and mix; E1-6, gross emissions.

Delegated Regulation (EU) 2023/2772. In the revised standards that the Commission adopted in July 2026, for
financial years from 2027 on, the two are called E1-7 and E1-8. Scope 3 is by category: computing that was
bought belongs to category 1, making own hardware to category 2.
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
from aerogel.carbon.inventory import Inventory, Total

STANDARD = "ESRS E1, Delegated Regulation (EU) 2023/2772 (revised standards of July 2026: E1-7 and E1-8)"

_BOTH_TOTALS = (
    "Both totals have scope 3.1 location-based: which certificates a provider holds is for it to state."
)


def e1(inventory: Inventory, turnover: Turnover | None = None) -> Block:
    """Both blocks; the intensities need the company's net revenue."""
    return Block(
        "ESRS E1-5 and E1-6: energy and gross emissions",
        STANDARD,
        (*_energy(inventory), *_emissions(inventory), *_totals(inventory, turnover)),
        (COMPUTING_ALONE, SHARE_OF_MAKING, _BOTH_TOTALS),
    )


def _energy(inventory: Inventory) -> tuple[Row, ...]:
    used = megawatt_hours(inventory)
    return (
        stated("E1-5, 37", "Total energy consumption of own operations", used, "electricity"),
        Row("E1-5, 37 (a)", "of it from fossil sources", None, SUPPLIER),
        Row("E1-5, 37 (b)", "of it from nuclear sources", None, SUPPLIER),
        Row("E1-5, 37 (c)", "of it from renewable sources", None, SUPPLIER),
    )


def _emissions(inventory: Inventory) -> tuple[Row, ...]:
    location, market = tonnes(inventory, ("location", "2")), tonnes(inventory, ("market", "2"))
    bought, making = tonnes(inventory, *CATEGORY_1), tonnes(inventory, *CATEGORY_2)
    by_location = "GrossLocationBasedScope2GreenhouseGasEmissions"
    by_market = "GrossMarketBasedScope2GreenhouseGasEmissions"
    return (
        Row("E1-6, 48", "Scope 1, gross", None, OUTSIDE, "GrossScope1GreenhouseGasEmissions"),
        stated("E1-6, 49 (a)", "Scope 2, gross, location-based", location, "", by_location),
        stated("E1-6, 49 (b)", "Scope 2, gross, market-based", market, "", by_market),
        stated("E1-6, 51", "Scope 3, category 1: purchased services, computing that was bought", bought),
        stated("E1-6, 51", "Scope 3, category 2: capital goods, share of making own hardware", making),
    )


def _totals(inventory: Inventory, turnover: Turnover | None) -> tuple[Row, ...]:
    location = tonnes(inventory, ("location", "2"), *CATEGORY_1, *CATEGORY_2)
    market = tonnes(inventory, ("market", "2"), *CATEGORY_1, *CATEGORY_2)
    return (
        stated("E1-6, 52 (a)", "Total, location-based", location, "without scope 1"),
        stated("E1-6, 52 (b)", "Total, market-based", market, "without scope 1"),
        _intensity("location-based", location, turnover),
        _intensity("market-based", market, turnover),
    )


def _intensity(how: str, total: Total, turnover: Turnover | None) -> Row:
    note = "give the net revenue (--turnover)" if turnover is None else "computing over net revenue"
    return Row("E1-6, 53", f"Intensity, {how}", per_turnover(total, turnover), note)
