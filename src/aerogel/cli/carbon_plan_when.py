"""``aerogel carbon plan when``: the best hours and places for a job with a deadline."""

from __future__ import annotations

import argparse
from pathlib import Path

from aerogel.carbon.amount import Amount
from aerogel.carbon.intensities import Intensities, moment, read_intensities
from aerogel.carbon.plan import Job, best_times
from aerogel.carbon.plan.render import shifting_text
from aerogel.cli.command import OK, Command, show
from aerogel.core.errors import InputError, require


def _options(parser: argparse.ArgumentParser) -> None:
    about = (
        "a CSV file of hours, past or forecast: time (2026-11-28T13:00+01:00), g_per_kwh; place, low, high"
    )
    parser.add_argument("table", type=Path, metavar="INTENSITIES.csv", help=about)
    parser.add_argument("--hours", type=float, required=True, metavar="H", help="how long the job runs")
    parser.add_argument("--kwh", type=float, required=True, metavar="E", help="what it takes, with PUE")
    about = "where it runs now (default: the table's only place)"
    parser.add_argument("--place", metavar="P", help=about)
    about = "when it could begin (default: when the table does), as 2026-11-28T13:00+01:00"
    parser.add_argument("--earliest", metavar="TIME", help=about)
    about = "when it must be done (default: when the table ends)"
    parser.add_argument("--deadline", metavar="TIME", help=about)
    parser.add_argument("--pieces", action="store_true", help="it may be stopped and taken up again")
    about = "how far off the table's figures may be, where it has no bounds: 0.1 for 10 %%"
    parser.add_argument("--error", type=float, metavar="SHARE", help=about)


def _run(args: argparse.Namespace) -> int:
    table = read_intensities(args.table, args.place, args.error)
    home = _home(args.place, table)
    slots = table[home]
    job = Job(
        energy=Amount.exact(args.kwh, "kWh"),
        seconds=3600 * args.hours,
        earliest=slots[0].begin if args.earliest is None else moment(args.earliest, "--earliest"),
        deadline=slots[-1].end if args.deadline is None else moment(args.deadline, "--deadline"),
        pieces=args.pieces,
    )
    found = best_times(job, table, home)
    show(args, found.to_json(), shifting_text(found))
    return OK


def _home(asked: str | None, table: Intensities) -> str:
    """The place that is compared with; InputError where it is not said which of several, or not there."""
    held = ", ".join(table)
    said = f"the table has several places ({held}): say where the job runs now (--place)"
    require(asked is not None or len(table) == 1, InputError, said)
    home = asked or next(iter(table))
    require(home in table, InputError, f"the table has no place {home!r}: it has {held}")
    return home


COMMAND = Command(
    about="The hours, and of several places the place, at which a job with a deadline emits least, by a\n"
    "table of intensities or a forecast; and how much less that is than running at once where it is.",
    example="aerogel carbon plan when forecast.csv --hours 4 --kwh 12 --deadline 2026-11-30T08:00+01:00\n"
    "  aerogel carbon plan when forecast.csv --place FRA --hours 20 --kwh 60 --pieces --error 0.1",
    options=_options,
    run=_run,
)
