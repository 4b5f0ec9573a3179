"""A picture of curves: a measure that depends on another, each curve beside levels to compare it with. What
it shows, not where its marks end up, see ``curve_drawing``."""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.core.errors import InputError, require
from aerogel.report.chart import MARKS, Axis, Interval, require_drawable

MOST_LEVELS = 3
"""As many strokes can be told apart."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A point of a curve. ``estimated``: not measured, and drawn hollow."""

    x: float
    y: float
    interval: Interval | None = None
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """``stops`` ascend by x, and are joined by straight lines."""

    name: str
    stops: tuple[Stop, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """A line across the picture at ``y``."""

    y: float
    name: str


@dataclass(frozen=True, slots=True)
class Post:
    """A line from bottom to top at ``x``, in the colour of ``curve``: what it means is said once for all."""

    x: float
    curve: str


@dataclass(frozen=True, slots=True)
class Curves:
    """At most four ``curves`` and three ``levels``; ``x`` is the measure that is chosen, so it needs no
    better end. ``posts``: at most one for each curve; ``posts_mean``: what a post says of its curve."""

    title: str
    x: Axis
    y: Axis
    curves: tuple[Curve, ...]
    levels: tuple[Level, ...] = ()
    posts: tuple[Post, ...] = ()
    posts_mean: str = ""

    def __post_init__(self) -> None:
        about = f"picture {self.title!r}"
        stops = [stop for curve in self.curves for stop in curve.stops]
        require(stops, InputError, f"{about} has no points: give at least one")
        require(
            len(self.curves) <= len(MARKS),
            InputError,
            f"{about} has {len(self.curves)} curves, and there are {len(MARKS)} marks: leave some out",
        )
        require(
            len(self.levels) <= MOST_LEVELS,
            InputError,
            f"{about} has {len(self.levels)} levels, and there are {MOST_LEVELS} strokes: leave some out",
        )
        for curve in self.curves:
            _require_curve(curve, self, f"{about}: curve {curve.name!r}")
        for level in self.levels:
            require_drawable(level.y, self.y, f"{about}: level {level.name!r}")
        names = [curve.name for curve in self.curves]
        for post in self.posts:
            require_drawable(post.x, self.x, f"{about}: the post of curve {post.curve!r}")
            known = names.count(post.curve) == 1
            require(known, InputError, f"{about} has a post of {post.curve!r}, which is no curve of it")
        told = f"{about} has posts that say nothing: give posts_mean"
        require(self.posts_mean or not self.posts, InputError, told)

    @property
    def estimated(self) -> bool:
        """Is any of it not measured?"""
        return any(stop.estimated for curve in self.curves for stop in curve.stops)


def _require_curve(curve: Curve, picture: Curves, who: str) -> None:
    places = [stop.x for stop in curve.stops]
    require(places == sorted(places), InputError, f"{who} goes back and forth: sort its points by x")
    for stop in curve.stops:
        require_drawable(stop.x, picture.x, who)
        low, high = stop.interval or (stop.y, stop.y)
        for value in (low, stop.y, high):
            require_drawable(value, picture.y, who)
        told = f"{who} has {stop.y} with the interval {stop.interval}: give (low, high) around it"
        require(low <= stop.y <= high, InputError, told)
