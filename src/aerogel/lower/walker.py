"""Walking the positions of one fiber: where it is, which coordinate stands there, how it goes on."""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.einsum.nodes import Access
from aerogel.formats.levels import Level, Parent, Segment, View
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import BOOL, Binary, Cast, Compare, Const, Expr, Select, Var
from aerogel.lower.state import Context, Place, State

Range = tuple[Expr, Expr]
"""Coordinates from the first on, before the second: the part of a loop that one thread runs."""


@dataclass(frozen=True, slots=True)
class Walker:
    """An access at a level that is visited by position. ``at``: the variable that holds its position."""

    access: Access
    level: Level
    view: View
    depth: int
    begin: Expr
    end: Expr

    @staticmethod
    def of(ctx: Context, state: State, access: Access, part: Range | None) -> Walker:
        """The fiber that comes next; of it only the coordinates in ``part``, found by bisection."""
        stored, place = ctx.stored(access), state.place(access)
        level, view = stored.level(place.level), stored.view(place.level)
        begin, end = level.span(ctx.code, view, place.parent)
        if part is not None:
            begin, end = (bisect(ctx.code, level, view, begin, end, wanted) for wanted in part)
        return Walker(access, level, view, place.level, begin, end)

    def coordinate(self, position: Expr) -> Expr:
        return self.level.coordinate(self.view, position)

    def start(self, code: Code) -> Var:
        return code.define(self.begin, "q")

    def after(self, code: Code, at: Expr, coordinate: Expr) -> Expr:
        """The first position behind ``at`` with another coordinate."""
        if self.level.unique:
            return at + 1
        last = code.define(at + 1, "s")
        more = code.define(last < self.end, "more")
        with code.while_(more):
            same = code.let(Compare("eq", self.coordinate(last), coordinate), "same")
            code.assign(last, last + Cast(same, last.type))
            code.assign(more, Binary("and", same, last < self.end))
        return last

    def place(self, at: Expr, after: Expr) -> Place:
        """The place of the access once it stands at ``at``."""
        parent: Parent = at if self.level.unique else Segment(at, after)
        return Place(self.depth + 1, parent)


def bisect(code: Code, level: Level, view: View, begin: Expr, end: Expr, wanted: Expr) -> Expr:
    """The first position from ``begin`` on, before ``end``, whose coordinate is ``wanted`` or more."""
    low, high = code.define(begin, "low"), code.define(end, "high")
    with code.while_(low < high):
        middle = code.let(low + (high - low) // 2, "middle")
        below = code.let(level.coordinate(view, middle) < wanted, "below")
        code.assign(low, Select(below, middle + 1, low))
        code.assign(high, Select(below, high, middle))
    return code.let(low, "from")


def both(conditions: list[Expr]) -> Expr:
    """Whether all hold."""
    whole = conditions[0] if conditions else Const(value=True, type=BOOL)
    for condition in conditions[1:]:
        whole = Binary("and", whole, condition)
    return whole


def step(condition: Expr) -> Expr:
    """1 where it holds, else 0: how far a unique walker goes on."""
    return Cast(condition, i64(0).type)
