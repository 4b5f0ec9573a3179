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


def summed(skipped: Iterable[Skipped], most: int = 6) -> list[str]:
    """A sentence for each reason, which names at most so many and counts the others."""
    by_why: dict[str, list[str]] = {}
    for each in skipped:
        by_why.setdefault(each.why, []).append(each.what)
    return [f"Not measured, as {why}: {_named(what, most)}." for why, what in by_why.items()]


def _named(what: list[str], most: int) -> str:
    more = f" and {len(what) - most} more" if len(what) > most else ""
    return ", ".join(what[:most]) + more
