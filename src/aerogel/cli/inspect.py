"""``aerogel inspect``: where a model's zeros are or could be, and whether they would pay on this CPU."""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

from aerogel.cli.command import OK, Command, add_model, note, show
from aerogel.cli.reported import add_report, require_reportable, write_report
from aerogel.find.inspect import BUDGET_S, inspect
from aerogel.find.render import text
from aerogel.find.result import Section
from aerogel.report.inspect import inspect_report


def _options(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    about = (
        "texts to feed the model: .txt, .jsonl, .csv or .tsv (default: docstrings of the standard library)"
    )
    parser.add_argument("--data", type=Path, metavar="FILE", help=about)
    parser.add_argument(
        "--layers", action="store_true", help="a line for every layer, not one for all that are alike"
    )
    about = "also prune each layer alone and show how much the output changes; up to as long again"
    parser.add_argument("--sensitivity", action="store_true", help=about)
    about = (
        f"about how long it may take; what there is no time for is named (default: {BUDGET_S:g}; the whole "
        "map, every pattern in fp32 and int8, wants some minutes)"
    )
    parser.add_argument("--seconds", type=_seconds, default=BUDGET_S, metavar="S", help=about)
    add_report(parser)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, such as 60")
    return value


def _run(args: argparse.Namespace) -> int:
    require_reportable(args)
    first = True

    def tell(section: Section) -> None:
        # Shown as soon as it is known: the reader need not wait for what is measured last.
        nonlocal first
        if not args.json:
            show(args, {}, ("" if first else "\n") + text(section, every_layer=args.layers))
            first = False

    began = perf_counter()
    found = inspect(
        args.model,
        data=args.data,
        budget_s=args.seconds,
        sensitivity=args.sensitivity,
        progress=lambda doing: note(f"[{perf_counter() - began:3.0f} s] {doing}"),
        found=tell,
    )
    if args.json:
        show(args, found.to_json(), "")
    write_report(args, lambda: inspect_report(found, every_layer=args.layers))
    return OK


COMMAND = Command(
    about="Show where a model's zeros are, in weights and activations, and what it computes; measure, on\n"
    "this CPU, from which share of zeros on its layers would be faster; and say whether sparsity, int8,\n"
    "both or neither would pay. Changes nothing.",
    example="aerogel inspect ./all-MiniLM-L6-v2 --report zeros.html\n"
    "  aerogel inspect ./all-MiniLM-L6-v2 --seconds 300 --layers\n"
    "  aerogel inspect minilm.aero --data texts.jsonl --json",
    options=_options,
    run=_run,
)
