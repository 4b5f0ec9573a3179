"""A table of a comparison as text for this terminal: rich's where it is installed and stdout is one."""

from __future__ import annotations

import importlib.util
import sys

from aerogel.bench.render import plain, rich_table
from aerogel.bench.table import Table


def table_text(table: Table) -> str:
    """Lines to print."""
    if importlib.util.find_spec("rich") is None or not sys.stdout.isatty():
        return plain(table)
    from rich.console import Console

    console = Console()
    with console.capture() as captured:
        console.print(rich_table(table))
    return captured.get().rstrip()
