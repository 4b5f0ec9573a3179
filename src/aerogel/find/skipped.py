"""What was not looked at, and why: said, never passed over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NO_TIME = "there was no time"


@dataclass(frozen=True, slots=True)
class Skipped:
    """``what`` was not looked at, and ``why``."""

    what: str
    why: str


def summed(skipped: Iterable[Skipped]) -> list[str]:
    """A sentence for each reason."""
    by_why: dict[str, list[str]] = {}
    for each in skipped:
        by_why.setdefault(each.why, []).append(each.what)
    return [f"Not measured, as {why}: {', '.join(what)}." for why, what in by_why.items()]
