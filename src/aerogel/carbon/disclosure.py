"""What a reporting standard asks for, as rows that can be copied into its form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from aerogel.carbon.amount import Amount
from aerogel.carbon.inventory import Inventory, LineScope, Quantity, Total
from aerogel.core.errors import InputError, require

SUPPLIER = "not known here: see what your supplier states, or your contract"
BOUNDS_ALONE = "only bounds are known, of {} of {}: state the upper one, or narrow them"
OUTSIDE = "not part of computing: add it from the company's own inventory"


@dataclass(frozen=True, slots=True)
class Row:
    """``name`` is asked for in ``paragraph``; ``datapoint`` is its name in the standard's digital form.
    ``amount`` is None where an inventory of computing cannot say it, and ``note`` says why."""

    paragraph: str
    name: str
    amount: Amount | None
    note: str = ""
    datapoint: str = ""

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        return {
            "paragraph": self.paragraph,
            "name": self.name,
            "datapoint": self.datapoint,
            "amount": None if self.amount is None else self.amount.to_json(),
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Block:
    """``rows`` as ``standard`` asks for them; ``remarks`` say how they are to be read."""

    title: str
    standard: str
    rows: tuple[Row, ...]
    remarks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        return {
            "title": self.title,
            "standard": self.standard,
            "rows": [row.to_json() for row in self.rows],
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True, slots=True)
class Turnover:
    """Of the company in the period, in ``currency``."""

    value: float
    currency: str = "EUR"

    def __post_init__(self) -> None:
        said = f"a turnover of {self.value} {self.currency}: give what the company earned, above 0"
        require(0 < self.value < math.inf, InputError, said)


def stated(paragraph: str, name: str, total: Total, note: str = "", datapoint: str = "") -> Row:
    """A row of what can be stated of ``total``, its note saying what that lacks."""
    lacks = "not known" if total.figure is None else total.gap
    vague = total.figure is not None and total.figure.value is None
    alone = BOUNDS_ALONE.format(total.vague, total.lines) if vague else ""
    said = "; ".join(part for part in (note, lacks, alone) if part)
    # A ledger without a run of this kind does not say that there was none.
    return Row(paragraph, name, total.figure if total.lines else None, said, datapoint)


def megawatt_hours(inventory: Inventory) -> Total:
    """Electricity of own hardware: what "own operations" mean here. Bought computing is not among it."""
    return inventory.total("energy", "2").scaled(1e-3, "MWh")


def tonnes(inventory: Inventory, *parts: tuple[Quantity, LineScope]) -> Total:
    """Emissions: the sum of these quantities, each of its scope."""
    lines = [line for quantity, scope in parts for line in inventory.select(quantity, scope)]
    return Total.of((line.amount for line in lines), "kgCO2e").scaled(1e-3, "tCO2e")


CATEGORY_1: tuple[tuple[Quantity, LineScope], ...] = (("location", "3.1"), ("embodied", "3.1"))
"""Scope 3.1: electricity of bought computing, location-based, and the making of its hardware."""
CATEGORY_2: tuple[tuple[Quantity, LineScope], ...] = (("embodied", "3.2"),)
"""Scope 3.2: the share of making own hardware."""


def per_turnover(emitted: Total, turnover: Turnover | None) -> Amount | None:
    """Tonnes per million of the currency; None where the turnover was not given or nothing is known."""
    if turnover is None or emitted.figure is None or not emitted.lines:
        return None
    return emitted.figure.scaled(1e6 / turnover.value, f"tCO2e per million {turnover.currency}")


SHARE_OF_MAKING = (
    "Scope 3.2 is the share, by time, of making the hardware that was used, as ISO/IEC 21031 has it. The "
    "greenhouse gas protocol counts hardware in full in the year it is bought: take that for the scope "
    "3.2 of the company, and this figure for the software."
)
COMPUTING_ALONE = (
    "Of the computing in the ledger alone: the company's figures are these and those of all else it does."
)
