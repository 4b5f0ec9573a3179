"""How much a kWh of the grid emits: by country and year, by cloud region, and for the world at large.

Sources for one country and year differ by up to 27 % (France 44 to 56 g, Germany 344 to 381 g, Poland 615 to
662 g for the same or the next year), so every figure of a country has bounds that far away on either side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache

from aerogel.carbon.factor import Factor
from aerogel.carbon.places import WORLD, Region, read_table, regions

SOURCES_DIFFER = 1.27
"""The ratio between the highest and the lowest of several sources for one country."""

YEARS_DIFFER = 1.2
"""For each year between a factor and its use. From 2023 to 2024 the intensities of 28 European countries
changed by a median of 1.12, and of three by more than 1.27 (Portugal: 1.50); all lie within 1.2 x 1.27."""

LIFE_CYCLE_G = 48.0
"""What building plants and providing their fuel may add to intensities of operation alone: at most all of
solar power's, the highest of sources without smoke (World Nuclear Association, Comparison of Lifecycle
Emissions)."""

UNIT = "gCO2e/kWh"

_OWID = (
    "Our World in Data, from Ember and the Energy Institute, CC BY 4.0 "
    "(ourworldindata.org/grapher/carbon-intensity-electricity, retrieved {year})"
)
_GOOGLE = "Google Cloud, Carbon free energy for Google Cloud regions (cloud.google.com/sustainability)"
_COUNTRY_NOTE = "of generation, over the life cycle; bounds: sources differ by up to 27 %"


@cache
def country_factors() -> tuple[Factor, ...]:
    """Under "grid/FRA", of every country and year there is; under "grid/WORLD" the world's."""
    rows = read_table("grid.csv")
    each = [_country(r) for r in rows if r["place"] != WORLD]
    low, high = min(f.low for f in each), max(f.high for f in each)
    world = [_country(r) for r in rows if r["place"] == WORLD]
    note = "the world's average, between the lowest and the highest of all countries"
    return (*each, *(replace(f, low=low, high=high, note=note) for f in world))


def _country(row: Mapping[str, str]) -> Factor:
    value = float(row["g_per_kwh"])
    source = _OWID.format(year=row["snapshot"].removeprefix("owid-"))
    return Factor(
        key=f"grid/{row['place']}",
        value=value,
        low=value / SOURCES_DIFFER,
        high=value * SOURCES_DIFFER,
        unit=UNIT,
        year=int(row["year"]),
        source=source,
        grade="published",
        note=_COUNTRY_NOTE,
    )


def region_factors(held: Iterable[Factor]) -> list[Factor]:
    """Under "grid/aws/eu-west-1" and "market/aws/eu-west-1", of every region that ``held`` has none of: by
    its own published intensity, by that of a region on the same grid, or by its country's in ``held``."""
    known: dict[str, list[Factor]] = defaultdict(list)
    for factor in held:
        known[factor.key].append(factor)
    made: list[Factor] = []
    for region in regions().values():
        if f"grid/{region.name}" not in known:
            made += _measured_there(region) or [
                _of_country(region, f) for f in known[f"grid/{region.country}"]
            ]
        if f"market/{region.name}" not in known:
            made += [
                replace(f, key=f"market/{region.name}", note=_joined(f.note, f"as {f.key}"))
                for f in known[f"market/{region.country}"]
            ]
    return made


@cache
def _published() -> Mapping[str, tuple[Factor, ...]]:
    """By region, what Google publishes of its own."""
    found: dict[str, list[Factor]] = defaultdict(list)
    for row in read_table("regions_grid.csv"):
        value = float(row["g_per_kwh"])
        found[row["region"]].append(
            Factor(
                key=f"grid/{row['region']}",
                value=value,
                low=value / SOURCES_DIFFER,
                high=value * SOURCES_DIFFER + LIFE_CYCLE_G,
                unit=UNIT,
                year=int(row["year"]),
                source=_GOOGLE,
                grade="published",
                note="operation alone, averaged by the hour; the upper bound adds 48 g for the life cycle",
            )
        )
    return {region: tuple(factors) for region, factors in found.items()}


def _measured_there(region: Region) -> list[Factor]:
    own = _published().get(region.name)
    if own is not None:
        return list(own)
    like = _published().get(region.like or "", ())
    note = f"that of {region.like}, on the same grid ({region.where})"
    return [replace(f, key=f"grid/{region.name}", grade="derived", note=_joined(note, f.note)) for f in like]


def _of_country(region: Region, country: Factor) -> Factor:
    """The country's average; where grids within it are known to differ, with bounds that hold them all."""
    within = [
        f for r in regions().values() if r.country == region.country for f in _published().get(r.name, ())
    ]
    low = min([country.low, *(f.low for f in within)])
    high = max([country.high, *(f.high for f in within)])
    note = f"that of {country.key}: none is published for {region.where or region.name}"
    wider = low < country.low or high > country.high
    apart = "; the bounds hold all regions of the country that are published" if wider else ""
    return replace(
        country, key=f"grid/{region.name}", low=low, high=high, grade="derived", note=f"{note}{apart}"
    )


def for_year(factor: Factor, year: int) -> Factor:
    """``factor`` for a use in ``year``: where it is of another year, with bounds that are wider for each year
    between, as ``YEARS_DIFFER`` says. The user's own factors stay as they are."""
    if factor.year is None or factor.year == year or factor.own:
        return factor
    years = abs(year - factor.year)
    apart = YEARS_DIFFER**years
    note = f"of {factor.year}, used for {year}: bounds wider by {apart:.2f}"
    return replace(factor, low=factor.low / apart, high=factor.high * apart, note=_joined(factor.note, note))


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
