"""Progress of a job in stages on stderr: rich's bar where it is installed, else a line per stage and now and
then."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Protocol

from aerogel.cli.command import note

_EVERY_S = 10.0


class Stages(Protocol):
    """See ``trial.prune_job.Listener``."""

    def stage(self, words: str, share: float | None = None) -> None: ...

    def note(self, words: str) -> None: ...


@contextmanager
def stages() -> Generator[Stages]:
    """What to tell of stages and notes while the block runs."""
    if importlib.util.find_spec("rich") is None or not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(30), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield _Bar(shown)


class _Lines:
    """A line when a stage begins, and every ten seconds while one goes on."""

    def __init__(self) -> None:
        self._kind, self._told = "", 0.0

    def stage(self, words: str, share: float | None = None) -> None:
        kind, now = words.partition(":")[0], time.monotonic()
        if kind == self._kind and now - self._told < _EVERY_S:
            return
        self._kind, self._told = kind, now
        note(words if share is None else f"[{share:4.0%}] {words}")

    def note(self, words: str) -> None:
        note(f"note: {words}")


class _Bar:
    def __init__(self, shown: Any) -> None:
        self._shown, self._task = shown, shown.add_task("", total=None)

    def stage(self, words: str, share: float | None = None) -> None:
        total = None if share is None else 1.0
        self._shown.update(self._task, completed=share or 0.0, total=total, description=words)

    def note(self, words: str) -> None:
        self._shown.console.print(f"note: {words}", highlight=False, markup=False)
