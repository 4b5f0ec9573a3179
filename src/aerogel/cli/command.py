"""What a command is, and the options and output that commands share."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aerogel.core.errors import InputError
from aerogel.prune.pattern import PATTERNS, pattern_named, wanted_sparsity

OK, FAILED, BAD_INPUT, BROKEN_PIPE = 0, 1, 2, 141


@dataclass(frozen=True, slots=True)
class Command:
    """``options`` adds arguments to a parser; ``run`` does the work and returns the exit status.

    ``about`` and ``example`` are what ``--help`` shows around them. ``usage``: what follows the command's
    name in the usage line, where the options are too many to list there.
    """

    about: str
    example: str
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    usage: str | None = None

    def parser(self, name: str) -> argparse.ArgumentParser:
        """The parser of ``aerogel NAME``; every command takes ``--json``."""
        parser = argparse.ArgumentParser(
            prog=f"aerogel {name}",
            usage=None if self.usage is None else f"aerogel {name} {self.usage}",
            description=self.about,
            epilog=f"example:\n  {self.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.options(parser)
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
        return parser


class Options(Protocol):
    """A parser, or a group of its options under a heading."""

    def add_argument(self, *args: Any, **kwargs: Any) -> Any: ...


_MODEL = "a Hugging Face directory, an .aero file, or FILE.py:FUNCTION, which returns (module, inputs)"


def add_model(parser: argparse.ArgumentParser) -> None:
    """``MODEL``."""
    parser.add_argument("model", metavar="MODEL", help=_MODEL)


def add_pruning(parser: argparse.ArgumentParser) -> None:
    """``--sparsity S --pattern P``; without a sparsity the model stays as it is (but see ``sparsity_of``)."""
    about = "prune by magnitude first: the share of weights to set to zero, 0 to 1"
    parser.add_argument("--sparsity", type=fraction, metavar="S", help=about)
    add_pattern(parser)


def add_pattern(parser: Options, default: str | None = "unstructured") -> None:
    """``--pattern P``; ``default``: None where something else may say it, too."""
    about = f"which weights go together: {', '.join(PATTERNS)}, or N:M as in 2:4 (default: unstructured)"
    parser.add_argument("--pattern", type=_pattern, default=default, metavar="P", help=about)


def _pattern(text: str) -> str:
    try:
        return pattern_named(text).name
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def sparsity_of(args: argparse.Namespace) -> float | None:
    """``--sparsity``, or what ``--pattern`` fixes it to, as 2:4 does; None where neither says. InputError
    where they disagree."""
    return wanted_sparsity(pattern_named(args.pattern), args.sparsity)


def add_threads(parser: Options, default: str = "all granted") -> None:
    """``--threads N``; without it None, of which ``default`` says what it means."""
    about = f"threads to use (default: {default})"
    parser.add_argument("--threads", type=positive, metavar="N", help=about)


def positive(text: str) -> int:
    """A whole number from 1 on; for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on, such as 2")
    return value


def fraction(text: str) -> float:
    """A number from 0 to 1; for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a fraction between 0 and 1, such as 0.8")
    return value


def show(args: argparse.Namespace, document: dict[str, Any], text: str) -> None:
    """Print ``document`` as JSON where ``--json`` was given, else ``text``; InputError if stdout is full."""
    _write(json.dumps(document, indent=2, allow_nan=False) + "\n" if args.json else text + "\n")


def flush_output() -> None:
    """Send what was printed on its way; InputError if stdout is full."""
    _write("")


def _write(text: str) -> None:
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up_output()
        raise InputError(
            f"the result cannot be written to standard output ({error.strerror}): give it another place"
        ) from error


def give_up_output() -> None:
    """Let what could not be written go nowhere: else Python tries again at exit, and complains."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """One line for the reader, apart from the result: on stderr."""
    print(text, file=sys.stderr, flush=True)
