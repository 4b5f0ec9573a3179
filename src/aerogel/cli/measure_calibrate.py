"""``aerogel measure calibrate``."""

from __future__ import annotations

import argparse

from aerogel.cli.command import Command
from aerogel.core.errors import UnsupportedError, refuse


def _options(parser: argparse.ArgumentParser) -> None:
    """None yet."""


def _run(args: argparse.Namespace) -> int:
    refuse(UnsupportedError, "aerogel measure calibrate is not there yet")


COMMAND = Command(about="Not there yet.", example="aerogel measure calibrate", options=_options, run=_run)
