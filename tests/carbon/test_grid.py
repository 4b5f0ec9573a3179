from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest

from aerogel.carbon.book import load_book
from aerogel.carbon.factor import Factor
from aerogel.carbon.grid import country_factors, for_year, region_factors
from aerogel.carbon.places import countries, regions

_BUNDLE = Path(__file__).parents[3] / "shared" / "data" / "carbon" / "global_energy_mix.json"
_BUNDLE_SHA256 = "8f1053800210aa07cc6019cc422b0d34f47dd092f6351dd873445c2b8199a107"


def test_the_snapshot_is_what_the_bundle_of_our_world_in_data_says() -> None:
    if not _BUNDLE.exists():
        pytest.skip("the bundle that the snapshot was made from is not here")
    assert hashlib.sha256(_BUNDLE.read_bytes()).hexdigest() == _BUNDLE_SHA256
    bundle = json.loads(_BUNDLE.read_text(encoding="utf-8"))
    table = Path(__file__).parents[2] / "src" / "aerogel" / "carbon" / "data" / "grid.csv"
    lines = [line for line in table.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = [row for row in csv.DictReader(lines) if row["snapshot"] == "owid-2024"]
    assert len(rows) > 200
    for row in rows:
        said = bundle[row["place"]]
        assert int(row["year"]) == said["year"]
        assert float(row["g_per_kwh"]) == pytest.approx(said["carbon_intensity"], abs=0.051)


def test_every_country_has_a_name_and_sane_bounds() -> None:
    for factor in country_factors():
        place = factor.key.removeprefix("grid/")
        assert place == "WORLD" or place in countries()
        assert factor.value is not None and 15 < factor.value < 1400
        assert "CC BY 4.0" in factor.source


@pytest.mark.parametrize(
    ("place", "year", "published"),
    [
        # Figures of several sources, which the bounds must hold: see the facts that are cited in the module.
        ("FRA", 2023, (56.0,)),
        ("FRA", 2024, (44.0, 40.5)),
        ("DEU", 2024, (344.0, 381.0)),
        ("USA", 2024, (369.0, 384.0)),
        ("POL", 2024, (615.0, 662.0)),
    ],
)
def test_bounds_hold_what_other_sources_say(place: str, year: int, published: tuple[float, ...]) -> None:
    factor = load_book().find(f"grid/{place}", year=year)
    assert factor.year == year
    assert all(factor.low <= value <= factor.high for value in published)


def test_a_factor_of_another_year_has_wider_bounds_and_says_so() -> None:
    factor = load_book().find("grid/FRA", year=2026)
    assert factor.year == 2024
    wider = for_year(factor, 2026)
    assert wider.low == pytest.approx(factor.low / 1.44) and wider.high == pytest.approx(factor.high * 1.44)
    assert "2026" in wider.note and wider.value == factor.value
    assert for_year(factor, 2024) == factor


def test_from_one_year_to_the_next_the_bounds_hold_what_came() -> None:
    book = load_book()
    later = [f for f in country_factors() if f.year == 2024 and f.key not in {"grid/WORLD", "grid/USA"}]
    assert len(later) == 28
    for factor in later:
        before = for_year(book.find(factor.key, year=2023), 2024)
        assert factor.value is not None and before.low <= factor.value <= before.high, factor.key


def test_the_world_ranges_over_all_countries() -> None:
    world = load_book().find("grid/WORLD", year=2025)
    assert world.value == 458.3
    assert all(world.low <= f.low and f.high <= world.high for f in country_factors())


def test_every_region_has_an_intensity_within_reason() -> None:
    book = load_book()
    for name in regions():
        factor = book.find(f"grid/{name}")
        assert factor.low < factor.high, name


def test_a_region_of_a_country_with_several_grids_is_not_given_its_average_as_certain() -> None:
    oregon = load_book().find("grid/aws/us-west-2")
    assert oregon.grade == "derived" and oregon.low < 98 and oregon.high > 580


def test_a_region_on_the_same_grid_takes_what_is_published_there() -> None:
    book = load_book()
    virginia, google = book.find("grid/aws/us-east-1"), book.find("grid/google/us-east4")
    assert (virginia.value, virginia.grade, google.grade) == (google.value, "derived", "published")


def test_the_users_factor_of_a_country_holds_for_its_regions() -> None:
    own = Factor("grid/IRL", 100.0, 90.0, 110.0, "gCO2e/kWh", 2026, "a study", "published", own=True)
    found = {f.key: f for f in region_factors([own])}
    assert found["grid/aws/eu-west-1"].value == 100.0
