"""The axes of a picture: ticks that keep clear of each other, and titles that say which end is better."""

from __future__ import annotations

from aerogel.report.boxes import Box
from aerogel.report.chart import Axis
from aerogel.report.letters import text_width
from aerogel.report.marks import LINE, TEXT, Canvas, Text
from aerogel.report.scale import Scale

_CUT = "\N{HORIZONTAL ELLIPSIS}"


def tick(value: float, axis: Axis) -> str:
    return f"{value:g}{axis.unit}"


def horizontal_ticks(axis: Axis, x: Scale, frame: Box, width: float) -> tuple[Text, ...]:
    """Those that keep clear of each other and of the edge of a picture of ``width``."""
    found: list[Text] = []
    free = 0.0
    for value in x.ticks():
        text, middle = tick(value, axis), x.at(value)
        half = text_width(text, TEXT) / 2
        if middle - half >= free and middle + half <= width:
            found.append(Text(middle, frame.bottom + LINE, text, "middle"))
            free = middle + half + 6
    return tuple(found)


def vertical_ticks(axis: Axis, y: Scale, frame: Box) -> tuple[Text, ...]:
    return tuple(Text(frame.left - 5, y.at(value) + 4, tick(value, axis), "end") for value in y.ticks())


def axis_titles(x: Axis, y: Axis, frame: Box, canvas: Canvas) -> tuple[Text, Text]:
    """Below on the right, and above on the left."""
    across = _title(x, "\N{RIGHTWARDS ARROW}", "\N{LEFTWARDS ARROW}", canvas)
    up = _title(y, "\N{UPWARDS ARROW}", "\N{DOWNWARDS ARROW}", canvas)
    return Text(frame.right, canvas.height - 6, across, "end"), Text(2, frame.top - 7, up)


def _title(axis: Axis, high: str, low: str, canvas: Canvas) -> str:
    if axis.better is None:
        return fitted(axis.title, canvas.width - 8)
    return fitted(f"{axis.title}, {high if axis.better == 'high' else low} better", canvas.width - 8)


def fitted(text: str, room: float) -> str:
    """``text``, cut where it is wider than ``room``."""
    if text_width(text, TEXT) <= room:
        return text
    while text and text_width(text + _CUT, TEXT) > room:
        text = text[:-1]
    return text.rstrip() + _CUT
