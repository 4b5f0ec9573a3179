"""Everything a report says, worked out: the inventory and what is made of it. Pages only show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aerogel.carbon import equivalences
from aerogel.carbon.amount import Amount
from aerogel.carbon.assess import Settings, assess
from aerogel.carbon.cost import Cost, ownership
from aerogel.carbon.disclosure import Block, Turnover
from aerogel.carbon.equivalences import Equivalence, equivalent
from aerogel.carbon.esrs import e1
from aerogel.carbon.factor import Book
from aerogel.carbon.inventory import SCOPES, UNITS, Inventory, LineScope, Quantity, Total
from aerogel.carbon.method import RULES
from aerogel.carbon.run import Run, utc
from aerogel.carbon.savings import Saving, savings
from aerogel.carbon.sci import Score, scores
from aerogel.carbon.vsme import b3


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user asks of a report beyond the runs.

    yearly_units: of each pair by name, or of all: what savings are projected to.
    since, until: as given, to be told. ledger: where the runs come from, to be told.
    """

    settings: Settings = field(default_factory=Settings)
    turnover: Turnover | None = None
    yearly_units: Mapping[str, float] | float | None = None
    since: str | None = None
    until: str | None = None
    ledger: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """``made``: when, in UTC. ``savings`` are projections, and no part of the inventory."""

    inventory: Inventory
    scores: tuple[Score, ...]
    blocks: tuple[Block, ...]
    costs: tuple[Cost, ...]
    savings: tuple[Saving, ...]
    asked: Asked
    made: str

    @property
    def emitted(self) -> Total:
        """Location-based emissions and the making of hardware, of all scopes."""
        found = [line.amount for q in ("location", "embodied") for line in self.inventory.select(q)]
        return Total.of(found, "kgCO2e")

    @property
    def equivalents(self) -> tuple[tuple[Equivalence, Amount], ...]:
        """What the known emissions are as much as."""
        return equivalent(self.emitted.known) if self.emitted.figure is not None else ()

    def to_json(self) -> dict[str, Any]:
        """Everything, every figure with its run and factors, as ``json.dumps`` takes it."""
        inventory = self.inventory
        return {
            "method": inventory.method,
            "made": self.made,
            "ledger": self.asked.ledger,
            "since": self.asked.since,
            "until": self.asked.until,
            "totals": totals(inventory),
            "energy_by_method": {
                method: inventory.total("energy", runs=runs).to_json()
                for method, runs in inventory.methods().items()
            },
            "money": {unit: total.to_json() for unit, total in inventory.money().items()},
            "sci": [score.to_json() for score in self.scores],
            "disclosures": [block.to_json() for block in self.blocks],
            "cost": [cost.to_json() for cost in self.costs],
            "equivalences": equivalences.to_json(self.emitted.known),
            "assumptions": [factor.to_json() for factor in inventory.factors()],
            "remarks": inventory.notes(),
            "rules": {rule.what: rule.text for rule in RULES},
            "lines": [line.to_json() for line in inventory.lines],
            "runs": [run.to_json() for run in inventory.runs],
            "projected_savings": {
                "part_of_the_inventory": False,
                "pairs": [saving.to_json() for saving in self.savings],
            },
        }


def statement(runs: Iterable[Run], book: Book, asked: Asked | None = None) -> Statement:
    """The statement on ``runs``; InputError as ``assess`` has it."""
    wanted = asked or Asked()
    inventory = assess(runs, book, settings=wanted.settings)
    return Statement(
        inventory,
        scores(inventory),
        (b3(inventory, wanted.turnover), e1(inventory, wanted.turnover)),
        ownership(inventory, book, wanted.settings),
        savings(inventory, wanted.yearly_units),
        wanted,
        utc(datetime.now(UTC).replace(microsecond=0)),
    )


def totals(inventory: Inventory) -> dict[str, dict[str, Any]]:
    """By quantity, then by scope; scopes stand apart."""
    return {
        quantity: {scope: total.to_json() for scope, total in by_scope(inventory, quantity).items()}
        for quantity in UNITS
    }


def by_scope(inventory: Inventory, quantity: Quantity) -> dict[LineScope, Total]:
    """The totals of a quantity of the scopes it has lines in."""
    found: dict[LineScope, Total] = {scope: inventory.total(quantity, scope) for scope in SCOPES}
    return {scope: found[scope] for scope in SCOPES if found[scope].lines}
