"""A command of several: ``aerogel carbon report``, ``aerogel carbon plan``; each in a file of its own."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aerogel.cli.command import Command


@dataclass(frozen=True, slots=True)
class Group:
    """``commands``: what each does, by name. Command ``report`` of group ``carbon`` is the ``COMMAND`` of
    ``cli/carbon_report.py``, which is imported only when it is asked for. ``usual``: the command that is
    meant where the words begin with an option or with ``--``, not with a command."""

    about: str
    example: str
    commands: Mapping[str, str]
    usual: str | None = None

    def run(self, name: str, words: Sequence[str]) -> int:
        """The exit status of the command of group ``name`` that ``words`` call."""
        if self.usual is not None and words and words[0].startswith("-") and words[0] not in ("-h", "--help"):
            words = [self.usual, *words]
        if not words or words[0] not in self.commands:
            parser = self._parser(name)
            if self.usual is not None and words and not words[0].startswith("-"):
                parser.error(f"there is no command {words[0]!r}: to {self.usual} a program, put -- before it")
            parser.parse_args(words or ["--help"])  # ends here: help, or a usage error
            parser.error("give a command")
        module = importlib.import_module(f"aerogel.cli.{name.replace(' ', '_')}_{words[0]}")
        command: Command | Group = module.COMMAND
        if isinstance(command, Group):
            return command.run(f"{name} {words[0]}", words[1:])
        return command.run(command.parser(f"{name} {words[0]}").parse_args(words[1:]))

    def _parser(self, name: str) -> argparse.ArgumentParser:
        listed = "\n".join(f"  {command:<9} {about}" for command, about in self.commands.items())
        more = f"`aerogel {name} COMMAND --help` says more; every one takes --json."
        parser = argparse.ArgumentParser(
            prog=f"aerogel {name}",
            description=self.about,
            epilog=f"commands:\n{listed}\n\nexample:\n  {self.example}\n\n{more}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        parser.add_argument("command", choices=list(self.commands), metavar="COMMAND", help="what to do")
        return parser
