"""``aerogel measure -- COMMAND``: the energy of a command and of everything it starts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from aerogel.cli.command import Command, positive, show
from aerogel.cli.measured import (
    above_zero,
    add_command,
    baseline,
    note_lines,
    require_words,
    runs_of,
    shared_lines,
)
from aerogel.cli.recorded import add_ledger, record_readings, require_recordable
from aerogel.core.errors import InputError, require
from aerogel.energy.attribution import Span
from aerogel.energy.command import Idle, Ran, watch_idle
from aerogel.energy.gate import write_baseline
from aerogel.energy.reading import Reading


def _options(parser: argparse.ArgumentParser) -> None:
    add_command(parser)
    about = "run it so often, after one run that only warms up (default: once, without)"
    parser.add_argument("--runs", type=positive, default=1, metavar="N", help=about)
    about = "keep the readings, as a baseline for aerogel measure check"
    parser.add_argument("--save", type=Path, metavar="FILE.json", help=about)
    apart = parser.add_mutually_exclusive_group()
    about = "before it starts, watch the machine do nothing for so long, to tell idling from load"
    apart.add_argument("--idle", type=above_zero, metavar="SECONDS", help=about)
    about = "what the machine draws without load, where that is known"
    apart.add_argument("--idle-watts", type=above_zero, metavar="W", help=about)
    add_ledger(parser)


def _run(args: argparse.Namespace) -> int:
    require_words(args)
    told = "a baseline of few runs knows little of the noise: give --runs 5 or more with --save"
    require(args.save is None or args.runs >= 5, InputError, told)
    require_recordable(args)
    idle = _idle(args)
    runs = runs_of(args, args.runs, idle)
    _record(args, runs)
    if args.save is not None:
        write_baseline(baseline(args, runs, args.items or 1, args.item or "item"), args.save)
    if args.json:
        show(args, _document(args, runs, idle), "")
    else:
        note_lines(_lines(args, runs))
    return runs[-1].status


def _record(args: argparse.Namespace, runs: list[Ran]) -> None:
    """In the ledger, if one was asked for: the program's name alone, for arguments may be secret."""
    units = {} if args.items is None else {"units": args.items, "unit": args.item or "item"}
    readings = [ran.reading for ran in runs]
    record_readings(args, readings, "usage", args.label or Path(args.words[0]).name, **units)


def _idle(args: argparse.Namespace) -> Idle | None:
    if args.idle is not None:
        return watch_idle(args.idle)
    if args.idle_watts is not None:
        return Idle(Span(args.idle_watts, args.idle_watts, args.idle_watts), "given with --idle-watts")
    return None


def _document(args: argparse.Namespace, runs: list[Ran], idle: Idle | None) -> dict[str, Any]:
    return {
        "program": Path(args.words[0]).name,
        "status": runs[-1].status,
        "items": args.items or 1,
        "item": args.item or "item",
        "idle": None if idle is None else {"watts": idle.watts.to_json(), "source": idle.source},
        "runs": [ran.to_json() for ran in runs],
    }


def _lines(args: argparse.Namespace, runs: list[Ran]) -> list[str]:
    each = [_amount(args, ran.reading) for ran in runs]
    lines = [f"run {number} of {len(runs)}: {said}" for number, said in enumerate(each, 1)]
    last = runs[-1].reading
    if len(runs) == 1:
        lines = [str(last), *([each[0]] if args.items is not None else [])]
    else:
        lines.append(f"the last run: {last}")
    lines += shared_lines(runs[-1])
    if args.idle_watts is not None and last.model is not None:
        lines.append(f"--idle-watts is not used: the power model {last.model} says what idling takes")
    if args.save is not None:
        check = f"aerogel measure check --baseline {args.save} -- COMMAND"
        lines.append(f"{args.save}: a baseline of {len(runs)} runs; {check}")
    return lines


def _amount(args: argparse.Namespace, reading: Reading) -> str:
    """Of one run, and of one item of it."""
    whole = f"{reading.amount} in {reading.seconds:.3g} s ({reading.cpu_seconds:.3g} CPU s)"
    if args.items is None:
        return whole
    return f"{whole}, per {args.item or 'item'} {reading.per_run(args.items).amount}"


COMMAND = Command(
    about="Run a command under the meter: its energy, with that of everything it starts, and whose it was.",
    example="aerogel measure -- python train.py\n"
    "  aerogel measure --items 1000 --item request --idle 10 -- ./serve-1000\n"
    "  aerogel measure --runs 5 --save energy.json -- python train.py\n\n"
    "The result goes to stderr and the exit status is the command's; with --json the result goes to\n"
    "standard output, and what the command prints there to stderr.",
    options=_options,
    run=_run,
    usage="[--items N] [--item NAME] [--runs N] [--idle SECONDS] [--save FILE.json] [--json] -- COMMAND ...",
)
