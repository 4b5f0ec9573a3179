"""``--report FILE.html``: what a command found, as one page that opens anywhere."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from aerogel.cli.command import note
from aerogel.report import Report, require_target, write


def add_report(parser: argparse.ArgumentParser) -> None:
    """``--report FILE.html``."""
    about = "also write the result as one HTML page, with pictures, that needs nothing else to open"
    parser.add_argument("--report", type=Path, metavar="FILE.html", help=about)


def require_reportable(args: argparse.Namespace) -> None:
    """Fail now, and not after minutes of measuring, where the report could not be written."""
    if args.report is not None:
        require_target(args.report)


def write_report(args: argparse.Namespace, made: Callable[[], Report]) -> None:
    """Write what ``made`` returns where ``--report`` was given, and say so on stderr."""
    if args.report is not None:
        size_bytes = write(made(), args.report)
        note(f"{args.report}: a report of {size_bytes / 1e3:.0f} kB")
