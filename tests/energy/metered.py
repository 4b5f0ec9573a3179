"""Readings and meters made up, for tests of what is done with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

from aerogel.energy.models import Estimate
from aerogel.energy.reading import Reading


def measured(joules: float, seconds: float = 1.0, cpu_seconds: float = 1.0, open_: float = 0.0) -> Reading:
    """By RAPL; ``open_``: the share by which the bounds lie off."""
    low, high = joules * (1 - open_), joules * (1 + open_)
    return Reading(joules, low, high, "measured", "RAPL package-0", seconds, cpu_seconds)


def unmeasured(seconds: float = 1.0, cpu_seconds: float = 1.0) -> Reading:
    """Bounds by the model of unknown CPUs, two threads reserved."""
    low = 0.2 * seconds + 0.4 * cpu_seconds
    return Reading(
        None, low, 100.0 * seconds, "not measured", "0.1 W to 50 W", seconds, cpu_seconds, "watts-per-thread",
        "no RAPL counters here",
    )  # fmt: skip


class FakeMeter:
    """A meter whose reading is known; counts how often it was begun and ended."""

    def __init__(self, reading: Reading | Callable[[], Reading], idle: Estimate | None = None) -> None:
        self._reading, self.idle = reading, idle
        self.begun = self.ended = 0
        self.another: Callable[[], Any] = lambda: None

    def __enter__(self) -> Self:
        self.begun += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended += 1

    @property
    def reading(self) -> Reading:
        return self._reading() if callable(self._reading) else self._reading


class Meters:
    """Makes a ``FakeMeter`` for each of the readings."""

    def __init__(self, *readings: Reading, idle: Estimate | None = None) -> None:
        self._readings: Iterator[Reading] = iter(readings)
        self._idle = idle
        self.made: list[FakeMeter] = []

    def __call__(self, **_: Any) -> Any:
        self.made.append(FakeMeter(next(self._readings), self._idle))
        self.made[-1].another = self
        return self.made[-1]
