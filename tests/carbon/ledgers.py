"""Runs to put into ledgers, and a process that adds them until it is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from aerogel.carbon.run import Run

_ADDS = """
import sys
from pathlib import Path
from aerogel.carbon.ledger import Ledger
from aerogel.carbon.run import Run

path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for number in range(count):
    label, began = f"{name} {number}", "2026-11-28T20:00:00Z"
    run = Run("usage", label, began, 1.0, "2", "FRA", 1.0, 1.0, 1.0, "imported", "x")
    Ledger(path).add([run])
    print(run.id, flush=True)
"""


def some_run(number: int, **more: object) -> Run:
    """The ``number``-th of different ones, some long, some short."""
    fields: dict[str, object] = {
        "kind": "usage",
        "label": f"run {number}",
        "began": f"2026-{1 + number % 12:02}-01T00:00:00Z",
        "seconds": 3600.0,
        "scope": "3.1",
        "place": "FRA",
        "joules": float(number),
        "low": float(number),
        "high": float(number + 1),
        "method": "imported",
        "source": "usage.csv",
        "id": f"{number:032x}",
        "covers": "é" * (37 * number % 900),
    }
    return Run(**(fields | more))  # type: ignore[arg-type]


def adding(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    """A process that adds ``count`` runs one by one, and prints the id of each once it is kept."""
    words = [sys.executable, "-c", _ADDS, str(path), name, str(count)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
