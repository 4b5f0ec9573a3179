"""How far a long call is, on stderr: rich's bar at a terminal if rich is installed, else a line at times."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

QUIET_S = 2.0
"""Nothing is shown of what takes no longer than this."""
_LINE_EVERY_S = 5.0

Tell = Callable[[int], None]


@contextmanager
def counted(what: str, total: int, wanted: bool | None) -> Generator[Tell]:  # noqa: FBT001 (three-valued)
    """What to call with the number done so far. ``wanted`` None shows it at a terminal only."""
    terminal = sys.stderr.isatty()
    if wanted is False or (wanted is None and not terminal):
        yield _silent
        return
    shown = _Bar(what, total) if terminal and importlib.util.find_spec("rich") else _Lines(what, total)
    began = perf_counter()

    def tell(done: int) -> None:
        if perf_counter() - began >= QUIET_S:
            shown.tell(done)

    try:
        yield tell
    finally:
        shown.close()


def _silent(_done: int) -> None:
    pass


class _Lines:
    """One line every few seconds."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._next = 0.0

    def tell(self, done: int) -> None:
        now = perf_counter()
        if now >= self._next or done == self._total:
            sys.stderr.write(f"{self._what}: {done} of {self._total}\n")
            self._next = now + _LINE_EVERY_S

    def close(self) -> None:
        sys.stderr.flush()


class _Bar:
    """rich's bar, begun at the first number told, gone at the end."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._bar: Progress | None = None

    def tell(self, done: int) -> None:
        if self._bar is None:
            self._bar = _rich_bar()
            self._bar.start()
            self._bar.add_task(self._what, total=self._total)
        self._bar.update(self._bar.task_ids[0], completed=done)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _rich_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
