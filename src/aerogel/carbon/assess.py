"""From runs and factors to an inventory: the rules, one function for each quantity.

    computer    joules / 3.6e6                                             kWh
    energy      computer x PUE                                             kWh
    location    energy x grid intensity of the place and year              kgCO2e
    market      energy x intensity by contract, residual mix or, for want of both, of the grid
    embodied    making of the hardware x time / lifetime x share           kgCO2e  (ISO/IEC 21031)
    water       computer x water usage on site, which is per kWh of the computers
    money       what was paid; else energy x price per kWh, or hours x price per hour

Scope 2 is electricity of own hardware. Bought computing is scope 3.1 with all that is behind it, so also the
making of its hardware; that of own hardware is scope 3.2. The share of making goes by time, as in ISO/IEC
21031. The greenhouse gas protocol counts hardware in full in the year it was bought, which a ledger of runs
cannot know.

Nothing is guessed: what is not known has bounds, or none, and says why. Bounds are taken for limits and added
end to end, which is exact for errors that runs share, as those of a factor, and too wide for others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from aerogel.carbon.amount import Amount
from aerogel.carbon.conditions import (
    LIFETIME_DEFAULT,
    grid_factor,
    market_factor,
    price_of_electricity,
    pue_factor,
    require_places,
    water_factor,
)
from aerogel.carbon.factor import Book, Factor
from aerogel.carbon.inventory import Inventory, Line, LineScope
from aerogel.carbon.method import METHOD
from aerogel.carbon.run import Run
from aerogel.core.errors import InputError, require

JOULES_PER_KWH = 3.6e6
HOURS_PER_YEAR = 8760.0
"""365 days, as in the example of ISO/IEC 21031: 1,000 kg over four years are 28.5 g an hour."""

_NOT_COVERED = "not covered by the table of varying intensity: that of the year"

Intensity = Callable[[Run], Factor | None]


@dataclass(frozen=True, slots=True)
class Settings:
    """What runs leave open and the user answers for all of them.

    facility: of runs that name none: "on-premises", "aws", ...
    hardware, share: of runs that name none.
    place: of runs that name none.
    unknown_place: "world": runs without a place take the world's average, with its range; "error": they are
        refused.
    intensity: grid intensity that varies with time, of a run; where it returns None the year's is taken.
    """

    facility: str | None = None
    hardware: str | None = None
    share: float | None = None
    place: str | None = None
    unknown_place: Literal["error", "world"] = "error"
    intensity: Intensity | None = None


def assess(runs: Iterable[Run], book: Book, *, settings: Settings | None = None) -> Inventory:
    """The inventory of ``runs``. InputError where a run has no place and ``settings`` do not allow that, or
    names hardware or a place that ``book`` does not know."""
    chosen = settings or Settings()
    every = tuple(sorted(runs, key=lambda run: (run.began, run.id)))
    twice = len({run.id for run in every}) < len(every)
    require(not twice, InputError, "a run stands twice among those to assess: give each once")
    if chosen.place is None:
        require_places(every, chosen.unknown_place)
    lines = [line for run in every for line in _lines(run, book, chosen)]
    return Inventory(every, tuple(lines), METHOD)


def _lines(recorded: Run, book: Book, settings: Settings) -> list[Line]:
    """A run without a place is taken to be where the settings say; its lines keep it as it was recorded."""
    if recorded.place is None and settings.place is not None:
        placed = replace(recorded, place=settings.place)
        return [replace(line, run=recorded) for line in _lines(placed, book, settings)]
    run = recorded
    computer = _computer(run)
    energy = _energy(run, computer, book, settings)
    location = _location(run, energy, book, settings)
    lines = [
        computer,
        energy,
        location,
        _market(run, energy, location, book),
        _embodied(run, book, settings),
        _water(run, computer, book, settings),
    ]
    money = _money(run, energy, book)
    return lines if money is None else [*lines, money]


def _computer(run: Run) -> Line:
    """A run without joules keeps its bounds; without bounds it is somewhere from 0 on."""
    low = run.joules if run.low is None else run.low
    high = run.joules if run.high is None else run.high
    if low is None or high is None:
        amount = Amount.unknown("kWh")
    else:
        value = None if run.joules is None else run.joules / JOULES_PER_KWH
        amount = Amount(value, low / JOULES_PER_KWH, high / JOULES_PER_KWH, "kWh")
    note = "" if amount.bounded else "energy not known"
    return Line(run, "computer", run.scope, amount, (), "joules / 3.6e6", note)


def _energy(run: Run, computer: Line, book: Book, settings: Settings) -> Line:
    pue, note = pue_factor(run, book, settings.facility)
    amount = computer.amount.times(pue.amount, "kWh")
    return Line(run, "energy", run.scope, amount, (pue,), "computer x PUE", note)


def _location(run: Run, energy: Line, book: Book, settings: Settings) -> Line:
    varying = None if settings.intensity is None else settings.intensity(run)
    grid, note = (varying, "") if varying is not None else grid_factor(run, book)
    if settings.intensity is not None and varying is None:
        note = "; ".join(part for part in (_NOT_COVERED, note) if part)
    return _emitted(run, "location", energy, grid, "energy x grid intensity", note)


def _market(run: Run, energy: Line, location: Line, book: Book) -> Line:
    """For want of a contract or a residual mix the grid's intensity, as the scope 2 guidance has it, of the
    year as a whole: contracts know no hours."""
    found, note = market_factor(run, book)
    if found is not None:
        return _emitted(run, "market", energy, found, "energy x intensity by contract or residual mix", note)
    grid, _ = grid_factor(run, book)
    note = "no contract or residual mix is known: the market-based figure takes the grid's intensity"
    return _emitted(run, "market", energy, grid, "energy x grid intensity", note)


def _emitted(
    run: Run, quantity: Literal["location", "market"], energy: Line, intensity: Factor, rule: str, note: str
) -> Line:
    require(
        intensity.unit == "gCO2e/kWh",
        InputError,
        f"factor {intensity.key} is in {intensity.unit}: an intensity of electricity is in gCO2e/kWh",
    )
    grams = energy.amount.times(intensity.amount, "gCO2e")
    return Line(
        run, quantity, run.scope, grams.scaled(1e-3, "kgCO2e"), (*energy.factors, intensity), rule, note
    )


def _embodied(run: Run, book: Book, settings: Settings) -> Line:
    scope: LineScope = "3.2" if run.scope == "2" else "3.1"
    name = run.hardware or settings.hardware
    rule = "making x time / lifetime x share"
    if name is None:
        unknown = Amount.unknown("kgCO2e")
        return Line(run, "embodied", scope, unknown, (), rule, "hardware not named, so its making not known")
    making = book.find(f"embodied/{name}")
    lifetime = book.get(f"lifetime/{name}") or book.find(LIFETIME_DEFAULT)
    _require_units(making, lifetime)
    asked = run.share if run.hardware is not None else settings.share
    share = Amount(None, 0.0, 1.0, "") if asked is None else Amount.exact(asked, "")
    note = "share of the hardware not known: anything up to all of it" if asked is None else ""
    amount = embodied_share(making.amount, run.seconds, lifetime.amount, share)
    return Line(run, "embodied", scope, amount, (making, lifetime), rule, note)


def embodied_share(making: Amount, seconds: float, years: Amount, share: Amount) -> Amount:
    """M of ISO/IEC 21031, in the unit of ``making``: TE x (TiR / EL) x (RR / ToR)."""
    hours = years.scaled(HOURS_PER_YEAR, "h")
    reserved = Amount.exact(seconds / 3600, "h").over(hours, "")
    return making.times(reserved, "").times(share, making.unit)


def _require_units(making: Factor, lifetime: Factor) -> None:
    require(
        making.unit == "kgCO2e",
        InputError,
        f"factor {making.key} is in {making.unit}: what making hardware emitted is in kgCO2e",
    )
    good = lifetime.unit == "years" and lifetime.low > 0
    require(
        good, InputError, f"factor {lifetime.key} is {lifetime.amount}: a lifetime is in years, and above 0"
    )


def _water(run: Run, computer: Line, book: Book, settings: Settings) -> Line:
    used = water_factor(run, book, settings.facility)
    said = f"factor {used.key} is in {used.unit}: water on site is in L/kWh of the computers"
    require(used.unit == "L/kWh", InputError, said)
    amount = computer.amount.times(used.amount, "L")
    return Line(run, "water", run.scope, amount, (used,), "computer x water per kWh on site")


def _money(run: Run, energy: Line, book: Book) -> Line | None:
    """What was paid, where the run says so; else by a price, where one is known; else None."""
    if run.money is not None and run.currency is not None:
        return Line(run, "money", run.scope, Amount.exact(run.money, run.currency), (), "paid")
    if run.scope == "3.1":
        key = f"price/instance-hour/{run.hardware}"
        price = book.get(key) or book.get("price/instance-hour")
        if price is None:
            return None
        hours = Amount.exact(run.seconds / 3600, "h")
        amount = hours.times(price.amount, _currency(price, "h"))
        return Line(run, "money", run.scope, amount, (price,), "hours x price")
    price, note = price_of_electricity(run, book)
    if price is None:
        return None
    amount = energy.amount.times(price.amount, _currency(price, "kWh"))
    return Line(run, "money", run.scope, amount, (*energy.factors, price), "energy x price", note)


def _currency(price: Factor, per: str) -> str:
    """The EUR of EUR/kWh; InputError where the price is not per what it is multiplied with."""
    currency, _, unit = price.unit.partition("/")
    good = unit == per and len(currency) == 3 and currency.isupper()
    require(good, InputError, f"factor {price.key} is in {price.unit}: give a price as EUR/{per}")
    return currency
