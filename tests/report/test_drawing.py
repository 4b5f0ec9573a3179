from __future__ import annotations

import math
import re
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.report.tables import measured

from aerogel.report.boxes import Box
from aerogel.report.chart import Axis, Chart, Limit, Point
from aerogel.report.drawing import NARROW, WIDE, Drawing, draw
from aerogel.report.letters import text_width
from aerogel.report.marks import Canvas, Mark
from aerogel.report.speed_picture import speed_pictures

CANVASES = pytest.mark.parametrize("canvas", [NARROW, WIDE], ids=lambda c: c.name)


def numbers(path: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", path)]


def extent(mark: Mark) -> tuple[float, float]:
    """Width and height of the outline of a circle, or of one with corners."""
    found = numbers(mark.path)
    if "a" in mark.path:
        return 2 * found[2], 2 * found[2]
    xs, ys = found[::2], found[1::2]
    return max(xs) - min(xs), max(ys) - min(ys)


def chart(points: tuple[Point, ...], **more: Any) -> Chart:
    x, y = Axis("speed", "high", log=True, unit="x"), Axis("quality", "high")
    return Chart("p", x, y, points, ("a", "b", "c", "d"), **more)


@CANVASES
@pytest.mark.parametrize("key", ["table", "avx2"])
def test_what_was_measured_is_drawn_with_every_name_apart_from_marks(key: str, canvas: Canvas) -> None:
    pictures = speed_pictures(measured(key))
    assert pictures is not None
    for one in pictures.charts:
        drawing = draw(one, canvas)
        assert drawing.unnamed == ()
        assert [label.text.text for label in drawing.labels] == [p.name for p in one.points]
        assert all(a.box.overlap(b.box) == 0 for a, b in combinations(drawing.labels, 2))
        assert all(drawing.frame.holds(label.box) for label in drawing.labels)
        marks = [_square(mark) for mark in drawing.marks]
        assert all(label.box.overlap(mark) < 0.1 for label in drawing.labels for mark in marks)


def _square(mark: Mark) -> Box:
    found = numbers(mark.path)
    if "a" in mark.path:
        return Box(found[0], found[1] - found[2], found[0] + 2 * found[2], found[1] + found[2])
    return Box(min(found[::2]), min(found[1::2]), max(found[::2]), max(found[1::2]))


POINTS = st.builds(
    Point,
    name=st.text(max_size=60),
    x=st.floats(1e-15, 1e15),
    y=st.floats(-1e15, 1e15),
    group=st.sampled_from("abcd"),
    size=st.none() | st.floats(0, 1e15),
)


@settings(max_examples=40, deadline=None)
@example((Point("", 1, 0, "a", size=5e-324),), None)
@given(st.lists(POINTS, min_size=1, max_size=7).map(tuple), st.none() | st.floats(-1e15, 1e15))
def test_whatever_is_drawn_has_finite_numbers_and_no_texts_in_a_heap(
    points: tuple[Point, ...], limit: float | None
) -> None:
    drawing = draw(chart(points, limit=None if limit is None else Limit(limit, "below")), NARROW)
    places = [n for mark in drawing.marks for n in numbers(mark.path)]
    assert all(map(math.isfinite, [*places, *(n for corner in drawing.front for n in corner)]))
    assert not any("nan" in mark.path or "inf" in mark.path for mark in drawing.marks)
    assert len(drawing.labels) + len(drawing.unnamed) == len(points)
    said = [label.box for label in drawing.labels]
    assert all(a.overlap(b) == 0 for a, b in combinations(said, 2))
    assert all(drawing.frame.holds(box) for box in said)
    _texts_stay_on_the_canvas(drawing)


def _texts_stay_on_the_canvas(drawing: Drawing) -> None:
    for text in (*drawing.titles, *drawing.x_ticks, *(text for _, text in drawing.key)):
        width = text_width(text.text, 12)
        left = text.x - {"start": 0, "middle": width / 2, "end": width}[text.anchor]
        assert -1 <= left and left + width <= drawing.canvas.width + 1, text


def test_area_goes_with_size_for_every_mark() -> None:
    points = tuple(Point(g, 1 + i, 0.5, g, size=s) for i, (g, s) in enumerate(zip("aaaa", (100, 25, 4, 0))))  # noqa: B905
    widths = {m.name + str(i): extent(m)[0] for i, m in enumerate(draw(chart(points), WIDE).marks)}
    big, quarter, little, none = widths.values()
    assert big == pytest.approx(2 * WIDE.largest, abs=0.02)
    assert quarter == pytest.approx(big / 2, abs=0.02)
    assert little == pytest.approx(big / 5, abs=0.02)
    assert 0 < none < little, "a size of nothing is still seen"


def test_shapes_of_one_size_have_one_area() -> None:
    points = tuple(Point(g, 1 + i, 0.5, g, size=50) for i, g in enumerate("abcd"))
    areas = []
    for mark in draw(chart(points), WIDE).marks:
        width, height = extent(mark)
        shape = {0: math.pi / 4, 1: 1.0, 2: 0.5, 3: 0.5}[mark.group or 0]
        areas.append(width * height * shape)
    assert areas == pytest.approx([math.pi * WIDE.largest**2] * 4, rel=0.01)


def test_a_size_that_was_not_measured_is_marked_as_such_and_said_in_the_key() -> None:
    drawing = draw(chart((Point("known", 1, 1, "a", size=9), Point("unknown", 2, 1, "a"))), NARROW)
    assert {m.name: m.measured for m in drawing.marks} == {"known": True, "unknown": False}
    assert "size not measured" in [text.text for _, text in drawing.key]
    known = draw(chart((Point("known", 1, 1, "a", size=9),)), NARROW)
    assert "size not measured" not in [text.text for _, text in known.key]


def test_intervals_reach_as_far_as_they_say() -> None:
    low, high = Point("low", 1, 0.5, "a"), Point("high", 4, 0.5, "a")
    wide = Point("wide", 2, 0.5, "a", x_interval=(1, 4), y_interval=(0.2, 0.8))
    marks = {m.name: m for m in draw(chart((low, high, wide)), WIDE).marks}
    across, up = marks["wide"].lines
    ends = [_square(marks[name]) for name in ("low", "high")]
    middles = [(box.left + box.right) / 2 for box in ends]
    start, _, end = numbers(across)[:3]
    assert [start, end] == pytest.approx(middles, abs=0.05)
    assert numbers(up)[1] > numbers(up)[2], "more is further up"


@CANVASES
def test_the_key_stays_on_the_canvas_and_above_the_frame(canvas: Canvas) -> None:
    drawing = draw(chart((Point("p", 1, 1, "a", size=1.0), Point("q", 2, 1, "b"))), canvas)
    for sample, text in drawing.key:
        box = _square(sample)
        assert 0 <= box.left and 0 <= box.top and box.right < text.x
        assert box.bottom < drawing.frame.top - 12, "the title of the axis stands between"


def test_the_front_is_drawn_as_stairs_through_its_points() -> None:
    points = (Point("a", 1, 1.0, "a"), Point("b", 4, 0.5, "a"), Point("beaten", 2, 0.4, "a"))
    drawing = draw(chart(points), WIDE)
    corners = drawing.front
    assert (
        len(corners) == 5 and corners[0][0] == drawing.frame.left and corners[-1][1] == drawing.frame.bottom
    )
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(corners))


def test_the_side_below_a_limit_is_shaded_and_named() -> None:
    points = (Point("good", 1, 1.0, "a"), Point("bad", 2, 0.5, "a"))
    band = draw(chart(points, limit=Limit(0.9, "a loss")), NARROW).band
    assert band is not None and band.label.text == "a loss"
    good, bad = (_square(m) for m in draw(chart(points, limit=Limit(0.9, "a loss")), NARROW).marks)
    assert good.bottom < band.box.top < bad.top and band.box.bottom > bad.bottom


def test_long_names_are_cut() -> None:
    drawing = draw(chart((Point("a" * 200, 1, 1, "a"),)), NARROW)
    (label,) = drawing.labels
    assert label.text.text.endswith("\N{HORIZONTAL ELLIPSIS}") and len(label.text.text) < 40
    assert drawing.marks[0].name == "a" * 200
