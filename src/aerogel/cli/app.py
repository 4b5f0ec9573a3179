"""``aerogel COMMAND ...``: finds the command, runs it, turns errors into one line and an exit status."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Sequence

import aerogel
from aerogel.cli.command import BAD_INPUT, BROKEN_PIPE, Command, flush_output, give_up_output, note
from aerogel.cli.group import Group
from aerogel.core.errors import AerogelError

COMMANDS = {
    "doctor": "what works on this machine and what does not",
    "demo": "a real network, made sparse, compiled, compared: 5 to 8 minutes",
    "inspect": "where a model's zeros are, and whether they would pay here",
    "prune": "set weights to zero, and show what that costs and buys",
    "compile": "compile a model and show what each layer became",
    "run": "run a model on arrays or text",
    "evaluate": "index notation on tensors in files, sparse or dense",
    "bench": "time a model against other runtimes",
    "measure": "the energy of a command, and a gate on it for CI",
    "chip": "the accelerator: compile for it, simulate it, compare it, vary it",
    "carbon": "kWh, CO2e, water and money of what was run, or would be",
}
"""Each is a module of this package with a ``COMMAND``, maybe a ``Group``, imported only when asked for."""


def run(words: Sequence[str]) -> int:
    """The exit status of the command that ``words`` call."""
    try:
        try:
            status = _dispatch(list(words))
        finally:
            # Help and version end by raising SystemExit, and may have nowhere to go as well.
            flush_output()
    except AerogelError as error:
        if os.environ.get("AEROGEL_DEBUG") == "1":
            raise
        note(f"aerogel: {type(error).__name__}: {' '.join(str(error).split())}")
        return BAD_INPUT
    except BrokenPipeError:
        # The reader has gone (`aerogel doctor | head -1`): nobody is left to tell.
        give_up_output()
        return BROKEN_PIPE
    return status


def _dispatch(words: list[str]) -> int:
    if not words or words[0] not in COMMANDS:
        parser = _top_parser()
        parser.parse_args(words or ["--help"])  # ends here: help, version, or a usage error
        parser.error("give a command")
    module = importlib.import_module(f"aerogel.cli.{words[0]}")
    command: Command | Group = module.COMMAND
    if isinstance(command, Group):
        return command.run(words[0], words[1:])
    return command.run(command.parser(words[0]).parse_args(words[1:]))


def _top_parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<9} {about}" for name, about in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="aerogel",
        description="AI models with the zeros taken out: compiled to one native program, and measured.",
        epilog=f"commands:\n{listed}\n\nexample:\n  aerogel doctor\n\n`aerogel COMMAND --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"aerogel {aerogel.__version__}")
    parser.add_argument("command", choices=list(COMMANDS), metavar="COMMAND", help="what to do")
    return parser
