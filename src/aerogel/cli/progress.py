"""Progress of long work on stderr: rich's bar where it is installed, else a line per step."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from aerogel.bench.render import milliseconds
from aerogel.cli.command import note
from aerogel.measure import Progress

_WORDS = {
    "load": "loading",
    "preview": "a first look at",
    "prepare": "preparing",
    "output": "the outputs of",
    "block": "timing",
}


def described(step: Progress) -> str:
    """``timing aerogel dense at 1x16``."""
    if step.stage == "read":
        return step.contender
    return f"{_WORDS[step.stage]} {step.contender}" + (f" at {step.case}" if step.case else "")


def preview(step: Progress) -> str | None:
    """The line to keep for a step that is a first number, None for others."""
    if step.stage != "preview" or step.seconds is None:
        return None
    return f"{step.contender:<18} {step.case}: {milliseconds(step.seconds)} (a first look)"


@contextmanager
def bar(start: str) -> Generator[Callable[[Progress], None]]:
    """What to call with every step while the block runs; ``start`` is shown at once."""
    if importlib.util.find_spec("rich") is None or not sys.stderr.isatty():
        note(start)
        yield _plain
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(30), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(start, total=None)

        def tell(step: Progress) -> None:
            shown.update(task, completed=step.done, total=step.total, description=described(step))
            if (kept := preview(step)) is not None:
                shown.console.print(kept, highlight=False)

        yield tell


def _plain(step: Progress) -> None:
    kept = preview(step)
    if kept is not None:
        note(kept)
    elif step.stage == "read":
        note(described(step))
    elif step.stage in ("load", "output") or (step.stage, step.done % 10) == ("block", 0):
        note(f"[{step.done}/{step.total}] {described(step)}")
