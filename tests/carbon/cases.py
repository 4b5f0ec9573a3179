"""Runs and factors with round numbers, so that every figure can be worked out in one's head."""

from __future__ import annotations

from typing import Any

from aerogel.carbon.factor import Book, Factor
from aerogel.carbon.run import Run


def factor(key: str, value: float, unit: str, low: float | None = None, high: float | None = None) -> Factor:
    return Factor(
        key,
        value,
        value if low is None else low,
        value if high is None else high,
        unit,
        2026,
        "a test",
        "assumed",
    )


FACTORS = (
    factor("pue/on-premises", 1.5, "kWh/kWh", 1.0, 2.0),
    factor("pue/aws", 1.2, "kWh/kWh"),
    factor("pue/unknown", 2.0, "kWh/kWh", 1.0, 3.0),
    factor("grid/FRA", 50.0, "gCO2e/kWh", 40.0, 60.0),
    factor("grid/POL", 600.0, "gCO2e/kWh"),
    factor("grid/aws/eu-west-1", 300.0, "gCO2e/kWh"),
    factor("grid/WORLD", 480.0, "gCO2e/kWh", 20.0, 1000.0),
    factor("market/POL", 700.0, "gCO2e/kWh"),
    factor("water/site", 1.0, "L/kWh", 0.0, 2.0),
    factor("embodied/server", 1000.0, "kgCO2e"),
    factor("lifetime/server", 4.0, "years"),
)


def book(*more: Factor) -> Book:
    return Book([*FACTORS, *more])


def run(**fields: Any) -> Run:
    """One kWh, exactly, in one hour, in an own server room in France, on half a server."""
    said: dict[str, Any] = {
        "kind": "inference",
        "label": "a run",
        "began": "2026-06-01T00:00:00Z",
        "seconds": 3600.0,
        "scope": "2",
        "place": "FRA",
        "joules": 3.6e6,
        "low": 3.6e6,
        "high": 3.6e6,
        "method": "measured",
        "source": "RAPL",
        "facility": "on-premises",
        "hardware": "server",
        "share": 0.5,
    }
    return Run(**(said | fields))


def bought(**fields: Any) -> Run:
    """The same, bought in Ireland."""
    return run(**({"scope": "3.1", "place": "aws/eu-west-1", "facility": None} | fields))


def unmeasured(**fields: Any) -> Run:
    """Of which nothing is known but that it was."""
    nothing = {"joules": None, "low": None, "high": None, "method": "not measured"}
    return run(**(nothing | fields))
