"""Places: countries by their codes, and the regions of clouds with the country each is in."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from aerogel.core.errors import InputError
from aerogel.core.suggest import alike

WORLD = "WORLD"
"""Stands for no place in particular: its factor is the world's average, with the range of countries."""

_PROVIDERS = {"gcp": "google", "microsoft": "azure", "amazon": "aws"}


@dataclass(frozen=True, slots=True)
class Region:
    """``name`` ("aws/eu-west-1") is in ``country`` ("IRL"), at ``where`` ("Ireland").

    like: a region with a published intensity on the same grid."""

    name: str
    country: str
    where: str
    like: str | None

    @property
    def provider(self) -> str:
        """The cloud: "aws", "google" or "azure", as ``Run.facility`` and the factors of PUE have it."""
        return self.name.partition("/")[0]


@cache
def regions() -> Mapping[str, Region]:
    """All that are known, by name."""
    rows = read_table("regions.csv")
    return {r["region"]: Region(r["region"], r["country"], r["where"], r["like"] or None) for r in rows}


@cache
def countries() -> Mapping[str, str]:
    """Names by code: {"FRA": "France", ...}."""
    return {r["code"]: r["name"] for r in read_table("countries.csv")}


def country_of(place: str) -> str:
    """The country's code: of "aws/eu-west-1" "IRL", of "FRA" itself. InputError where it is not known."""
    if place in countries() or place == WORLD:
        return place
    region = regions().get(place)
    if region is None:
        raise InputError(f"the place {place!r} is not known: {_hint(place)}")
    return region.country


def place_named(text: str) -> str:
    """The place that ``text`` names: a country by its code of three or two letters or its name, or a region
    as "aws/eu-west-1", "gcp/europe-west1". InputError, with what may be meant, where it names none."""
    said = text.strip()
    if said.upper() in countries():
        return said.upper()
    provider, _, region = said.lower().partition("/")
    named = f"{_PROVIDERS.get(provider, provider)}/{region.replace(' ', '')}"
    if named in regions():
        return named
    code = _spelled().get(said.casefold())
    if code is None:
        raise InputError(f"the place {text!r} is not known: {_hint(said)}")
    return code


def _hint(text: str) -> str:
    """``did you mean aws/eu-west-1 (Ireland)?``, or how a place is written where nothing reads alike."""
    spelled = _spelled()
    near = alike(text.casefold(), [*spelled, *regions()], most=2, least=0.7)
    places = dict.fromkeys(spelled.get(name, name) for name in near)
    described = " or ".join(f"{place} ({_described(place)})" for place in places)
    return f"did you mean {described}?" if places else "give a country as FRA"


def read_table(name: str) -> list[dict[str, str]]:
    """The rows of a table of this package; lines that begin with # are remarks."""
    text = files("aerogel.carbon").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def _described(place: str) -> str:
    return countries()[place] if place in countries() else regions()[place].where


@cache
def _spelled() -> Mapping[str, str]:
    """Codes by names and by short codes, in small letters."""
    rows = read_table("countries.csv")
    short = {r["short"].casefold(): r["code"] for r in rows if r["short"]}
    return short | {r["name"].casefold(): r["code"] for r in rows}
