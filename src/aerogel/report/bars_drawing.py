"""Bars laid out: where every bar, bound and name is drawn. The template only copies."""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.report.axes import fitted, horizontal_ticks
from aerogel.report.bars import Bar, Bars
from aerogel.report.boxes import Box
from aerogel.report.letters import text_width
from aerogel.report.marks import LINE, TEXT, Canvas, Text
from aerogel.report.scale import Scale

NARROW, WIDE = Canvas("narrow", 360, 0, 0), Canvas("wide", 760, 0, 0)
"""Their heights follow from the number of bars."""

_THICK = 10.0
_ROW = LINE + _THICK + 12
_CAP = 4.0  # half the stroke that ends a bound
_ROOM = 1.04  # of the largest, so that a bound does not sit on the frame
_SAMPLE = 14.0


@dataclass(frozen=True, slots=True)
class Stripe:
    """A bar: ``solid`` up to its value, None where it has none; ``bounds``: a stroke from low to high, ""
    where both are one; ``group``: says the colour."""

    name: str
    group: int
    solid: Box | None
    bounds: str
    title: Text
    amount: Text


@dataclass(frozen=True, slots=True)
class BarsDrawing:
    canvas: Canvas
    frame: Box
    x_ticks: tuple[Text, ...]
    titles: tuple[Text, ...]
    key: tuple[tuple[int, Box, Text], ...]
    stripes: tuple[Stripe, ...]


def draw_bars(picture: Bars, canvas: Canvas) -> BarsDrawing:
    """Lay ``picture`` out as wide as ``canvas``, and as high as it needs."""
    key, top = _key(picture, canvas)
    frame = Box(6.0, top, canvas.width - 6, top + 6 + _ROW * len(picture.bars))
    sized = Canvas(canvas.name, canvas.width, frame.bottom + 2 * LINE + 8, 0)
    largest = max(bar.high for bar in picture.bars) or 1.0
    x = Scale(0.0, largest * _ROOM, frame.left, frame.right, log=False)
    title = fitted(picture.axis.title, canvas.width - 8)
    return BarsDrawing(
        sized,
        frame,
        horizontal_ticks(picture.axis, x, frame, canvas.width),
        (Text(frame.right, sized.height - 6, title, "end"),),
        key,
        tuple(_stripe(bar, x, frame.top + 4 + _ROW * i, frame) for i, bar in enumerate(picture.bars)),
    )


def _stripe(bar: Bar, x: Scale, top: float, frame: Box) -> Stripe:
    amount = Text(frame.right - 4, top + TEXT, bar.text, "end")
    room = frame.right - frame.left - text_width(bar.text, TEXT) - 20
    title = Text(frame.left + 4, top + TEXT, fitted(bar.name, room))
    upper = top + LINE + 2
    middle = upper + _THICK / 2
    low, high = x.at(bar.low), x.at(bar.high)
    ends = " ".join(f"M {end:.2f} {middle - _CAP:.2f} v {2 * _CAP}" for end in (low, high))
    bounds = f"M {low:.2f} {middle:.2f} H {high:.2f} {ends}" if bar.high > bar.low else ""
    solid = None if bar.value is None else Box(frame.left, upper, x.at(bar.value), upper + _THICK)
    return Stripe(bar.name, bar.group, solid, bounds, title, amount)


def _key(picture: Bars, canvas: Canvas) -> tuple[tuple[tuple[int, Box, Text], ...], float]:
    """A sample of each colour with its meaning, in lines from the top; and where the last line ends."""
    found: list[tuple[int, Box, Text]] = []
    x, y = 0.0, 0.0
    for group, name in enumerate(picture.groups):
        width = _SAMPLE + 6 + text_width(name, TEXT)
        if x > 0 and x + width > canvas.width:
            x, y = 0.0, y + LINE + 2
        middle = y + (LINE + 2) / 2
        sample = Box(x, middle - _THICK / 2, x + _SAMPLE, middle + _THICK / 2)
        found.append((group, sample, Text(x + _SAMPLE + 6, middle + 4, name)))
        x += width + 12
    return tuple(found), y + LINE + 8 if found else 4.0
