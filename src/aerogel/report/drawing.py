"""A chart laid out: where every mark, tick, line and name is drawn. The template only copies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from aerogel.report.axes import axis_titles, fitted, horizontal_ticks, tick, vertical_ticks
from aerogel.report.boxes import Box
from aerogel.report.chart import Chart, Limit, span
from aerogel.report.letters import text_width
from aerogel.report.marks import LINE, TEXT, Canvas, Mark, Seat, Text, key, mark, radii, solid
from aerogel.report.placement import Surroundings, Wanted, leader, place
from aerogel.report.scale import Scale, scale

NARROW = Canvas("narrow", 360, 370, 13)
WIDE = Canvas("wide", 760, 440, 18)
Corner: TypeAlias = tuple[float, float]

_LONGEST_NAME = 0.55  # of the frame's width; the table has the whole name


@dataclass(frozen=True, slots=True)
class Label:
    """``box``: what the text may take; ``line``: to its mark, where it stands apart."""

    text: Text
    box: Box
    group: int
    line: tuple[float, float, float, float] | None


@dataclass(frozen=True, slots=True)
class Band:
    """The shaded side of a limit."""

    box: Box
    label: Text


@dataclass(frozen=True, slots=True)
class Drawing:
    """``origin``: the x of its line; ``front``: corners of a line; ``unnamed``: points whose names found no
    room."""

    canvas: Canvas
    frame: Box
    x_ticks: tuple[Text, ...]
    y_ticks: tuple[Text, ...]
    titles: tuple[Text, ...]
    key: tuple[tuple[Mark, Text], ...]
    band: Band | None
    origin: float | None
    front: tuple[Corner, ...]
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]
    unnamed: tuple[str, ...]


def draw(chart: Chart, canvas: Canvas) -> Drawing:
    """Lay ``chart`` out on ``canvas``."""
    samples, key_bottom = key(chart, canvas)
    frame = _frame(chart, canvas, key_bottom)
    x, y = _scales(chart, frame)
    sizes = radii(chart, canvas)
    seats = [Seat(p, x.at(p.x), y.at(p.y), r) for p, r in zip(chart.points, sizes, strict=True)]
    full = [box for seat in seats for box in solid(seat, x, y)]
    band = _band(chart.limit, frame, y, full) if chart.limit else None
    origin = None if chart.origin is None else x.at(chart.origin)
    front = _front(chart, frame, x, y)
    lines = _thin([*pairwise(front), *_straight(frame, band, origin)])
    labels, unnamed = _labels(chart, seats, Surroundings(frame, _taken(band), tuple(full), lines))
    # The largest first, so that a small mark on a large one is seen.
    order = sorted(range(len(seats)), key=lambda i: (-sizes[i], i))
    return Drawing(
        canvas,
        frame,
        x_ticks=horizontal_ticks(chart.x, x, frame, canvas.width),
        y_ticks=vertical_ticks(chart.y, y, frame),
        titles=axis_titles(chart.x, chart.y, frame, canvas),
        key=samples,
        band=band,
        origin=origin,
        front=front,
        marks=tuple(mark(chart, seats[i], x, y) for i in order),
        labels=labels,
        unnamed=unnamed,
    )


def _frame(chart: Chart, canvas: Canvas, key_bottom: float) -> Box:
    # What the ticks say does not depend on where the axis is drawn, so any frame tells how wide they are.
    _, y = _scales(chart, Box(0, 0, 1, 1))
    left = 8 + max(text_width(tick(t, chart.y), TEXT) for t in y.ticks())
    return Box(left, key_bottom + LINE + 8, canvas.width - 6, canvas.height - 2 * LINE - 8)


def _scales(chart: Chart, frame: Box) -> tuple[Scale, Scale]:
    xs = [v for p in chart.points for v in (p.x, *(p.x_interval or ()))]
    ys = [v for p in chart.points for v in (p.y, *(p.y_interval or ()))]
    xs += [] if chart.origin is None else [chart.origin]
    ys += [] if chart.limit is None else [chart.limit.y]
    across = scale(*span(xs, chart.x), frame.left, frame.right, log=chart.x.log)
    # Room for a name above the topmost mark: many marks are as good as the best there is.
    return across, scale(*span(ys, chart.y), frame.bottom, frame.top + LINE, log=chart.y.log)


def _band(limit: Limit, frame: Box, y: Scale, full: Iterable[Box]) -> Band:
    """Its label is under the line, where it covers the fewest marks."""
    top, marks = y.at(limit.y), list(full)
    text = fitted(limit.label, frame.right - frame.left - 12)
    width = text_width(text, TEXT)
    room = frame.right - frame.left - width - 12
    places = [
        Box(left, top + 2, left + width, top + 2 + LINE)
        for left in (frame.left + 6, frame.left + 6 + room / 2, frame.left + 6 + room)
    ]
    best = min(places, key=lambda box: sum(box.overlap(m) > 0 for m in marks))
    return Band(Box(frame.left, top, frame.right, frame.bottom), Text(best.left, best.bottom - 4, text))


def _taken(band: Band | None) -> tuple[Box, ...]:
    if band is None:
        return ()
    text = band.label
    return (Box(text.x, text.y + 4 - LINE, text.x + text_width(text.text, TEXT), text.y + 4),)


def _labels(
    chart: Chart, seats: Sequence[Seat], around: Surroundings
) -> tuple[tuple[Label, ...], tuple[str, ...]]:
    room = (around.frame.right - around.frame.left) * _LONGEST_NAME
    texts = [fitted(seat.point.name, room) for seat in seats]
    front = chart.front()
    wanted = [
        Wanted(seat.x, seat.y, seat.radius, text_width(text, TEXT), LINE, first=seat.point in front)
        for seat, text in zip(seats, texts, strict=True)
    ]
    labels: list[Label] = []
    unnamed: list[str] = []
    for seat, text, label, box in zip(seats, texts, wanted, place(wanted, around), strict=True):
        if box is None:
            unnamed.append(seat.point.name)
            continue
        group = chart.groups.index(seat.point.group)
        labels.append(Label(_set(text, box, seat.x), box, group, leader(label, box)))
    return tuple(labels), tuple(unnamed)


def _set(text: str, box: Box, x: float) -> Text:
    """In its box, from the side its mark is on: the box is at least as wide as the text."""
    if x <= box.left:
        return Text(box.left, box.bottom - 4, text)
    if x >= box.right:
        return Text(box.right, box.bottom - 4, text, "end")
    return Text((box.left + box.right) / 2, box.bottom - 4, text, "middle")


def _front(chart: Chart, frame: Box, x: Scale, y: Scale) -> tuple[Corner, ...]:
    """Stairs along the front: what lies behind them is beaten by a point on it."""
    start = frame.left if chart.x.better == "high" else frame.right
    end = frame.bottom if chart.y.better == "high" else frame.top
    corners: list[Corner] = []
    across = start
    for point in chart.front():
        down = y.at(point.y)
        corners.append((across, down))
        across = x.at(point.x)
        corners.append((across, down))
    return (*corners, (across, end))


def _straight(frame: Box, band: Band | None, origin: float | None) -> list[tuple[Corner, Corner]]:
    """The lines right across the frame."""
    found: list[tuple[Corner, Corner]] = []
    if band is not None:
        found.append(((frame.left, band.box.top), (frame.right, band.box.top)))
    if origin is not None:
        found.append(((origin, frame.top), (origin, frame.bottom)))
    return found


def _thin(lines: Iterable[tuple[Corner, Corner]]) -> tuple[Box, ...]:
    """Upright and level lines, each as a box that a label can be on."""
    return tuple(
        Box(min(a[0], b[0]) - 1, min(a[1], b[1]) - 1, max(a[0], b[0]) + 1, max(a[1], b[1]) + 1)
        for a, b in lines
    )
