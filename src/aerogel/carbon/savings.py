"""What sparse models save over the dense ones they came from, projected to a year's volume.

A projection, never part of an inventory: an inventory says what was emitted, and what was not emitted is not
in it. The baseline is measured by the identical method (ISO/IEC 21031): runs that differ in method, source,
coverage, place or unit are not compared. The net figure is less what pruning took.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aerogel.carbon.amount import Amount
from aerogel.carbon.factor import Factor
from aerogel.carbon.inventory import Inventory, Quantity
from aerogel.carbon.run import Run

Verdict = Literal["saves", "loses", "not proven"]

_QUANTITIES: tuple[Quantity, ...] = ("energy", "location")


@dataclass(frozen=True, slots=True)
class Projection:
    """Of one quantity ("energy" in kWh, "location" in kgCO2e, "money" in its currency): what a unit of work
    takes dense and sparse, what is saved in a year before and after ``cost``, what pruning took once.

    saved, net: None where no yearly volume was given. break_even: units after which the cost is repaid; None
    where that is not certain to happen.
    """

    quantity: Quantity
    dense: Amount
    sparse: Amount
    saved_each: Amount
    cost: Amount
    saved: Amount | None
    net: Amount | None
    break_even: Amount | None

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        said: dict[str, Any] = {"quantity": self.quantity}
        for name in ("dense", "sparse", "saved_each", "cost", "saved", "net", "break_even"):
            amount: Amount | None = getattr(self, name)
            said[name] = None if amount is None else amount.to_json()
        return said


@dataclass(frozen=True, slots=True)
class Saving:
    """Of one ``pair``. ``obstacle``: why it cannot be projected; then there are no projections.

    verdict: of energy per unit: "not proven" where its bounds hold 0. seconds: of a unit, dense and sparse.
    missing: what the figures lack.
    """

    pair: str
    unit: str
    yearly_units: float | None
    verdict: Verdict
    method: str
    source: str
    seconds: tuple[float, float] | None
    projections: tuple[Projection, ...]
    factors: tuple[Factor, ...]
    runs: tuple[str, ...]
    obstacle: str = ""
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        return {
            "pair": self.pair,
            "unit": self.unit,
            "yearly_units": self.yearly_units,
            "verdict": self.verdict,
            "method": self.method,
            "source": self.source,
            "seconds": None if self.seconds is None else list(self.seconds),
            "projections": [each.to_json() for each in self.projections],
            "factors": [factor.key for factor in self.factors],
            "runs": list(self.runs),
            "obstacle": self.obstacle,
            "missing": list(self.missing),
        }


@dataclass(frozen=True, slots=True)
class _Pair:
    name: str
    dense: tuple[Run, ...]
    sparse: tuple[Run, ...]
    cost: tuple[Run, ...]

    @property
    def every(self) -> tuple[Run, ...]:
        return (*self.dense, *self.sparse, *self.cost)


def savings(inventory: Inventory, yearly_units: Mapping[str, float] | float | None) -> tuple[Saving, ...]:
    """One for each pair among the runs; ``yearly_units``: of each pair by name, or of all."""
    return tuple(_saving(inventory, pair, _volume(pair, yearly_units)) for pair in _pairs(inventory.runs))


def _pairs(runs: Iterable[Run]) -> list[_Pair]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        if run.pair is not None and run.role is not None:
            found.setdefault(run.pair, []).append(run)
    return [
        _Pair(
            name, *(tuple(r for r in found[name] if r.role == role) for role in ("dense", "sparse", "cost"))
        )
        for name in sorted(found)
    ]


def _volume(pair: _Pair, given: Mapping[str, float] | float | None) -> float | None:
    return given.get(pair.name) if isinstance(given, Mapping) else given


def _saving(inventory: Inventory, pair: _Pair, yearly_units: float | None) -> Saving:
    obstacle = _obstacle(pair)
    first = (pair.sparse or pair.dense or pair.cost)[0]
    ids = tuple(run.id for run in pair.every)
    if obstacle:
        return Saving(
            pair.name, first.unit or "", yearly_units, "not proven", first.method, first.source,
            None, (), (), ids, obstacle,
        )  # fmt: skip
    projections = [_projection(inventory, pair, quantity, yearly_units) for quantity in _QUANTITIES]
    money = _money(inventory, pair, yearly_units)
    lines = [line for q in (*_QUANTITIES, "money") for line in inventory.select(q, runs=pair.every)]
    factors = {(f.key, f.year): f for line in lines for f in line.factors}
    return Saving(
        pair.name,
        first.unit or "",
        yearly_units,
        _verdict(projections[0].saved_each),
        first.method,
        first.source,
        (_seconds(pair.dense), _seconds(pair.sparse)),
        tuple(projections if money is None else [*projections, money]),
        tuple(factors.values()),
        ids,
        missing=_missing(pair, yearly_units),
    )


def _obstacle(pair: _Pair) -> str:
    """Why dense and sparse cannot be compared; "" where they can."""
    for role, runs in (("dense", pair.dense), ("sparse", pair.sparse)):
        if not runs:
            return f"no {role} run is recorded for this pair"
        if any(not run.units for run in runs):
            return f"a {role} run does not say how many units it did"
    both = (*pair.dense, *pair.sparse)
    for name in ("unit", "method", "source", "covers", "place", "facility", "scope"):
        values = sorted({str(getattr(run, name)) for run in both})
        if len(values) > 1:
            listed = " and ".join(values)
            return f"the runs differ in {name} ({listed}): a baseline is measured by the identical method"
    return ""


def _missing(pair: _Pair, yearly_units: float | None) -> tuple[str, ...]:
    found: list[str] = []
    if yearly_units is None:
        found.append("how many units are done in a year (--yearly-units)")
    if not pair.cost:
        found.append("what pruning took: no run of this pair has the role cost, so net is not known")
    return tuple(found)


def _projection(
    inventory: Inventory, pair: _Pair, quantity: Quantity, yearly_units: float | None
) -> Projection:
    """Building, grid and price are the same for both, so it is the difference that they multiply: their own
    range does not widen it twice."""
    dense, sparse = (_each(inventory, runs, quantity) for runs in (pair.dense, pair.sparse))
    computer = _each(inventory, pair.dense, "computer") - _each(inventory, pair.sparse, "computer")
    saved_each = _times(computer, _multiplier(inventory, pair, quantity), dense.unit)
    unknown = Amount(None, 0.0, math.inf, dense.unit)
    cost = inventory.total(quantity, runs=pair.cost).amount if pair.cost else unknown
    return _project(quantity, dense, sparse, saved_each, cost, yearly_units)


def _project(
    quantity: Quantity,
    dense: Amount,
    sparse: Amount,
    saved_each: Amount,
    cost: Amount,
    yearly_units: float | None,
) -> Projection:
    saved = None if yearly_units is None else saved_each.scaled(yearly_units)
    net = None if saved is None else saved - cost
    repaid = saved_each.low > 0 and cost.bounded
    break_even = cost.over(saved_each, "units") if repaid else None
    return Projection(quantity, dense, sparse, saved_each, cost, saved, net, break_even)


def _each(inventory: Inventory, runs: tuple[Run, ...], quantity: Quantity) -> Amount:
    units = sum(run.units or 0.0 for run in runs)
    return inventory.total(quantity, runs=runs).amount.scaled(1 / units)


def _multiplier(inventory: Inventory, pair: _Pair, quantity: Quantity) -> list[Amount]:
    """The factors from a kWh of the computer to the quantity, of a sparse run: that is how it will run."""
    line = inventory.select(quantity, runs=pair.sparse[:1])[0]
    return [factor.amount for factor in line.factors]


def _times(amount: Amount, factors: list[Amount], unit: str) -> Amount:
    for factor in factors:
        amount = amount.times(factor, unit)
    return amount.scaled(1e-3) if unit == "kgCO2e" else Amount(amount.value, amount.low, amount.high, unit)


def _money(inventory: Inventory, pair: _Pair, yearly_units: float | None) -> Projection | None:
    """By price; None where the pair's runs were paid otherwise, in several currencies, or not at all."""
    lines = inventory.select("money", runs=(*pair.dense, *pair.sparse))
    currencies = {line.amount.unit for line in lines}
    if len(lines) < len(pair.dense) + len(pair.sparse) or len(currencies) != 1:
        return None
    unit = currencies.pop()
    dense, sparse = (
        Amount.total((line.amount for line in inventory.select("money", runs=runs)), unit).scaled(
            1 / sum(run.units or 0.0 for run in runs)
        )
        for runs in (pair.dense, pair.sparse)
    )
    spent = [line.amount for line in inventory.select("money", runs=pair.cost) if line.amount.unit == unit]
    known = bool(pair.cost) and len(spent) == len(pair.cost)
    cost = Amount.total(spent, unit) if known else Amount.unknown(unit)
    return _project("money", dense, sparse, dense - sparse, cost, yearly_units)


def _verdict(saved_each: Amount) -> Verdict:
    if saved_each.low > 0:
        return "saves"
    return "loses" if saved_each.high < 0 else "not proven"


def _seconds(runs: tuple[Run, ...]) -> float:
    return sum(run.seconds for run in runs) / sum(run.units or 0.0 for run in runs)
