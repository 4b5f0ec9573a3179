"""The marks of a picture: their outlines, how large they are, and the key that explains them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aerogel.report.boxes import Box
from aerogel.report.chart import MARKS, SMALLEST, Chart, Point
from aerogel.report.letters import text_width
from aerogel.report.scale import Scale

TEXT, LINE = 12.0, 16.0
"""The height of letters, and of a line of them, in the picture's units."""
_RADIUS_UNKNOWN, _RADIUS_LEAST, _RADIUS_KEY = 7.0, 3.0, 5.0
_CAP = 4.0  # half the stroke that ends an interval


@dataclass(frozen=True, slots=True)
class Canvas:
    """``largest``: the radius of the largest mark."""

    name: str
    width: float
    height: float
    largest: float


@dataclass(frozen=True, slots=True)
class Text:
    """``anchor``: which end of the text is at x, as in SVG. y is of its baseline."""

    x: float
    y: float
    text: str
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Seat:
    """A point, and where its mark sits."""

    point: Point
    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True)
class Mark:
    """``path``: its outline; ``group``: the number of its group, None for a sample that is of none;
    ``measured``: is its size? ``lines``: its intervals, as paths."""

    name: str
    path: str
    group: int | None
    measured: bool = True
    lines: tuple[str, ...] = ()


def radii(chart: Chart, canvas: Canvas) -> list[float]:
    """Area goes with size: the largest size has the largest radius, and none is too small to see."""
    top = _top_size(chart)
    return [
        _RADIUS_UNKNOWN if p.size is None else max(_radius(p.size, top, canvas), _RADIUS_LEAST)
        for p in chart.points
    ]


def _top_size(chart: Chart) -> float:
    return max((p.size for p in chart.points if p.size is not None), default=0.0)


def _radius(size: float, top: float, canvas: Canvas) -> float:
    return canvas.largest * math.sqrt(size / top) if top else 0.0


def mark(chart: Chart, seat: Seat, x: Scale, y: Scale) -> Mark:
    """The mark of ``seat`` with its intervals."""
    p, group = seat.point, chart.groups.index(seat.point.group)
    lines: list[str] = []
    if p.x_interval is not None:
        low, high = (x.at(v) for v in p.x_interval)
        caps = " ".join(f"M {end:.2f} {seat.y - _CAP:.2f} v {2 * _CAP}" for end in (low, high))
        lines.append(f"M {low:.2f} {seat.y:.2f} H {high:.2f} {caps}")
    if p.y_interval is not None:
        low, high = (y.at(v) for v in p.y_interval)
        caps = " ".join(f"M {seat.x - _CAP:.2f} {end:.2f} h {2 * _CAP}" for end in (low, high))
        lines.append(f"M {seat.x:.2f} {low:.2f} V {high:.2f} {caps}")
    path = outline(MARKS[group], seat.x, seat.y, seat.radius)
    return Mark(p.name, path, group, p.size is not None, tuple(lines))


def solid(seat: Seat, x: Scale, y: Scale) -> list[Box]:
    """What a label had better not cover: the mark and its intervals."""
    r, p = seat.radius, seat.point
    found = [Box(seat.x - r, seat.y - r, seat.x + r, seat.y + r)]
    if p.x_interval is not None:
        found.append(Box(x.at(p.x_interval[0]), seat.y - _CAP, x.at(p.x_interval[1]), seat.y + _CAP))
    if p.y_interval is not None:
        ends = sorted(y.at(v) for v in p.y_interval)
        found.append(Box(seat.x - _CAP, ends[0], seat.x + _CAP, ends[1]))
    return found


def key(chart: Chart, canvas: Canvas) -> tuple[tuple[tuple[Mark, Text], ...], float]:
    """Samples with their texts, in lines from the top: the groups, a round size, what dashes mean. And where
    the last line ends."""
    samples = _samples(chart, canvas)
    tall = max(LINE, *(2 * radius for _, _, radius, _, _ in samples)) + 2
    found: list[tuple[Mark, Text]] = []
    x, y = 0.0, 0.0
    for shape, group, radius, text, measured in samples:
        half = max(radius, _RADIUS_KEY) + 2
        width = 2 * half + 4 + text_width(text, TEXT)
        if x > 0 and x + width > canvas.width:
            x, y = 0.0, y + tall
        height = y + tall / 2
        path = outline(shape, x + half, height, radius)
        found.append((Mark(text, path, group, measured), Text(x + 2 * half + 4, height + 4, text)))
        x += width + 12
    return tuple(found), y + tall


def _samples(chart: Chart, canvas: Canvas) -> Sequence[tuple[str, int | None, float, str, bool]]:
    groups = [(MARKS[i], i, _RADIUS_KEY, name, True) for i, name in enumerate(chart.groups)]
    top = _top_size(chart)
    sizes: list[tuple[str, int | None, float, str, bool]] = []
    if top >= SMALLEST:
        size = _round_below(top / 2)
        text = f"{size:g}{chart.size_unit} {chart.size_title}"
        sizes.append((MARKS[0], None, _radius(size, top, canvas), text, True))
    if any(p.size is None for p in chart.points):
        text = f"{chart.size_title} not measured"
        sizes.append((MARKS[0], None, _RADIUS_KEY, text, False))
    return [*groups, *sizes]


def _round_below(value: float) -> float:
    """The largest of 1, 2, 5, 10, 20 ... that is no more than ``value``."""
    decade = math.floor(math.log10(value))
    return max(found for f in ("1", "2", "5") if (found := float(f"{f}e{decade}")) <= value * (1 + 1e-9))


def outline(shape: str, x: float, y: float, radius: float) -> str:
    """A path; shapes of one radius are of one area, that of the circle."""
    match shape:
        case "circle":
            arc = f"a {radius:.2f} {radius:.2f} 0 1 0"
            return f"M {x - radius:.2f} {y:.2f} {arc} {2 * radius:.2f} 0 {arc} {-2 * radius:.2f} 0 Z"
        case "square":
            h = radius * math.sqrt(math.pi) / 2
            corners = [(-h, -h), (h, -h), (h, h), (-h, h)]
        case "diamond":
            h = radius * math.sqrt(math.pi / 2)
            corners = [(0.0, -h), (h, 0.0), (0.0, h), (-h, 0.0)]
        case _:
            h = radius * math.sqrt(4 * math.pi / math.sqrt(27))
            turns = [k * math.tau / 3 for k in range(3)]
            corners = [(h * math.sin(a), -h * math.cos(a)) for a in turns]
    return "M " + " L ".join(f"{x + dx:.2f} {y + dy:.2f}" for dx, dy in corners) + " Z"
