"""What runs used and emitted: a line for each run and quantity, with its factors; and totals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from aerogel.carbon.amount import Amount
from aerogel.carbon.factor import Factor
from aerogel.carbon.run import Run
from aerogel.core.errors import InputError

Quantity = Literal["computer", "energy", "location", "market", "embodied", "water", "money"]
"""computer: electricity of the computers; energy: with what the building adds (PUE); location and market:
what generating it emitted, by the grid and by contract; embodied: the share of making the hardware; water:
evaporated on site; money: what it cost."""

TRIFLE = 0.01
"""Where all that has bounds alone comes to this share of a sum at most, it is counted at its upper bound: a
minute without a meter does not leave the figure of a year unknown. Beyond it the sum has bounds alone."""

LineScope = Literal["2", "3.1", "3.2"]
SCOPES: tuple[LineScope, ...] = get_args(LineScope)

SCOPE_TITLES: dict[LineScope, str] = {
    "2": "Scope 2: electricity of own hardware",
    "3.1": "Scope 3.1: computing that was bought",
    "3.2": "Scope 3.2: own hardware, a share of its making",
}

UNITS: dict[Quantity, str] = {
    "computer": "kWh",
    "energy": "kWh",
    "location": "kgCO2e",
    "market": "kgCO2e",
    "embodied": "kgCO2e",
    "water": "L",
}
"""Of every quantity but money, which is in the currency that was paid or is charged."""

TITLES: dict[Quantity, str] = {
    "computer": "Electricity of the computers",
    "energy": "Electricity with cooling and the like",
    "location": "Emissions of electricity, location-based",
    "market": "Emissions of electricity, market-based",
    "embodied": "Emissions of making the hardware, its share",
    "water": "Water evaporated on site",
    "money": "Money",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity of one run: ``amount``, by ``formula`` from the run and ``factors``.

    note: what was assumed, or why the amount is not known; "" where there is nothing to say.
    """

    run: Run
    quantity: Quantity
    scope: LineScope
    amount: Amount
    factors: tuple[Factor, ...]
    formula: str
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The line, with its run by id and its factors by key and year."""
        return {
            "run": self.run.id,
            "label": self.run.label,
            "quantity": self.quantity,
            "scope": self.scope,
            **self.amount.to_json(),
            "formula": self.formula,
            "factors": [named(factor) for factor in self.factors],
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of ``lines`` lines. ``unknown`` of them have no upper bound: the sum is then at least its lower
    one, and ``known`` is the sum of the others. ``vague`` of these have bounds alone: see ``TRIFLE``."""

    amount: Amount
    known: Amount
    lines: int
    unknown: int
    vague: int = 0

    @classmethod
    def of(cls, amounts: Iterable[Amount], unit: str) -> Total:
        every = list(amounts)
        bounded = [amount for amount in every if amount.bounded]
        unknown = len(every) - len(bounded)
        known = _sum(bounded, unit)
        vague = sum(amount.value is None for amount in bounded)
        return cls(_sum(every, unit) if unknown else known, known, len(every), unknown, vague)

    def scaled(self, by: float, unit: str) -> Total:
        """``by`` times as much, in ``unit``."""
        amount, known = self.amount.scaled(by, unit), self.known.scaled(by, unit)
        return Total(amount, known, self.lines, self.unknown, self.vague)

    @property
    def figure(self) -> Amount | None:
        """What can be stated: the sum, without what is not known (see ``gap``); None where nothing is."""
        return None if self.lines and self.unknown == self.lines else self.known

    @property
    def gap(self) -> str:
        """What the figure lacks, in words; "" where it lacks nothing."""
        if not self.lines:
            return "none recorded"
        return f"without {self.unknown} of {self.lines}, not known" if self.unknown else ""

    def __str__(self) -> str:
        if not self.lines:
            return "none"
        return "not known" if self.figure is None else f"{self.figure}{self.gap and ', '}{self.gap}"

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        return {
            "amount": self.amount.to_json(),
            "known": self.known.to_json(),
            "lines": self.lines,
            "unknown": self.unknown,
            "bounds_alone": self.vague,
        }


@dataclass(frozen=True, slots=True)
class Inventory:
    """``lines`` of ``runs``, assessed by ``method``; a projected saving is never among them."""

    runs: tuple[Run, ...]
    lines: tuple[Line, ...]
    method: str

    def select(
        self, quantity: Quantity, scope: LineScope | None = None, runs: Iterable[Run] | None = None
    ) -> list[Line]:
        """The lines of a quantity; of one scope, and of ``runs`` alone, where these are given."""
        ids = None if runs is None else {run.id for run in runs}
        return [
            line
            for line in self.lines
            if line.quantity == quantity
            and (scope is None or line.scope == scope)
            and (ids is None or line.run.id in ids)
        ]

    def total(
        self, quantity: Quantity, scope: LineScope | None = None, runs: Iterable[Run] | None = None
    ) -> Total:
        """The sum of a quantity other than money, for which see ``money``."""
        found = self.select(quantity, scope, runs)
        return Total.of((line.amount for line in found), UNITS[quantity])

    def methods(self) -> dict[str, tuple[Run, ...]]:
        """Runs by how their energy was obtained: "measured", "calibrated", ..."""
        found: dict[str, tuple[Run, ...]] = {}
        for run in self.runs:
            found[run.method] = (*found.get(run.method, ()), run)
        return dict(sorted(found.items()))

    def money(self, scope: LineScope | None = None) -> dict[str, Total]:
        """Sums by currency; currencies are never added to each other."""
        found = self.select("money", scope)
        units = sorted({line.amount.unit for line in found})
        return {
            unit: Total.of((line.amount for line in found if line.amount.unit == unit), unit)
            for unit in units
        }

    def factors(self) -> tuple[Factor, ...]:
        """Every factor that a line was made of, once, by key and year."""
        every = {(f.key, f.year, f.source): f for line in self.lines for f in line.factors}
        return tuple(every[key] for key in sorted(every, key=lambda key: (key[0], key[1] or 0, key[2])))

    def notes(self) -> dict[str, int]:
        """What was assumed or is missing, and of how many lines, the most frequent first."""
        counted: dict[str, int] = {}
        for line in self.lines:
            if line.note:
                counted[line.note] = counted.get(line.note, 0) + 1
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

    @property
    def period(self) -> tuple[str, str] | None:
        """The days, in UTC, on which the first and the last run began; None without runs."""
        days = sorted(run.began[:10] for run in self.runs)
        return (days[0], days[-1]) if days else None


def _sum(amounts: list[Amount], unit: str) -> Amount:
    """``Amount.total`` of many, rounded once, so that it is the same in any order."""
    strange = next((amount for amount in amounts if amount.unit != unit), None)
    if strange is not None:
        raise InputError(f"{strange} cannot be added to amounts in {unit}")
    low, high = (math.fsum(ends) for ends in ([a.low for a in amounts], [a.high for a in amounts]))
    values = [amount.value for amount in amounts if amount.value is not None]
    vague = math.fsum(amount.high for amount in amounts if amount.value is None)
    trifling = len(values) == len(amounts) or vague <= TRIFLE * math.fsum(values)
    value = math.fsum([*values, vague]) if trifling else None
    return Amount(
        value, low if value is None else min(low, value), high if value is None else max(high, value), unit
    )


def named(factor: Factor) -> str:
    """A factor as a reader finds it on the assumption sheet: "grid/FRA (2024)"."""
    return factor.key if factor.year is None else f"{factor.key} ({factor.year})"
