"""What a report is made of: plain, frozen parts. How they look is ``page``'s affair; text is never HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from aerogel.core.errors import InputError, require
from aerogel.report.bars import Bars
from aerogel.report.chart import Chart
from aerogel.report.curves import Curves

NOT_MEASURED = "not measured"
"""What stands where a number would: missing is not zero."""

_CROWD = 12

Picture: TypeAlias = Chart | Curves | Bars

Tone: TypeAlias = Literal["plain", "own", "loss", "unproven"]
"""How a text is coloured: ``own`` for aerogel's rows, ``loss`` for quality lost, ``unproven`` for what may
be noise. The text must say it in words too: colour is for those who see it."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Cell:
    """``details``: what belongs to the text, each on a line under it: an interval, how it was obtained.
    ``bar``: drawn under the number as a bar, in shares of the full one: solid up to the first, pale up to
    the second; equal where the number is one."""

    text: str
    details: tuple[str, ...] = ()
    tone: Tone = "plain"
    bar: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.bar is not None:
            low, high = self.bar
            told = f"cell {self.text!r} has the bar {self.bar}: give two shares, 0 <= low <= high <= 1"
            require(0 <= low <= high <= 1, InputError, told)


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. ``columns`` are its headings, the first that of the row titles; the first cell of a row is its
    title. ``words``: the columns, by number, that hold words; others hold numbers and are set to the right.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: frozenset[int] = frozenset({0})

    def __post_init__(self) -> None:
        require(self.columns, InputError, f"table {self.caption!r} has no columns: give at least one heading")
        for row in self.rows:
            require(
                len(row) == len(self.columns),
                InputError,
                f"a row of table {self.caption!r} has {len(row)} cells for {len(self.columns)} columns: "
                f"give one for each",
            )


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """A number beside its dense control. ``note``: what the two come to, with the interval, and how obtained.
    None, for a value, was not measured."""

    name: str
    value: str | None
    control: str
    control_value: str | None
    note: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class KeyFigures:
    """Speed, size and quality of ``subject``, side by side, so that none of them is read alone."""

    subject: str
    figures: tuple[KeyFigure, ...]


@dataclass(frozen=True, slots=True)
class Pictures:
    """One picture, or several of the same kind side by side: each as wide as the page where one of them has
    many points to name. ``caption``: how to read them."""

    charts: tuple[Picture, ...]
    caption: str

    @property
    def crowded(self) -> bool:
        return any(isinstance(chart, Chart) and len(chart.points) > _CROWD for chart in self.charts)

    def __post_init__(self) -> None:
        require(self.charts, InputError, f"there is no picture over the caption {self.caption!r}: give one")


@dataclass(frozen=True, slots=True)
class Reply:
    """``by``: who gave this answer, in words."""

    name: str
    text: str
    by: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question, and the different answers to it."""

    question: str
    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Questions:
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """How one kind of number was obtained."""

    term: str
    text: str


@dataclass(frozen=True, slots=True)
class Notes:
    notes: tuple[Note, ...]


Block: TypeAlias = Paragraph | Grid | KeyFigures | Pictures | Questions | Notes


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        require(self.title.strip(), InputError, "a section of a report has no title: give it one")


@dataclass(frozen=True, slots=True)
class Report:
    """``headline`` is the first thing that is read: one or two frank sentences."""

    title: str
    headline: str
    sections: tuple[Section, ...]

    def __post_init__(self) -> None:
        require(
            self.title.strip() and self.headline.strip(),
            InputError,
            f"a report needs a title and a headline, and has {self.title!r} and {self.headline!r}",
        )
