"""A picture of points in two measures: what it shows, not where its marks end up, see ``drawing``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from aerogel.core.errors import InputError, require

Interval: TypeAlias = tuple[float, float]

MARKS = ("circle", "square", "diamond", "triangle")
"""How the groups of a picture differ, in their order; colours go with them."""
_LARGEST = 1e15
SMALLEST = 1e-15
"""Of a logarithmic axis, and of a size worth a sample: under it, steps between ticks drown in rounding."""


@dataclass(frozen=True, slots=True)
class Axis:
    """``unit`` follows every tick. ``low`` and ``high``: what is shown at least; give both to pictures that
    stand side by side, and they have one scale. ``better``: which end is, None for neither."""

    title: str
    better: Literal["high", "low"] | None
    log: bool = False
    unit: str = ""
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for value in (self.low, self.high):
            if value is not None:
                require_drawable(value, self, f"axis {self.title!r}")


@dataclass(frozen=True, slots=True)
class Point:
    """``size`` is drawn as area; None is not measured, and drawn dashed."""

    name: str
    x: float
    y: float
    group: str
    size: float | None = None
    x_interval: Interval | None = None
    y_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A line across the picture at ``y``; the side below it is shaded and called ``label``."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """``groups``: at most four, in the order of the key. ``size_title`` and ``size_unit`` name the measure
    drawn as area; ``origin``: an x to mark with a line, as that of what others are compared with."""

    title: str
    x: Axis
    y: Axis
    points: tuple[Point, ...]
    groups: tuple[str, ...]
    size_title: str = "size"
    size_unit: str = ""
    limit: Limit | None = None
    origin: float | None = None

    def __post_init__(self) -> None:
        about = f"picture {self.title!r}"
        require(self.points, InputError, f"{about} has no points: give at least one")
        require(
            len(self.groups) <= len(MARKS),
            InputError,
            f"{about} has {len(self.groups)} groups, and there are {len(MARKS)} marks: join some",
        )
        for axis in (self.x, self.y):
            told = f"{about}: neither end of {axis.title!r} is better, so no point is: say which"
            require(axis.better is not None, InputError, told)
        for point in self.points:
            require(
                point.group in self.groups,
                InputError,
                f"{about}: point {point.name!r} is of group {point.group!r}: give one of {self.groups}",
            )
            _require_point(point, self, about)
        if self.limit is not None:
            require_drawable(self.limit.y, self.y, f"the limit of {about}")
        if self.origin is not None:
            require_drawable(self.origin, self.x, f"the origin of {about}")

    def front(self) -> tuple[Point, ...]:
        """The points that no other is better than in both measures, best y first: the Pareto front. Of points
        that are equal in both, all are on it."""
        best = [p for p in self.points if not any(self._beats(other, p) for other in self.points)]
        return tuple(sorted(best, key=self._gains, reverse=True))

    def _gains(self, point: Point) -> tuple[float, float]:
        """(y, x) with signs such that more is better."""
        y = point.y if self.y.better == "high" else -point.y
        return y, point.x if self.x.better == "high" else -point.x

    def _beats(self, one: Point, other: Point) -> bool:
        (y, x), (other_y, other_x) = self._gains(one), self._gains(other)
        return y >= other_y and x >= other_x and (y, x) != (other_y, other_x)


def span(values: Sequence[float], axis: Axis) -> Interval:
    """The least and the largest of ``values`` and of what ``axis`` shows at least."""
    wanted = [*values, *(v for v in (axis.low, axis.high) if v is not None)]
    return min(wanted), max(wanted)


def _require_point(point: Point, chart: Chart, about: str) -> None:
    who = f"{about}: point {point.name!r}"
    size = point.size
    require(
        size is None or (math.isfinite(size) and 0 <= size <= _LARGEST),
        InputError,
        f"{who} has size {size}: give 0 or more, or None where it was not measured",
    )
    for axis, value, interval in (
        (chart.x, point.x, point.x_interval),
        (chart.y, point.y, point.y_interval),
    ):
        for number in (value, *(interval or ())):
            require_drawable(number, axis, who)
        require(
            interval is None or interval[0] <= interval[1],
            InputError,
            f"{who} has the interval {interval}, whose ends are exchanged: give (low, high)",
        )


def require_drawable(value: float, axis: Axis, who: str) -> None:
    """InputError, naming ``who``, for what ``axis`` cannot show."""
    require(
        math.isfinite(value) and abs(value) <= _LARGEST,
        InputError,
        f"{who} has {value} for {axis.title!r}: leave out what has no finite value under {_LARGEST:g}",
    )
    require(
        not axis.log or value >= SMALLEST,
        InputError,
        f"{who} has {value} for {axis.title!r}, whose axis is logarithmic: give {SMALLEST:g} or more",
    )
