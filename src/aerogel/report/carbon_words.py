"""How the figures of a statement read, in a terminal and on a page alike."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from aerogel.carbon.amount import Amount
from aerogel.carbon.inventory import SCOPES, TITLES, Inventory, LineScope, Quantity, Total
from aerogel.carbon.savings import Saving
from aerogel.carbon.sci import Score
from aerogel.carbon.statement import Statement, by_scope
from aerogel.report.wording import counted

NOT_KNOWN = "not known"
_SCALES: dict[str, tuple[tuple[float, str], ...]] = {
    "kWh": ((1e6, "GWh"), (1e3, "MWh"), (1.0, "kWh"), (1e-3, "Wh"), (1e-6, "mWh"), (1e-9, "uWh")),
    "kgCO2e": ((1e3, "tCO2e"), (1.0, "kgCO2e"), (1e-3, "gCO2e"), (1e-6, "mgCO2e"), (1e-9, "ugCO2e")),
    "L": ((1e3, "m3"), (1.0, "L"), (1e-3, "mL"), (1e-6, "uL")),
}
_SHOWN: tuple[Quantity, ...] = ("energy", "location", "market", "embodied", "water")


def headline(found: Statement) -> str:
    """The frank first sentences: how much, of how many runs, and what is missing."""
    inventory = found.inventory
    if not inventory.runs:
        return "No runs: there is nothing to report."
    energy, emitted = inventory.total("energy"), found.emitted
    said = (
        f"{counted(len(inventory.runs), 'run')} {period(inventory)}: {_much(energy.figure)} of electricity, "
        f"{_much(emitted.figure)} by the grids' intensity and with the making of hardware."
    )
    return " ".join(part for part in (said, _lacking(found), _measured(inventory)) if part)


def _much(found: Amount | None) -> str:
    said = amount(found)
    return "an unknown amount" if said == NOT_KNOWN else said


def _lacking(found: Statement) -> str:
    """What the two sums do not contain, since nobody knows it."""
    energy = found.inventory.total("energy").unknown
    making = found.inventory.total("embodied").unknown
    parts = [
        f"{what} of {counted(number, 'run')}"
        for what, number in (("the energy", energy), ("the making of the hardware", making))
        if number
    ]
    return f"Not known, and in no sum: {' and '.join(parts)}." if parts else ""


def period(inventory: Inventory) -> str:
    """The days between the first and the last run."""
    if inventory.period is None:
        return ""
    first, last = inventory.period
    return f"on {first}" if first == last else f"from {first} to {last}"


def _measured(inventory: Inventory) -> str:
    """Of how many runs energy was measured, rather than estimated, imported or not known."""
    measured = len(inventory.methods().get("measured", ()))
    if measured == len(inventory.runs):
        return "The energy of every run was measured."
    return f"Energy was measured in {measured} of {len(inventory.runs)}."


def total(found: Total) -> str:
    """A sum; what it lacks is said."""
    if not found.lines:
        return "none"
    if found.figure is None:
        return NOT_KNOWN
    return ", ".join(part for part in (amount(found.figure), found.gap) if part)


def amount(found: Amount | None) -> str:
    """In a unit that makes it easy to read: "38.3 gCO2e [13.3, 112]"."""
    if found is None or (found.value is None and not found.bounded):
        return NOT_KNOWN
    shown = readable(found)
    # 412 to 412 kWh: what a minute without a meter adds to a month's bill.
    alike = f"{shown.low:.3g}" == f"{shown.high:.3g}"
    return str(Amount.exact(shown.high, shown.unit) if alike else shown)


def bounds(found: Amount) -> str:
    """The bounds alone, in the unit of the figure: "2.5 to 6.5 kWh"."""
    shown = readable(found)
    return str(Amount(None, shown.low, shown.high, shown.unit))


def readable(found: Amount) -> Amount:
    """In the largest unit of its kind of which it is one or more; money and the like stay as they are."""
    size, unit = scale_of(found)
    return found if unit == found.unit else found.scaled(1 / size, unit)


def scale_of(found: Amount) -> tuple[float, str]:
    """The unit that ``found`` reads in, and how many of its own that is: (1000.0, "MWh")."""
    size = abs(found.high if found.value is None else found.value)
    scales = _SCALES.get(found.unit, ())
    fitting = next((scale for scale in scales if size >= scale[0]), scales[-1] if scales and size else None)
    return (1.0, found.unit) if fitting is None or math.isinf(size) else fitting


def scope_table(inventory: Inventory) -> list[tuple[str, dict[LineScope, str]]]:
    """(quantity, its sum in each scope that has one) of everything there is; money last."""
    rows: list[tuple[str, dict[LineScope, str]]] = []
    for quantity in _SHOWN:
        sums: dict[LineScope, str] = {}
        for scope, each in by_scope(inventory, quantity).items():
            sums[scope] = total(each)
        rows.append((TITLES[quantity], sums))
    money: dict[str, dict[LineScope, str]] = {}
    for scope in SCOPES:
        for currency, each in inventory.money(scope).items():
            money.setdefault(currency, {})[scope] = total(each)
    rows += [(f"{TITLES['money']}, {currency}", sums) for currency, sums in money.items()]
    return [(what, sums) for what, sums in rows if sums]


def score_text(score: Score) -> str:
    return score.note if score.units is None or not score.units else str(score.value)


def score_title(score: Score) -> str:
    """Whose score, and of floating point operations how they are counted."""
    counted_as = "" if score.basis is None else f", operations {score.basis}"
    return f"{score.persona}{counted_as}"


def verdict(saving: Saving) -> str:
    """One sentence on a pair."""
    if saving.obstacle:
        return f"{saving.pair}: not comparable: {saving.obstacle}."
    share = _share(saving.share)
    time = _time(saving)
    said = {
        "saves": f"saves {share} of the energy per {saving.unit}",
        "loses": f"takes more energy, {share}",
        "not proven": f"a saving of energy is not proven ({saving.method})",
    }
    words = said.get(saving.verdict, saving.verdict)
    repaid = "" if saving.repaid is None else f"; pruning is repaid after {saving.repaid}"
    return f"{saving.pair}: {words}; time {time}{repaid}."


def _share(saved: Amount | None) -> str:
    """As "40 % [37, 43]"; below 0 more is taken, which the words around it say, so without its sign."""
    if saved is None or saved.value is None:
        return "some"
    low, value, high = sorted(100 * abs(share) for share in (saved.low, saved.value, saved.high))
    return f"{value:.0f} %" if low == high else f"{value:.0f} % [{low:.0f}, {high:.0f}]"


def _time(saving: Saving) -> str:
    if saving.seconds is None or not saving.seconds[0]:
        return NOT_KNOWN
    dense, sparse = saving.seconds
    return f"{100 * (sparse / dense - 1):+.0f} %"


def plain(text: str) -> str:
    """Without what a terminal would obey: a label is anybody's text."""
    return "".join(letter if unicodedata.category(letter) != "Cc" else "?" for letter in text)


def columns(rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """Lines with words to the left, in columns as wide as they need."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        indent + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
