"""``aerogel carbon ledger``: what is on record, whether it is sound, and how to save it where it is not."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from aerogel.carbon.ledger import Ledger
from aerogel.carbon.ledger_recover import check, recover
from aerogel.carbon.run import Run
from aerogel.cli.command import FAILED, OK, Command, show
from aerogel.cli.recorded import add_ledger_path
from aerogel.energy.reading import joules_text
from aerogel.report.carbon_words import plain
from aerogel.report.wording import counted

_LABEL = 32


def _options(parser: argparse.ArgumentParser) -> None:
    add_ledger_path(parser)
    parser.add_argument("--since", metavar="DAY", help="only runs that began on that day or later")
    parser.add_argument("--until", metavar="DAY", help="only runs that began before that day")
    does = parser.add_mutually_exclusive_group()
    does.add_argument(
        "--check", action="store_true", help="look for damage; exit status 1 where there is any"
    )
    about = "write all that is sound, in the ledger or in the copy beside it, to a new ledger"
    does.add_argument("--recover", type=Path, metavar="NEW", help=about)


def _run(args: argparse.Namespace) -> int:
    ledger = Ledger(args.ledger)
    if args.check:
        return _check(args, ledger)
    if args.recover is not None:
        return _recover(args, ledger)
    runs = ledger.runs(args.since, args.until)
    document = {"ledger": str(ledger.path), "runs": [run.to_json() for run in runs]}
    show(args, document, "\n".join([f"{counted(len(runs), 'run')} in {ledger.path}", *_lines(runs)]))
    return OK


def _check(args: argparse.Namespace, ledger: Ledger) -> int:
    found = check(ledger)
    sound = f"{ledger.path}: {found.rows} rows, all sound, and {found.copied} in the copy"
    text = "\n".join(found.faults) if found.faults else sound
    show(args, {"ledger": str(ledger.path), **found.to_json()}, text)
    return FAILED if found.faults else OK


def _recover(args: argparse.Namespace, ledger: Ledger) -> int:
    saved = recover(ledger, args.recover)
    lost = f"; in neither: {', '.join(map(str, saved.lost))}" if saved.lost else "; none is missing"
    text = f"{saved.runs} runs saved to {args.recover}, {saved.from_copy} of them from the copy alone{lost}"
    show(args, {"ledger": str(ledger.path), "new": str(args.recover), **saved.to_json()}, text)
    return FAILED if saved.lost else OK


def _lines(runs: Sequence[Run]) -> list[str]:
    return [
        f"{run.began[:16]}Z  {run.kind:<9}  {run.scope:<3}  {run.place or 'unknown':<18}  "
        f"{_energy(run):<24}  {plain(run.label[:_LABEL])}"
        for run in runs
    ]


def _energy(run: Run) -> str:
    if run.joules is not None:
        return f"{_amount(run.joules)} {run.method}"
    if run.low is None or run.high is None:
        return "not known"
    return f"{_amount(run.low)} to {_amount(run.high)}"


def _amount(joules: float) -> str:
    """In kWh from 0.1 kWh on, as bills have it."""
    return joules_text(joules) if joules < 3.6e5 else f"{joules / 3.6e6:,.3g} kWh"


COMMAND = Command(
    about="List what is on record; check the ledger's files, or save what is sound in them.",
    example="aerogel carbon ledger --check",
    options=_options,
    run=_run,
)
