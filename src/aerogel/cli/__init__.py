"""The command line: one file per command, which parses, calls and prints; nothing is computed here."""

from __future__ import annotations

from aerogel.cli.app import main

__all__ = ["main"]
