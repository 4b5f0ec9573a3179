"""What a piece of work takes on named hardware, at a place: hours, MWh, CO2e, water, money; and the other way
round, what work a budget in any of these buys.

    device-hours = max(operations / (peak x utilisation), bytes / (bandwidth x utilisation))
    computer     = device-hours x watts              energy = computer x PUE
    location     = energy x grid intensity           water  = computer x water per kWh
    embodied     = device-hours x making / lifetime  money  = energy x price; bought: hours x price

A budget fixes one of these, and the others follow from it along the same chain, so that no factor enters a
figure twice: a budget of 1 t emits 1 t, whatever the grid. Factors are chosen as ``carbon.assess`` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from aerogel.carbon.amount import Amount
from aerogel.carbon.assess import Settings, assess, embodied_share
from aerogel.carbon.conditions import LIFETIME_DEFAULT
from aerogel.carbon.factor import Book, Factor
from aerogel.carbon.inventory import Line, Quantity
from aerogel.carbon.plan.assumed import SHARE_OF_SERVER, UTILISATION, power
from aerogel.carbon.plan.hardware import Hardware
from aerogel.carbon.run import Run, Scope, utc
from aerogel.core.errors import InputError, require

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Site:
    """Where work would run. ``place`` None takes the world's average, with its range.

    scope: "2": own hardware, electricity is paid for; "3.1": bought, hours are paid for.
    """

    book: Book
    place: str | None
    facility: str | None = None
    scope: Scope = "2"


@dataclass(frozen=True, slots=True)
class Machine:
    """One accelerator as it would be used: ``dtype`` of its operations, the share of its peak it reaches."""

    hardware: Hardware
    dtype: str
    utilisation: Factor = UTILISATION
    server: bool = True
    watts: float | None = None

    @property
    def per_hour(self) -> Amount:
        """Operations in an hour."""
        return self.utilisation.amount.scaled(self.hardware.peak(self.dtype) * HOUR_S, "FLOP/h")

    def hours(self, flop: Amount, moved_bytes: float | None = None) -> Amount:
        """Device-hours for so many operations, and bytes moved between the device and its memory."""
        computing = flop.over(self.per_hour, "h")
        if moved_bytes is None:
            return computing
        rate = self.hardware.bytes_per_s
        said = f"the memory bandwidth of {self.hardware.name} is not known: leave the bytes out"
        if rate is None:
            raise InputError(said)
        reached = self.utilisation.amount.scaled(rate * HOUR_S, "B/h")
        moving = Amount.exact(moved_bytes, "B").over(reached, "h")
        return _larger(computing, moving)

    def watts_in_use(self) -> tuple[Amount, Factor, str]:
        """Of one device, with the factor and what it covers."""
        return power(self.hardware, server=self.server, watts=self.watts)


@dataclass(frozen=True, slots=True)
class Bill:
    """What ``flop`` operations take. ``money`` None: no price is known. ``energy``: with cooling and the like
    (PUE); ``computer``: without. ``covers``: of what the energy is."""

    machine: Machine
    flop: Amount
    hours: Amount
    computer: Amount
    energy: Amount
    location: Amount
    market: Amount
    embodied: Amount
    water: Amount
    money: Amount | None
    covers: str
    factors: tuple[Factor, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        names = ("flop", "hours", "computer", "energy", "location", "market", "embodied", "water")
        amounts = {name: getattr(self, name).to_json() for name in names}
        return {
            "hardware": self.machine.hardware.to_json(),
            "dtype": self.machine.dtype,
            "covers": self.covers,
            **amounts,
            "money": None if self.money is None else self.money.to_json(),
            "factors": [factor.to_json() for factor in self.factors],
            "notes": list(self.notes),
        }


def bill(flop: Amount, machine: Machine, site: Site, moved_bytes: float | None = None) -> Bill:
    """What so many operations take; InputError where the place, or the peak in that dtype, is not known."""
    rates = _rates(machine, site)
    hours = machine.hours(flop, moved_bytes)
    return _bill(machine, rates, _Known(flop, hours, *rates.energy(hours)))


Budget = Literal["hours", "MWh", "tCO2e", "money"]


def bill_of_budget(budget: float, kind: Budget, machine: Machine, site: Site) -> Bill:
    """What a budget buys: device-hours, MWh with PUE, tonnes of CO2e by location without the making of the
    hardware, or money. InputError where money is asked for and no price is known."""
    require(0 < budget < math.inf, InputError, f"a budget of {budget:g} {kind}: give a number above 0")
    rates = _rates(machine, site)
    location, money = None, None
    match kind:
        case "hours":
            hours = Amount.exact(budget, "h")
            computer, energy = rates.energy(hours)
        case "MWh":
            energy = Amount.exact(budget * 1e3, "kWh")
            hours, computer = rates.hours(energy)
        case "tCO2e":
            location = Amount.exact(budget * 1e3, "kgCO2e")
            energy = location.over(rates.grid.amount.scaled(1e-3, "kgCO2e/kWh"), "kWh")
            hours, computer = rates.hours(energy)
        case "money":
            price = rates.require_price()
            money = Amount.exact(budget, price.unit.partition("/")[0])
            if rates.bought:
                hours = money.over(price.amount, "h")
                computer, energy = rates.energy(hours)
            else:
                energy = money.over(price.amount, "kWh")
                hours, computer = rates.hours(energy)
    flop = hours.times(machine.per_hour, "FLOP")
    return _bill(machine, rates, _Known(flop, hours, computer, energy, location, money))


@dataclass(frozen=True, slots=True)
class _Known:
    """What stands before the rest is worked out: ``location`` and ``money`` where a budget gives them."""

    flop: Amount
    hours: Amount
    computer: Amount
    energy: Amount
    location: Amount | None = None
    money: Amount | None = None


def _bill(machine: Machine, rates: _Rates, known: _Known) -> Bill:
    location = known.location or _emitted(known.energy, rates.grid)
    # For want of a contract the market-based figure is the location-based one, and not another guess.
    same = rates.market == rates.grid
    return Bill(
        machine=machine,
        flop=known.flop,
        hours=known.hours,
        computer=known.computer,
        energy=known.energy,
        location=location,
        market=location if same else _emitted(known.energy, rates.market),
        embodied=known.hours.times(rates.embodied, "kgCO2e"),
        water=known.computer.times(rates.water.amount, "L"),
        money=known.money or rates.money(known.hours, known.energy),
        covers=rates.covers,
        factors=rates.factors,
        notes=rates.notes,
    )


def _emitted(energy: Amount, intensity: Factor) -> Amount:
    return energy.times(intensity.amount, "gCO2e").scaled(1e-3, "kgCO2e")


@dataclass(frozen=True, slots=True)
class _Rates:
    """What an hour of one device takes, factor by factor. ``price`` None: none is known; it is per
    device-hour where the computing is ``bought``, else per kWh."""

    watts: Amount
    pue: Factor
    grid: Factor
    market: Factor
    water: Factor
    price: Factor | None
    bought: bool
    embodied: Amount
    covers: str
    factors: tuple[Factor, ...]
    notes: tuple[str, ...]

    def energy(self, hours: Amount) -> tuple[Amount, Amount]:
        """Of the computers, and with what the building adds, in kWh."""
        computer = hours.times(self.watts.scaled(1e-3, "kW"), "kWh")
        return computer, computer.times(self.pue.amount, "kWh")

    def hours(self, energy: Amount) -> tuple[Amount, Amount]:
        """Device-hours, and the kWh of the computers, that so much energy with PUE is."""
        computer = energy.over(self.pue.amount, "kWh")
        return computer.over(self.watts.scaled(1e-3, "kW"), "h"), computer

    def money(self, hours: Amount, energy: Amount) -> Amount | None:
        if self.price is None:
            return None
        return (hours if self.bought else energy).times(self.price.amount, self.price.unit.partition("/")[0])

    def require_price(self) -> Factor:
        """InputError where no price is known."""
        if self.price is None:
            key = "price/instance-hour" if self.bought else "price/kwh"
            raise InputError(f"no price is known here: give one (--price), or {key} in your own factors")
        return self.price


def _rates(machine: Machine, site: Site) -> _Rates:
    watts, factor, covers = machine.watts_in_use()
    lines = _assessed(machine, site, watts, factor, covers)
    of = {quantity: line.factors[-1] for quantity, line in lines.items() if line.factors}
    embodied, made = _embodied(machine, site.book)
    used = (machine.utilisation, factor, *of.values(), *made)
    return _Rates(
        watts=watts,
        pue=of["energy"],
        grid=of["location"],
        market=of["market"],
        water=of["water"],
        price=of.get("money"),
        bought=site.scope == "3.1",
        embodied=embodied,
        covers=covers,
        factors=tuple({f.key: f for f in used}.values()),
        notes=tuple(dict.fromkeys(line.note for line in lines.values() if line.note)),
    )


def _assessed(
    machine: Machine, site: Site, watts: Amount, factor: Factor, covers: str
) -> Mapping[Quantity, Line]:
    """One hour of the device as ``carbon.assess`` reckons it, but for the making of the hardware: a run names
    one kind of hardware, and a device comes with its share of a server."""
    joules = watts.scaled(HOUR_S, "J")
    run = Run(
        kind="training",
        label=f"an hour of {machine.hardware.name}",
        began=utc(datetime.now(UTC)),
        seconds=HOUR_S,
        scope=site.scope,
        place=site.place,
        joules=joules.value,
        low=joules.low,
        high=joules.high,
        method="estimated",
        source=factor.source,
        covers=covers,
        facility=site.facility,
    )
    inventory = assess([run], site.book, settings=Settings(unknown_place="world"))
    return {line.quantity: line for line in inventory.lines if line.quantity != "embodied"}


def _embodied(machine: Machine, book: Book) -> tuple[Amount, tuple[Factor, ...]]:
    """The hour's share of making the device, and its share of a server's eighth; unknown where it is."""
    making = None if machine.hardware.embodied is None else book.get(f"embodied/{machine.hardware.embodied}")
    if making is None:
        return Amount.unknown("kgCO2e"), ()
    lifetime = book.find(LIFETIME_DEFAULT)
    parts = [(making, 1.0)]
    if machine.server and machine.hardware.form == "module":
        parts.append((book.find("embodied/server-8gpu"), SHARE_OF_SERVER))
    shares = [embodied_share(f.amount, HOUR_S, lifetime.amount, Amount.exact(s, "")) for f, s in parts]
    return Amount.total(shares, "kgCO2e"), (*(f for f, _ in parts), lifetime)


def _larger(a: Amount, b: Amount) -> Amount:
    value = None if a.value is None or b.value is None else max(a.value, b.value)
    return Amount(value, max(a.low, b.low), max(a.high, b.high), a.unit)
