"""The command line: one file per command, which parses, calls and prints; nothing is computed here."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``, by default the process's own. Exit status: 0 done, 1 a check failed,
    2 bad input, 130 interrupted, 141 nobody reads the output."""
    try:
        # An interrupt may come while this loads, too.
        from aerogel.cli.app import run

        return run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        print("aerogel: interrupted", file=sys.stderr, flush=True)
        return INTERRUPTED
