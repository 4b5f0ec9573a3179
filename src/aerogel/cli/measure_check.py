"""``aerogel measure check``: fails where an item takes more energy than when the baseline was recorded."""

from __future__ import annotations

import argparse
from pathlib import Path

from aerogel.cli.command import FAILED, OK, Command, positive, show
from aerogel.cli.measured import add_command, baseline, runs_of
from aerogel.core.errors import InputError, require
from aerogel.energy.gate import BYS, TOLERANCE, Baseline, judge, read_baseline, write_baseline


def _options(parser: argparse.ArgumentParser) -> None:
    about = "readings of before, as aerogel measure --save writes them"
    parser.add_argument("--baseline", type=Path, required=True, metavar="FILE.json", help=about)
    add_command(parser)
    about = "readings of now from a file too, rather than from running COMMAND"
    parser.add_argument("--current", type=Path, metavar="FILE.json", help=about)
    about = "how often to run COMMAND, after one run to warm up (default: as often as the baseline did)"
    parser.add_argument("--runs", type=positive, metavar="N", help=about)
    about = f"the rise that is let pass, as a share (default: {TOLERANCE:g})"
    parser.add_argument("--tolerance", type=_share, default=TOLERANCE, metavar="SHARE", help=about)
    about = "what is judged, per item (default: joules where they were measured, else cpu)"
    parser.add_argument("--by", choices=BYS, help=about)
    about = "keep the readings of now as well"
    parser.add_argument("--save", type=Path, metavar="FILE.json", help=about)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 on, such as 0.02 for 2 %")
    return value


def _run(args: argparse.Namespace) -> int:
    old = read_baseline(args.baseline)
    new = _now(args, old)
    if args.save is not None:
        write_baseline(new, args.save)
    found = judge(old, new, by=args.by, tolerance=args.tolerance)
    show(args, found.to_json(), f"{'ok' if found.passed else 'FAILED'}: {found}")
    return OK if found.passed else FAILED


def _now(args: argparse.Namespace, old: Baseline) -> Baseline:
    if args.current is not None:
        require(not args.words, InputError, "give --current or a command to run, not both")
        return read_baseline(args.current)
    told = "there is nothing to compare with the baseline: give a command after --, or --current FILE.json"
    require(args.words, InputError, told)
    runs = runs_of(args, args.runs or len(old.readings))
    return baseline(args, runs, args.items or old.items, args.item or old.item)


COMMAND = Command(
    about="Compare what a command takes per item with a baseline: exit status 1 where it is more, beyond\n"
    "the noise. Both must come from one machine and one meter. Without a meter nothing is claimed of\n"
    "energy, and CPU time per item is judged in its place.",
    example="aerogel measure --runs 7 --items 1000 --save energy.json -- python serve_1000.py\n"
    "  aerogel measure check --baseline energy.json -- python serve_1000.py",
    options=_options,
    run=_run,
    usage="--baseline FILE.json [--tolerance SHARE] [--by joules|cpu|seconds] [--json] -- COMMAND ...",
)
