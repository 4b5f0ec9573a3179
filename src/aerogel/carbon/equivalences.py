"""What an amount of CO2e is as much as: few comparisons, each published, none of them moving.

Only what was measured or certified stands here. That training one model takes as much as five cars or a
hundred flights is a misreading of an estimate of 2019 for a search over architectures, and is not repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aerogel.carbon.amount import Amount
from aerogel.core.errors import InputError, require


@dataclass(frozen=True, slots=True)
class Equivalence:
    """``kg`` of CO2e that one of ``what`` emits, as published in ``year`` by ``source``."""

    what: str
    kg: float
    year: int
    source: str


EQUIVALENCES: tuple[Equivalence, ...] = (
    Equivalence(
        "km in an average new car of the EU",
        0.1081,
        2022,
        "European Environment Agency: cars registered in 2022, 108.1 g CO2/km (WLTP, at the exhaust)",
    ),
    Equivalence(
        "trainings of BLOOM, 176 billion parameters, electricity alone",
        24_700.0,
        2022,
        "Luccioni, Viguier, Ligozat, JMLR 24 (253), 2023: 24.7 t by dynamic power (50.5 t in all)",
    ),
    Equivalence(
        "trainings of GPT-3, electricity alone",
        552_000.0,
        2020,
        "Patterson et al., arXiv:2104.10350: 1,287 MWh, 552 t",
    ),
)
"""Smallest first."""

_LEAST, _MOST = 0.001, 1e6


def equivalent(carbon: Amount) -> tuple[tuple[Equivalence, Amount], ...]:
    """What ``carbon`` (kgCO2e) is as much as: those comparisons that come to between a thousandth and a
    million; none where it has no upper bound."""
    require(carbon.unit == "kgCO2e", InputError, f"{carbon} is no amount of kgCO2e to compare with others")
    if not carbon.bounded:
        return ()
    found = ((each, carbon.scaled(1 / each.kg, each.what)) for each in EQUIVALENCES)
    return tuple((each, amount) for each, amount in found if _LEAST <= amount.high <= _MOST)


def to_json(carbon: Amount) -> list[dict[str, Any]]:
    """``equivalent`` as ``json.dumps`` takes it."""
    return [
        {**amount.to_json(), "kg_each": each.kg, "year": each.year, "source": each.source}
        for each, amount in equivalent(carbon)
    ]
