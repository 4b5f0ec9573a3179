"""``aerogel carbon report``: what the ledger's runs used and emitted, on a page, in tables, as text."""

from __future__ import annotations

import argparse
from pathlib import Path

from aerogel.carbon.assess import Settings
from aerogel.carbon.book import load_book
from aerogel.carbon.disclosure import Turnover
from aerogel.carbon.factor import Book
from aerogel.carbon.intensities import read_intensities
from aerogel.carbon.ledger import Ledger
from aerogel.carbon.places import place_named
from aerogel.carbon.statement import Asked, Statement, statement
from aerogel.carbon.varying import varying
from aerogel.cli.carbon_site import add_factors, price_factor, price_of
from aerogel.cli.command import OK, Command, fraction, note, show
from aerogel.cli.recorded import add_ledger_path
from aerogel.core.errors import InputError, require
from aerogel.report import require_target, write
from aerogel.report.carbon import carbon_report
from aerogel.report.carbon_files import require_table_target, write_csv, write_xlsx
from aerogel.report.carbon_savings import savings_report
from aerogel.report.carbon_text import text


def _options(parser: argparse.ArgumentParser) -> None:
    add_ledger_path(parser)
    parser.add_argument("--since", metavar="DAY", help="runs that began from this day on, UTC: 2026-01-01")
    parser.add_argument("--until", metavar="DAY", help="runs that began before this day, UTC: 2027-01-01")
    files = parser.add_argument_group("files")
    about = "a page with pictures; projected savings go to a page of their own, FILE-savings.html"
    files.add_argument("--html", type=Path, metavar="FILE.html", help=about)
    files.add_argument("--xlsx", type=Path, metavar="FILE.xlsx", help="a workbook of all tables")
    about = "a folder of all tables; to FILE.csv the lines alone, of which all totals are sums"
    files.add_argument("--csv", type=Path, metavar="FOLDER", help=about)
    _answers(parser)


def _answers(parser: argparse.ArgumentParser) -> None:
    """What runs leave open."""
    group = parser.add_argument_group("what the runs do not say")
    add_factors(group)
    group.add_argument("--place", metavar="P", help="where runs were that name no place: FRA, aws/eu-west-1")
    about = "what to do with runs without a place (default: error); world: the average, with its range"
    group.add_argument("--unknown-place", choices=("error", "world"), default="error", help=about)
    about = "whose building (PUE) runs were in that name none: on-premises, aws, google, azure, cloud"
    group.add_argument("--facility", metavar="F", help=about)
    about = "hardware of runs that name none, for what making it emitted: server, h100"
    group.add_argument("--hardware", metavar="H", help=about)
    about = "the share of that hardware that was reserved, 0 to 1"
    group.add_argument("--share", type=fraction, metavar="S", help=about)
    about = "grid intensity that varies with time, CSV: time,place,g_per_kwh[,low,high]"
    group.add_argument("--intensity", type=Path, metavar="FILE.csv", help=about)
    about = "what it costs: 0.12EUR/kWh, 2.5USD/h; once for each"
    group.add_argument("--price", type=price_of, action="append", default=[], metavar="X", help=about)
    about = "of the company in the period, for intensities: 12.5e6 (EUR), 12.5e6USD"
    group.add_argument("--turnover", type=_turnover, metavar="T", help=about)
    about = "units of work a year that savings are projected to: 1e6, or of one pair NAME=1e6"
    group.add_argument(
        "--yearly-units", type=_volume, action="append", default=[], metavar="[NAME=]N", help=about
    )


def _run(args: argparse.Namespace) -> int:
    _require_targets(args)
    ledger = Ledger(args.ledger)
    book = _book(args)
    runs = ledger.runs(args.since, args.until)
    found = statement(runs, book, _asked(args, str(ledger.path)))
    show(args, found.to_json(), text(found))
    _write(args, found)
    return OK


def _require_targets(args: argparse.Namespace) -> None:
    """Fail before the work where a file could not be written."""
    if args.html is not None:
        require_target(args.html)
    for path in (args.csv, args.xlsx):
        if path is not None:
            require_table_target(path)
    if args.xlsx is not None:
        said = f"{args.xlsx} is no name for a workbook: end it in .xlsx"
        require(args.xlsx.suffix.lower() == ".xlsx", InputError, said)


def _book(args: argparse.Namespace) -> Book:
    book = load_book(args.factors)
    return book.with_own([price_factor(each, bought=each[2] == "h") for each in args.price])


def _asked(args: argparse.Namespace, ledger: str) -> Asked:
    place = None if args.place is None else place_named(args.place)
    table = None if args.intensity is None else read_intensities(args.intensity, place)
    settings = Settings(
        facility=args.facility,
        hardware=args.hardware,
        share=args.share,
        place=place,
        unknown_place=args.unknown_place,
        intensity=None if table is None else varying(table, str(args.intensity)),
    )
    said = "--share is the share of a kind of hardware: name it with --hardware"
    require(args.share is None or args.hardware is not None, InputError, said)
    named = {name: units for name, units in args.yearly_units if name is not None}
    every = [units for name, units in args.yearly_units if name is None]
    said = "--yearly-units is given both for all pairs and by name: give either"
    require(not (named and every) and len(every) < 2, InputError, said)
    yearly = named or (every[0] if every else None)
    return Asked(settings, args.turnover, yearly, args.since, args.until, ledger)


def _write(args: argparse.Namespace, found: Statement) -> None:
    if args.html is not None:
        size_bytes = write(carbon_report(found), args.html)
        note(f"{args.html}: a report of {size_bytes / 1e3:.0f} kB")
        if found.savings:
            beside = args.html.with_name(f"{args.html.stem}-savings{args.html.suffix}")
            write(savings_report(found), beside)
            note(f"{beside}: projected savings, on a page of their own")
    if args.xlsx is not None:
        write_xlsx(found, args.xlsx)
        note(f"{args.xlsx}: a workbook of all tables")
    if args.csv is not None:
        write_csv(found, args.csv)
        note(f"{args.csv}: {'every line' if args.csv.suffix.lower() == '.csv' else 'a folder of all tables'}")


def _turnover(text_: str) -> Turnover:
    number = text_.strip().rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    currency = text_.strip()[len(number) :].strip() or "EUR"
    try:
        return Turnover(float(number), currency)
    except ValueError as error:
        said = f"{text_!r} is not a turnover above 0, such as 12.5e6 or 12.5e6USD"
        raise argparse.ArgumentTypeError(said) from error


def _volume(text_: str) -> tuple[str | None, float]:
    name, equals, number = text_.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf") or (equals and not name):
        raise argparse.ArgumentTypeError(f"{text_!r} is not a yearly volume, such as 1e6 or minilm=1e6")
    return (name or None), value


COMMAND = Command(
    about="Say what the runs of the ledger took: electricity, emissions by scope (location- and\n"
    "market-based, making of hardware), water and money, with bounds; SCI, the blocks of VSME B3 and ESRS\n"
    "E1, and every assumption. Projected savings stand apart and are never taken from it.",
    example="aerogel carbon report --since 2026-01-01 --until 2027-01-01 --html year.html --xlsx year.xlsx\n"
    "  aerogel carbon report --factors contract.toml --yearly-units minilm=1e9 --turnover 12.5e6\n"
    "  aerogel carbon report --place FRA --facility on-premises --hardware server --share 0.5 --json",
    options=_options,
    run=_run,
    usage="[--html FILE.html] [--xlsx FILE.xlsx] [--csv FOLDER] [options]",
)
