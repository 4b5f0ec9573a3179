"""A picture of amounts side by side, each with its bounds. What it shows, not where its marks end up, see
``bars_drawing``."""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.core.errors import InputError, require
from aerogel.report.chart import MARKS, Axis, require_drawable


@dataclass(frozen=True, slots=True)
class Bar:
    """``value`` between ``low`` and ``high``; None: only the bounds are known, and only they are drawn.

    text: the amount in words, which stands beside the name; group: by number, says the colour."""

    name: str
    value: float | None
    low: float
    high: float
    text: str
    group: int = 0


@dataclass(frozen=True, slots=True)
class Bars:
    """From top to bottom; ``axis`` begins at 0. ``groups``: what the colours mean, none for one of all."""

    title: str
    axis: Axis
    bars: tuple[Bar, ...]
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        about = f"picture {self.title!r}"
        require(self.bars, InputError, f"{about} has no bars: give at least one")
        require(
            len(self.groups) <= len(MARKS),
            InputError,
            f"{about} has {len(self.groups)} groups, and there are {len(MARKS)} colours: join some",
        )
        require(not self.axis.log, InputError, f"{about} has a logarithmic axis, and bars begin at 0")
        for bar in self.bars:
            _require_bar(bar, self, f"{about}: bar {bar.name!r}")


def _require_bar(bar: Bar, picture: Bars, who: str) -> None:
    for number in (bar.low, bar.high, *(() if bar.value is None else (bar.value,))):
        require_drawable(number, picture.axis, who)
    inside = bar.low <= (bar.low if bar.value is None else bar.value) <= bar.high
    told = f"{who} is {bar.value} between {bar.low} and {bar.high}: give low, value and high from 0 on"
    require(0 <= bar.low and inside, InputError, told)
    known = 0 <= bar.group < max(len(picture.groups), 1)
    require(known, InputError, f"{who} is of group {bar.group}, and there are {len(picture.groups)}")
