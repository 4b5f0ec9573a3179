"""The options of plans that say where work would run, on what, and what it would cost there."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from aerogel.carbon.book import load_book
from aerogel.carbon.factor import Book, Factor
from aerogel.carbon.places import place_named
from aerogel.carbon.plan import HardwareTable, Machine, Site, hardware_table
from aerogel.carbon.plan.assumed import UTILISATION, own_utilisation
from aerogel.carbon.plan.hardware import DTYPES, Hardware
from aerogel.cli.command import Options
from aerogel.core.errors import InputError, require

_PRICE = re.compile(r"(\d+(?:\.\d+)?) ?([A-Z]{3})/(kWh|h)")
WORLD = "world"


def add_site(parser: argparse.ArgumentParser) -> None:
    """``--place FRA --facility aws --bought --price 0.12EUR/kWh --factors FILE``."""
    about = "where it would run: FRA, aws/eu-west-1; or world: the average of all countries, with its range"
    parser.add_argument("--place", metavar="P", help=about)
    about = "whose building (PUE): on-premises, aws, google, azure, cloud; by default a cloud region's own"
    parser.add_argument("--facility", metavar="F", help=about)
    about = "computing that is bought by the hour, not own hardware whose electricity is paid for"
    parser.add_argument("--bought", action="store_true", help=about)
    about = "what it costs: 0.12EUR/kWh, or per device-hour 2.5USD/h with --bought"
    parser.add_argument("--price", type=price_of, metavar="X", help=about)
    add_factors(parser)


def add_factors(parser: Options) -> None:
    """``--factors FILE``, as often as wanted."""
    about = "own factors (TOML or CSV), which go before aerogel's; more than once for several files"
    parser.add_argument("--factors", type=Path, action="append", default=[], metavar="FILE", help=about)


def add_machine(parser: argparse.ArgumentParser) -> None:
    """``--dtype bf16 --utilisation 0.4 --watts 600 --hardware-table FILE``."""
    about = f"dtype of the operations: {', '.join(DTYPES)} (default: bf16)"
    parser.add_argument("--dtype", choices=DTYPES, default="bf16", metavar="D", help=about)
    low, high = 100 * UTILISATION.low, 100 * UTILISATION.high
    about = f"the share of its peak that a device reaches (default: 0.4, between {low:.0f} and {high:.0f} %%)"
    parser.add_argument("--utilisation", type=float, metavar="U", help=about)
    about = "watts in use of one device and what is counted with it (default: by its design power)"
    parser.add_argument("--watts", type=float, metavar="W", help=about)
    about = "own hardware, CSV: key, name, form, year, watts, grade, source, and peaks as bf16 in TFLOP/s"
    parser.add_argument("--hardware-table", type=Path, metavar="FILE", help=about)


def book_of(args: argparse.Namespace) -> Book:
    """aerogel's factors and the user's."""
    return load_book(args.factors)


def site_of(args: argparse.Namespace) -> Site:
    """Where the options place the work; InputError where they name no place: none is guessed."""
    said = "it is not said where this would run, and grids differ a hundredfold: give --place FRA, or world"
    require(args.place, InputError, said)
    place = None if args.place.lower() == WORLD else place_named(args.place)
    book = book_of(args)
    if args.price is not None:
        book = book.with_own([price_factor(args.price, bought=args.bought)])
    return Site(book, place, args.facility, "3.1" if args.bought else "2")


def machine_of(args: argparse.Namespace, hardware: Hardware, *, server: bool = True) -> Machine:
    """The hardware as the options say it would be used."""
    utilisation = UTILISATION if args.utilisation is None else own_utilisation(args.utilisation)
    return Machine(hardware, args.dtype, utilisation, server, args.watts)


def table_of(args: argparse.Namespace) -> HardwareTable:
    """aerogel's hardware and the user's."""
    return hardware_table(args.hardware_table)


def names(text: str) -> tuple[str, ...]:
    """``a,b`` as its parts; for argparse."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def price_of(text: str) -> tuple[float, str, str]:
    """(0.12, "EUR", "kWh") of 0.12EUR/kWh; for argparse."""
    found = _PRICE.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a price, such as 0.12EUR/kWh or 2.5USD/h")
    return float(found[1]), found[2], found[3]


def price_factor(price: tuple[float, str, str], *, bought: bool) -> Factor:
    """A price as the user's own factor; InputError where it is per the wrong unit."""
    value, currency, per = price
    wanted = "h" if bought else "kWh"
    said = f"a price per {per} is given: with --bought give one per h, without it one per kWh"
    require(per == wanted, InputError, said)
    key = "price/instance-hour" if bought else "price/kwh"
    return Factor(
        key, value, value, value, f"{currency}/{per}", None, "given on the command line", "measured"
    )
