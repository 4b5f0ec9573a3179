"""The sum of readings of blocks that came one after another: unknown where one of them is unknown."""

from __future__ import annotations

from dataclasses import replace

from aerogel.core.errors import MeasureError
from aerogel.energy.reading import Reading

_WEAKEST_LAST = ("measured", "calibrated", "estimated", "not measured")


class Series:
    """Adds readings up. Bounds are added as they are: nothing says that errors cancel.

    ``blocks``: how many. ``reading``: of all of them together; its method is the weakest among theirs, and
    its parts are left out.
    """

    def __init__(self) -> None:
        self.blocks = 0
        self._sum: Reading | None = None

    def add(self, reading: Reading) -> None:
        self.blocks += 1
        alone = replace(reading, parts=())
        self._sum = alone if self._sum is None else _both(self._sum, alone)

    @property
    def reading(self) -> Reading:
        """MeasureError where there is none yet."""
        if self._sum is None:
            raise MeasureError("nothing has been metered to its end yet, so there is no energy to tell")
        return self._sum


def _both(one: Reading, other: Reading) -> Reading:
    method = max(one.method, other.method, key=_WEAKEST_LAST.index)
    # What explains a number that is missing or estimated comes from the reading that is.
    weaker = other if other.method == method else one
    return replace(
        weaker,
        joules=_sum(one.joules, other.joules),
        low=_sum(one.low, other.low),
        high=_sum(one.high, other.high),
        method=method,
        source=_list(one.source, other.source),
        seconds=one.seconds + other.seconds,
        cpu_seconds=one.cpu_seconds + other.cpu_seconds,
        covers=_list(one.covers, other.covers),
        notes=tuple(dict.fromkeys((*one.notes, *other.notes))),
    )


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _list(one: str, other: str) -> str:
    return one if other in one.split("; or ") else f"{one}; or {other}"
