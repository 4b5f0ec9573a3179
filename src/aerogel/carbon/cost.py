"""Total cost of ownership of what ran: electricity, bought computing, hardware written off; by currency.

    own hardware     energy with PUE x price per kWh, and purchase price x time / lifetime x share
    bought           what was paid, or hours x price per instance-hour: its electricity is in that price

A purchase price is the factor "price/hardware/server" and so on, in EUR: aerogel brings none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from aerogel.carbon.amount import Amount
from aerogel.carbon.assess import Settings, embodied_share
from aerogel.carbon.conditions import LIFETIME_DEFAULT
from aerogel.carbon.factor import Book, Factor
from aerogel.carbon.inventory import Inventory, Total
from aerogel.carbon.run import Run
from aerogel.core.errors import InputError, require

ELECTRICITY, BOUGHT, HARDWARE = "electricity", "bought computing", "hardware written off"


@dataclass(frozen=True, slots=True)
class Cost:
    """``total`` of one ``part`` in one currency; ``missing``: of how many runs no price is known."""

    part: str
    currency: str
    total: Total
    missing: int
    factors: tuple[Factor, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        return {
            "part": self.part,
            "currency": self.currency,
            **self.total.to_json(),
            "missing": self.missing,
            "factors": [factor.key for factor in self.factors],
        }


def ownership(inventory: Inventory, book: Book, settings: Settings) -> tuple[Cost, ...]:
    """The parts of the cost, each by currency; a part of which nothing is known is there with no lines."""
    return (
        *_priced(inventory, ELECTRICITY, "2"),
        *_priced(inventory, BOUGHT, "3.1"),
        *_hardware(inventory, book, settings),
    )


def _priced(inventory: Inventory, part: str, scope: str) -> list[Cost]:
    runs = [run for run in inventory.runs if run.scope == scope]
    lines = [line for line in inventory.select("money") if line.scope == scope]
    missing = len(runs) - len(lines)
    if not runs:
        return []
    if not lines:
        return [Cost(part, "", Total.of((), ""), missing)]
    found: list[Cost] = []
    for currency in sorted({line.amount.unit for line in lines}):
        own = [line for line in lines if line.amount.unit == currency]
        factors = {f.key: f for line in own for f in line.factors}
        total = Total.of((line.amount for line in own), currency)
        found.append(Cost(part, currency, total, missing, tuple(factors.values())))
    return found


def _hardware(inventory: Inventory, book: Book, settings: Settings) -> list[Cost]:
    runs = [_answered(run, settings) for run in inventory.runs if run.scope == "2"]
    priced = [(run, price) for run in runs if (price := _price(run, book)) is not None]
    if not runs:
        return []
    if not priced:
        return [Cost(HARDWARE, "", Total.of((), ""), len(runs))]
    found: list[Cost] = []
    for currency in sorted({price.unit for _, price in priced}):
        own = [(run, price) for run, price in priced if price.unit == currency]
        amounts = [_written_off(run, price, book) for run, price in own]
        factors = {price.key: price for _, price in own}
        total = Total.of(amounts, currency)
        found.append(Cost(HARDWARE, currency, total, len(runs) - len(priced), tuple(factors.values())))
    return found


def _answered(run: Run, settings: Settings) -> Run:
    """With the hardware that the settings say of runs that name none."""
    if run.hardware is not None:
        return run
    return replace(run, hardware=settings.hardware, share=settings.share)


def _price(run: Run, book: Book) -> Factor | None:
    if run.hardware is None:
        return None
    price = book.get(f"price/hardware/{run.hardware}")
    if price is not None:
        good = len(price.unit) == 3 and price.unit.isupper()
        require(
            good, InputError, f"factor {price.key} is in {price.unit}: give what hardware cost as EUR or USD"
        )
    return price


def _written_off(run: Run, price: Factor, book: Book) -> Amount:
    lifetime = book.get(f"lifetime/{run.hardware}") or book.find(LIFETIME_DEFAULT)
    share = Amount(None, 0.0, 1.0, "") if run.share is None else Amount.exact(run.share, "")
    return embodied_share(price.amount, run.seconds, lifetime.amount, share)
