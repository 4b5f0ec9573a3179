from __future__ import annotations

import pytest

from aerogel.carbon.places import country_of, place_named, regions
from aerogel.core.errors import InputError


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("FRA", "FRA"),
        ("fr", "FRA"),
        (" France ", "FRA"),
        ("aws/eu-west-1", "aws/eu-west-1"),
        ("gcp/europe-west1", "google/europe-west1"),
        ("Azure/West Europe", "azure/westeurope"),
    ],
)
def test_places_by_their_usual_names(text: str, place: str) -> None:
    assert place_named(text) == place


@pytest.mark.parametrize(("text", "meant"), [("Germny", "DEU"), ("aws/eu-west1", "aws/eu-west-1")])
def test_an_unknown_place_is_an_error_that_helps(text: str, meant: str) -> None:
    with pytest.raises(InputError, match=meant):
        place_named(text)


def test_nothing_is_guessed() -> None:
    for text in ("", "here", "aws", "aws/", "XYZ", "local"):
        with pytest.raises(InputError, match="not known"):
            place_named(text)


def test_every_region_is_in_a_known_country_and_like_a_known_region() -> None:
    for region in regions().values():
        assert country_of(region.name) == region.country == country_of(region.country)
        assert region.like is None or regions()[region.like].country == region.country
