"""What sparse models save over the dense ones they came from, projected to a year's volume.

A projection, never part of an inventory: an inventory says what was emitted, and what was not is not in it.
The baseline is measured by the identical method (ISO/IEC 21031): runs that differ in method, source,
coverage, place or unit are not compared. The net figure is less what pruning took.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aerogel.carbon.amount import Amount
from aerogel.carbon.factor import Factor
from aerogel.carbon.inventory import UNITS, Inventory, Quantity
from aerogel.carbon.run import Run

Verdict = Literal["saves", "loses", "not proven", "not comparable"]

_ALIKE = ("unit", "method", "source", "covers", "place", "facility", "scope")
"""What dense and sparse runs must have in common."""


@dataclass(frozen=True, slots=True)
class Projection:
    """Of one quantity: what a unit of work takes ``dense`` and ``sparse``, and what is saved of it.

    cost: what pruning took, once; not known where no run says so.
    saved, net: in a year, before and after ``cost``; None where no yearly volume was given.
    """

    quantity: Quantity
    dense: Amount
    sparse: Amount
    saved_each: Amount
    cost: Amount
    saved: Amount | None
    net: Amount | None

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        said: dict[str, Any] = {"quantity": self.quantity}
        for name in ("dense", "sparse", "saved_each", "cost", "saved", "net"):
            amount: Amount | None = getattr(self, name)
            said[name] = None if amount is None else amount.to_json()
        return said


@dataclass(frozen=True, slots=True)
class Saving:
    """Of one ``pair``, whose runs' ids are ``runs``.

    verdict: of energy: "not proven" where the bounds of what is saved hold 0; "not comparable" where
        ``obstacle`` says why.
    seconds: of a unit of work, dense and sparse.
    share: of the energy of the computers that is saved, 0 to 1; None where it is not bounded.
    repaid: units of work after which the energy of pruning is saved; None where that is not certain to come.
    missing: what the figures lack.
    """

    pair: str
    verdict: Verdict
    runs: tuple[str, ...]
    obstacle: str = ""
    unit: str = ""
    yearly_units: float | None = None
    method: str = ""
    source: str = ""
    seconds: tuple[float, float] | None = None
    projections: tuple[Projection, ...] = ()
    share: Amount | None = None
    repaid: Amount | None = None
    factors: tuple[Factor, ...] = ()
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        return {
            "pair": self.pair,
            "verdict": self.verdict,
            "runs": list(self.runs),
            "obstacle": self.obstacle,
            "unit": self.unit,
            "yearly_units": self.yearly_units,
            "method": self.method,
            "source": self.source,
            "seconds": None if self.seconds is None else list(self.seconds),
            "share": None if self.share is None else self.share.to_json(),
            "projections": [each.to_json() for each in self.projections],
            "repaid": None if self.repaid is None else self.repaid.to_json(),
            "factors": [factor.key for factor in self.factors],
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
    roles = ("dense", "sparse", "cost")
    return [
        _Pair(name, *(tuple(run for run in own if run.role == role) for role in roles))
        for name, own in sorted(found.items())
    ]


def _volume(pair: _Pair, given: Mapping[str, float] | float | None) -> float | None:
    return given.get(pair.name) if isinstance(given, Mapping) else given


def _saving(inventory: Inventory, pair: _Pair, yearly_units: float | None) -> Saving:
    ids = tuple(run.id for run in pair.every)
    obstacle = _obstacle(pair)
    if obstacle:
        return Saving(pair.name, "not comparable", ids, obstacle)
    computer = _Difference.of(inventory, pair, "computer")
    projections = _projections(inventory, pair, computer, yearly_units)
    lines = [line for each in projections for line in inventory.select(each.quantity, runs=pair.every)]
    factors = {(f.key, f.year): f for line in lines for f in line.factors}
    first = pair.sparse[0]
    return Saving(
        pair.name,
        _verdict(computer.saved),
        ids,
        unit=first.unit or "",
        yearly_units=yearly_units,
        method=first.method,
        source=first.source,
        seconds=(_seconds(pair.dense), _seconds(pair.sparse)),
        projections=projections,
        share=computer.share,
        repaid=_repaid(inventory, pair, computer.saved),
        factors=tuple(factors.values()),
        missing=_missing(pair, yearly_units),
    )


def _obstacle(pair: _Pair) -> str:
    """Why dense and sparse cannot be compared; "" where they can."""
    for role, runs in (("dense", pair.dense), ("sparse", pair.sparse)):
        if not runs:
            return f"no {role} run is recorded for this pair"
        if any(not run.units for run in runs):
            return f"a {role} run does not say how many units of work it did"
    for name in _ALIKE:
        values = sorted({str(getattr(run, name)) for run in (*pair.dense, *pair.sparse)})
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


@dataclass(frozen=True, slots=True)
class _Difference:
    """Of a unit of work: what it takes dense and sparse, and the difference."""

    dense: Amount
    sparse: Amount
    saved: Amount

    @classmethod
    def of(
        cls, inventory: Inventory, pair: _Pair, quantity: Quantity, unit: str | None = None
    ) -> _Difference:
        dense, sparse = (_each(inventory, runs, quantity, unit) for runs in (pair.dense, pair.sparse))
        return cls(dense, sparse, dense - sparse)

    @property
    def share(self) -> Amount | None:
        """The share that is saved; None where dense may take nothing, or either has no upper bound."""
        if self.dense.low <= 0 or not (self.dense.bounded and self.sparse.bounded):
            return None
        return Amount.exact(1.0, "") - self.sparse.over(self.dense, "")


def _projections(
    inventory: Inventory, pair: _Pair, computer: _Difference, yearly_units: float | None
) -> tuple[Projection, ...]:
    """Building, grid and price are the same for dense and sparse, so they multiply the difference at the
    computer: taken for each, their range would count twice."""
    found: list[Projection] = []
    for quantity in ("energy", "location", "money"):
        unit = UNITS.get(quantity) or _currency(inventory, pair)
        if unit is None:
            continue
        own = _Difference.of(inventory, pair, quantity, unit)
        factors = inventory.select(quantity, runs=pair.sparse[:1])[0].factors
        by_computer = quantity != "money" or any(factor.key.startswith("pue/") for factor in factors)
        saved = _times(computer.saved, factors, unit) if by_computer else own.saved
        cost = _cost(inventory, pair, quantity, unit)
        yearly = None if yearly_units is None else saved.scaled(yearly_units)
        net = None if yearly is None else yearly - cost
        found.append(Projection(quantity, own.dense, own.sparse, saved, cost, yearly, net))
    return tuple(found)


def _times(kilowatt_hours: Amount, factors: Iterable[Factor], unit: str) -> Amount:
    """Through ``factors``, of which an intensity is in grams, to ``unit``."""
    product = kilowatt_hours
    for factor in factors:
        product = product.times(factor.amount, unit)
    return product.scaled(1e-3) if unit == "kgCO2e" else product


def _each(inventory: Inventory, runs: tuple[Run, ...], quantity: Quantity, unit: str | None) -> Amount:
    amounts = (line.amount for line in inventory.select(quantity, runs=runs))
    return Amount.total(amounts, unit or UNITS[quantity]).scaled(1 / sum(run.units or 0.0 for run in runs))


def _currency(inventory: Inventory, pair: _Pair) -> str | None:
    """That of every dense and sparse run; None where one has no money, or they have several currencies."""
    both = (*pair.dense, *pair.sparse)
    lines = inventory.select("money", runs=both)
    units = {line.amount.unit for line in lines}
    return units.pop() if len(lines) == len(both) and len(units) == 1 else None


def _cost(inventory: Inventory, pair: _Pair, quantity: Quantity, unit: str) -> Amount:
    amounts = [line.amount for line in inventory.select(quantity, runs=pair.cost)]
    known = len(amounts) == len(pair.cost) and all(amount.unit == unit for amount in amounts)
    return Amount.total(amounts, unit) if pair.cost and known else Amount.unknown(unit)


def _repaid(inventory: Inventory, pair: _Pair, saved_each: Amount) -> Amount | None:
    cost = _cost(inventory, pair, "computer", UNITS["computer"])
    if saved_each.low <= 0 or not cost.bounded:
        return None
    return cost.over(saved_each, pair.sparse[0].unit or "")


def _verdict(saved_each: Amount) -> Verdict:
    if saved_each.low > 0:
        return "saves"
    return "loses" if saved_each.high < 0 else "not proven"


def _seconds(runs: tuple[Run, ...]) -> float:
    return sum(run.seconds for run in runs) / sum(run.units or 0.0 for run in runs)
