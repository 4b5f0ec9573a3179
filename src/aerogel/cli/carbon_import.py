"""``aerogel carbon import``: lists of usage into the ledger."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import get_args

from aerogel.carbon.book import load_book
from aerogel.carbon.ledger import Ledger
from aerogel.carbon.run import Run, Scope
from aerogel.carbon.usage import COLUMNS, UNKNOWN, Defaults, read_usage
from aerogel.cli.carbon_site import add_factors
from aerogel.cli.command import OK, Command, show
from aerogel.cli.recorded import add_ledger_path

_COLUMNS = f"""\
One line is one run. Columns, in any order, of which only began must be there:
{textwrap.fill(", ".join(COLUMNS), 104)}

began is a time, or a day, month or year as a whole (2026-10); until ends it. Energy is kwh, or watts (with
hours and count), or joules_per_unit (with units), each with low_ and high_ where it has bounds; else it is
bounded by vcpus, or by gpu_watts, the design power of the GPUs. What is empty is not known: it is not zero.
A place is a country (FRA), a region (aws/eu-west-1) or {UNKNOWN}. The same lines are never counted twice."""


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.csv", help="lists of usage")
    add_ledger_path(parser)
    group = parser.add_argument_group("what lines mean that do not say", _COLUMNS)
    group.add_argument(
        "--scope", choices=get_args(Scope), help="2: own hardware, 3.1: computing that was bought"
    )
    about = f"a country as FRA, a region as aws/eu-west-1, or {UNKNOWN}"
    group.add_argument("--place", metavar="PLACE", help=about)
    about = "whose building, for PUE: on-premises, aws, google, azure, cloud; included: the kWh hold all"
    group.add_argument("--facility", metavar="F", help=about)
    add_factors(group)
    group.add_argument("--dry-run", action="store_true", help="check the lists, and add nothing")


def _run(args: argparse.Namespace) -> int:
    ledger = Ledger(args.ledger)
    defaults = Defaults(scope=args.scope, place=args.place, facility=args.facility)
    book = load_book(args.factors)
    found = {path: read_usage(path, book, defaults) for path in args.files}
    runs = [run for each in found.values() for run in each]
    added = 0 if args.dry_run else ledger.add(runs)
    document = {
        "ledger": str(ledger.path),
        "lines": {str(path): len(each) for path, each in found.items()},
        "added": added,
        "there_already": None if args.dry_run else len(runs) - added,
        "without_place": sum(run.place is None for run in runs),
        "without_energy": sum(run.high is None and run.joules is None for run in runs),
    }
    show(args, document, _text(args, ledger, runs, added))
    return OK


def _text(args: argparse.Namespace, ledger: Ledger, runs: list[Run], added: int) -> str:
    lines = [
        f"{len(runs)} lines are sound; nothing was added (--dry-run)"
        if args.dry_run
        else f"{added} of {len(runs)} lines added to {ledger.path}"
    ]
    if not args.dry_run and added < len(runs):
        lines.append(
            f"{len(runs) - added} were there already: give them a label of their own if they are not"
        )
    nowhere = sum(run.place is None for run in runs)
    if nowhere:
        lines.append(
            f"{nowhere} have no place: a report refuses them, or takes the world's average and range"
        )
    dark = sum(run.high is None and run.joules is None for run in runs)
    if dark:
        lines.append(f"{dark} have no energy, nor what would bound it (kwh, watts, vcpus, gpu_watts)")
    return "\n".join(lines)


COMMAND = Command(
    about="Take instance-hours, kWh or tokens from CSV files into the ledger; all lines or none.",
    example="aerogel carbon import usage.csv --scope 3.1 --place aws/eu-west-1",
    options=_options,
    run=_run,
    usage="FILE.csv [options]",
)
