"""Curves laid out: where every line, mark and tick is drawn. The template only copies."""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.report.axes import axis_titles, horizontal_ticks, tick, vertical_ticks
from aerogel.report.boxes import Box
from aerogel.report.chart import MARKS, span
from aerogel.report.curves import Curve, Curves, Stop
from aerogel.report.letters import text_width
from aerogel.report.marks import LINE, TEXT, Canvas, Text, outline
from aerogel.report.scale import Scale, scale

NARROW, WIDE = Canvas("narrow", 360, 300, 4), Canvas("wide", 760, 380, 5)

_CAP = 4.0  # half the stroke that ends an interval
_SAMPLE = 26.0  # the length of a line in the key


@dataclass(frozen=True, slots=True)
class Knot:
    """The mark of a stop, and its interval."""

    mark: str
    whisker: str | None
    estimated: bool


@dataclass(frozen=True, slots=True)
class Strand:
    """A curve: its line and its marks; ``group``: its number, which says its colour."""

    name: str
    group: int
    line: str
    knots: tuple[Knot, ...]


@dataclass(frozen=True, slots=True)
class Stake:
    """A post at ``x``, of the curve with number ``group``."""

    group: int
    x: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the key: a sample of a curve (``group``), of a level (``level``), of an estimate or of a post
    (neither of them). Of ``line``, ``mark`` and ``post`` those that it has not are empty."""

    group: int | None
    level: int | None
    line: str
    mark: str
    text: Text
    post: str = ""


@dataclass(frozen=True, slots=True)
class _Sample:
    """What an entry of the key is made of."""

    name: str
    group: int | None
    level: int | None
    mark: str | None
    line: bool
    post: bool = False


@dataclass(frozen=True, slots=True)
class CurveDrawing:
    """``levels``: y of each, in the picture's units."""

    canvas: Canvas
    frame: Box
    x_ticks: tuple[Text, ...]
    y_ticks: tuple[Text, ...]
    titles: tuple[Text, ...]
    key: tuple[Entry, ...]
    levels: tuple[float, ...]
    strands: tuple[Strand, ...]
    posts: tuple[Stake, ...] = ()


def draw_curves(picture: Curves, canvas: Canvas) -> CurveDrawing:
    """Lay ``picture`` out on ``canvas``."""
    key, key_bottom = _key(picture, canvas)
    _, flat = _scales(picture, Box(0, 0, 1, 1))
    left = 8 + max(text_width(tick(t, picture.y), TEXT) for t in flat.ticks())
    frame = Box(left, key_bottom + LINE + 8, canvas.width - 6, canvas.height - 2 * LINE - 8)
    x, y = _scales(picture, frame)
    groups = {curve.name: i for i, curve in enumerate(picture.curves)}
    return CurveDrawing(
        canvas,
        frame,
        horizontal_ticks(picture.x, x, frame, canvas.width),
        vertical_ticks(picture.y, y, frame),
        axis_titles(picture.x, picture.y, frame, canvas),
        key,
        tuple(y.at(level.y) for level in picture.levels),
        tuple(_strand(curve, i, x, y, canvas.largest) for i, curve in enumerate(picture.curves)),
        tuple(Stake(groups[post.curve], x.at(post.x)) for post in picture.posts),
    )


def _scales(picture: Curves, frame: Box) -> tuple[Scale, Scale]:
    stops = [stop for curve in picture.curves for stop in curve.stops]
    xs = span([stop.x for stop in stops], picture.x)
    ys = [v for stop in stops for v in (stop.y, *(stop.interval or ()))]
    ys += [level.y for level in picture.levels]
    across = scale(*xs, frame.left, frame.right, log=picture.x.log)
    return across, scale(*span(ys, picture.y), frame.bottom, frame.top, log=picture.y.log)


def _strand(curve: Curve, group: int, x: Scale, y: Scale, radius: float) -> Strand:
    places = [(x.at(stop.x), y.at(stop.y)) for stop in curve.stops]
    line = "M " + " L ".join(f"{a:.2f} {b:.2f}" for a, b in places) if places else ""
    knots = tuple(_knot(stop, group, x, y, radius) for stop in curve.stops)
    return Strand(curve.name, group, line, knots)


def _knot(stop: Stop, group: int, x: Scale, y: Scale, radius: float) -> Knot:
    at = x.at(stop.x)
    whisker = None
    if stop.interval is not None:
        low, high = (y.at(v) for v in stop.interval)
        caps = " ".join(f"M {at - _CAP:.2f} {end:.2f} h {2 * _CAP}" for end in (low, high))
        whisker = f"M {at:.2f} {low:.2f} V {high:.2f} {caps}"
    return Knot(outline(MARKS[group], at, y.at(stop.y), radius), whisker, stop.estimated)


def _key(picture: Curves, canvas: Canvas) -> tuple[tuple[Entry, ...], float]:
    """Samples with their names, in lines from the top, and where the last line ends."""
    wanted = [
        *(_Sample(curve.name, i, None, MARKS[i], line=True) for i, curve in enumerate(picture.curves)),
        *(_Sample(level.name, None, i, None, line=True) for i, level in enumerate(picture.levels)),
    ]
    if picture.estimated:
        wanted.append(_Sample("an estimate", None, None, MARKS[0], line=False))
    if picture.posts:
        wanted.append(_Sample(picture.posts_mean, None, None, None, line=False, post=True))
    found: list[Entry] = []
    x, y = 0.0, 0.0
    for each in wanted:
        width = _SAMPLE + 6 + text_width(each.name, TEXT)
        if x > 0 and x + width > canvas.width:
            x, y = 0.0, y + LINE + 2
        middle = y + (LINE + 2) / 2
        mark = "" if each.mark is None else outline(each.mark, x + _SAMPLE / 2, middle, canvas.largest)
        line = f"M {x:.2f} {middle:.2f} h {_SAMPLE}" if each.line else ""
        post = f"M {x + _SAMPLE / 2:.2f} {y + 2:.2f} v {LINE - 2}" if each.post else ""
        text = Text(x + _SAMPLE + 6, middle + 4, each.name)
        found.append(Entry(each.group, each.level, line, mark, text, post))
        x += width + 12
    return tuple(found), y + LINE + 2
