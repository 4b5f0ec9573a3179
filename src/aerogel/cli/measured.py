"""What ``aerogel measure run`` and ``check`` share: a command, run so often under a meter, and in words."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from aerogel.cli.command import note, positive
from aerogel.core.errors import InputError, MeasureError, require
from aerogel.energy.attribution import Attribution
from aerogel.energy.command import Idle, Ran, run_metered
from aerogel.energy.gate import Baseline, baseline_of

_SHOWN = 8


def add_command(parser: argparse.ArgumentParser) -> None:
    """``-- COMMAND ...``, and what it does."""
    about = "the command, with its own options, after --"
    parser.add_argument("words", nargs="*", metavar="COMMAND", help=about)
    about = "how many items one run does, so that energy is told per item (default: 1 run is 1 item)"
    parser.add_argument("--items", type=positive, metavar="N", help=about)
    about = "what an item is: token, image, request, ... (default: item)"
    parser.add_argument("--item", metavar="NAME", help=about)
    about = "label of the baseline (default: the program's name; arguments are never kept)"
    parser.add_argument("--label", metavar="TEXT", help=about)


def above_zero(text: str) -> float:
    """A number above 0; for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0, such as 10")
    return value


def runs_of(args: argparse.Namespace, count: int, idle: Idle | None = None) -> list[Ran]:
    """``count`` runs, after one that only warms up where there are several; ends at the first that fails.

    With ``--json`` standard output is ours, so the command writes where errors go.
    """
    stdout = sys.stderr if args.json else None
    found: list[Ran] = []
    for number in range(count + 1 if count > 1 else 1):
        ran = run_metered(args.words, idle=idle, stdout=stdout)
        if number or count == 1:
            found.append(ran)
        if ran.status:
            return [ran]
    return found


def baseline(args: argparse.Namespace, runs: Sequence[Ran], items: float, item: str) -> Baseline:
    """Of runs of ``args.words``; MeasureError where one failed."""
    for ran in runs:
        told = f"{args.words[0]} ended with status {ran.status}: only runs that succeed can be compared"
        require(ran.status == 0, MeasureError, told)
    label = args.label or Path(args.words[0]).name
    return baseline_of([ran.reading for ran in runs], label=label, items=items, item=item)


def require_words(args: argparse.Namespace) -> None:
    told = "there is no command to measure: give one after --, as in aerogel measure -- python train.py"
    require(args.words, InputError, told)


def shared_lines(ran: Ran) -> list[str]:
    """Whose energy it was, one line each: idling, the busiest processes, the rest."""
    lines = [] if ran.attribution is None else _parts(ran.attribution)
    if not ran.detailed:
        lines.append('  processes are not told apart: pip install "aerogel[meters]"')
    if ran.running:
        lines.append(f"  {ran.running} of its processes still run; what they take from now on is not counted")
    return lines


def _parts(found: Attribution) -> list[str]:
    processes = [part for part in found.parts if part.kind == "process"]
    first = [part for part in found.parts if part.kind in ("idle", "gpu")]
    rest = [part for part in found.parts if part.kind in ("unseen", "others")]
    shown = [*first, *processes[:_SHOWN], *rest]
    lines = [f"Shared out {found.by}:"]
    for part in shown:
        cpu = "" if part.cpu_seconds is None else f"{part.cpu_seconds:.2f} CPU s"
        lines.append(f"  {part.what:<40} {cpu:>12}  {part.joules}")
    if len(processes) > _SHOWN:
        lines.append(f"  and {len(processes) - _SHOWN} more processes, each with less")
    return lines


def note_lines(lines: Sequence[str]) -> None:
    """On stderr, as ``time`` does: standard output is the command's."""
    for line in lines:
        note(line)
