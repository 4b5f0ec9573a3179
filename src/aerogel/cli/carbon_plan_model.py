"""``aerogel carbon plan model``: right-sizing, the cheapest model that is good enough."""

from __future__ import annotations

import argparse
from pathlib import Path

from aerogel.carbon.ledger import Ledger
from aerogel.carbon.plan import read_candidates, right_size
from aerogel.carbon.plan.render import choice_text
from aerogel.cli.command import FAILED, OK, Command, show


def _options(parser: argparse.ArgumentParser) -> None:
    about = (
        "a CSV file, a row for each model as measured on your task: model, accuracy, tested (examples), and "
        "joules_per_item with joules_low and joules_high, or seconds_per_item; method"
    )
    parser.add_argument("table", type=Path, metavar="MODELS.csv", help=about)
    about = "what the model must reach, in the unit of the table's accuracy"
    parser.add_argument("--accuracy", type=float, required=True, metavar="A", help=about)
    about = "let in only models that reach it wherever their accuracy lies in its 95 %% interval"
    parser.add_argument("--sure", action="store_true", help=about)

    about = "take the cost of models that the table gives none of from this ledger's runs, by their name"
    parser.add_argument("--ledger", type=Path, metavar="FILE", help=about)


def _run(args: argparse.Namespace) -> int:
    runs = () if args.ledger is None else Ledger(args.ledger).runs()
    choice = right_size(read_candidates(args.table, runs), args.accuracy, sure=args.sure)
    show(args, choice.to_json(), choice_text(choice))
    return OK if choice.chosen is not None else FAILED


COMMAND = Command(
    about="Of several models measured on your task, the cheapest that reaches an accuracy: in energy where\n"
    "that was measured, else in time. Says how sure it is of both. Exit status 1 where none does.",
    example="aerogel carbon plan model models.csv --accuracy 0.9 --sure\n"
    "  aerogel carbon plan model accuracies.csv --accuracy 0.9 --ledger runs.db",
    options=_options,
    run=_run,
)
