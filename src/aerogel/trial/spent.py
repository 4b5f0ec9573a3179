"""What it took to make a model sparse, in time and energy: pruning, recovery, and all the rest of the run."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aerogel.energy import Meter, Reading, meter
from aerogel.energy.series import Series

Phase = Literal["pruning", "recovery", "other"]


@dataclass(frozen=True, slots=True)
class Spent:
    """``pruning`` and ``recovery``: of these alone, recovery None where there was none; ``other``: of
    loading, judging, writing and measuring. ``resumed``: did a run that was interrupted do a part of it,
    which is in none of the three?"""

    pruning: Reading
    recovery: Reading | None
    other: Reading | None = None
    resumed: bool = False

    @property
    def made(self) -> Reading:
        """Of pruning and recovery together; its method is the weaker of theirs."""
        both = Series()
        for reading in (self.pruning, self.recovery):
            if reading is not None:
                both.add(reading)
        return both.reading

    def to_json(self) -> dict[str, Any]:
        return {
            "pruning": _figures(self.pruning),
            "recovery": _figures(self.recovery),
            "other": _figures(self.other),
            "resumed": self.resumed,
        }


def _figures(reading: Reading | None) -> dict[str, Any] | None:
    if reading is None:
        return None
    said = reading.to_json()
    return {**{k: v for k, v in said.items() if k not in ("parts", "notes")}, "text": str(reading)}


@dataclass
class Phases:
    """Meters the phases of a run, one at a time and none left out: what has no name of its own is
    ``other``."""

    resumed: bool = False
    _series: dict[Phase, Series] = field(default_factory=dict[Phase, Series])
    _meter: Meter | None = None

    @contextmanager
    def run(self) -> Generator[Phases]:
        """Around everything."""
        self._open()
        try:
            yield self
        finally:
            self._close("other")

    @contextmanager
    def phase(self, name: Phase) -> Generator[None]:
        """Around one phase, inside ``run``."""
        self._close("other")
        self._open()
        try:
            yield
        finally:
            self._close(name)
            self._open()

    def reading(self, name: Phase) -> Reading | None:
        """The sum so far; None for a phase that never was."""
        found = self._series.get(name)
        return None if found is None else found.reading

    def spent(self) -> Spent:
        """Call it when ``run`` is over."""
        pruning = self.reading("pruning")
        assert pruning is not None, "whoever asks has pruned"
        return Spent(pruning, self.reading("recovery"), self.reading("other"), self.resumed)

    def _open(self) -> None:
        self._meter = meter()
        self._meter.__enter__()

    def _close(self, name: Phase) -> None:
        assert self._meter is not None
        self._meter.__exit__(None, None, None)
        self._series.setdefault(name, Series()).add(self._meter.reading)
