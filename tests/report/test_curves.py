"""Pictures of curves: what they refuse, and that everything drawn lies where its number says."""

from __future__ import annotations

import re

import pytest
from tests.report.html_tree import tree

from aerogel.core.errors import InputError
from aerogel.report import (
    Axis,
    Chart,
    Curve,
    Curves,
    Level,
    Pictures,
    Point,
    Post,
    Report,
    Section,
    Stop,
    render,
)
from aerogel.report.curve_drawing import NARROW, WIDE, CurveDrawing, draw_curves
from aerogel.report.marks import Canvas

X = Axis("share of zeros", None, unit=" %", low=0, high=100)
Y = Axis("times the speed", "high", log=True, unit="x")
ONE = Curve("one", (Stop(10, 0.9, (0.8, 1.0)), Stop(50, 1.5), Stop(90, 4.0, (3.5, 4.5), estimated=True)))
OTHER = Curve("another", (Stop(10, 1.2), Stop(90, 8.0)))


def picture(*curves: Curve, levels: tuple[Level, ...] = (Level(1.0, "dense"),)) -> Curves:
    return Curves("A picture", X, Y, curves or (ONE, OTHER), levels)


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


@pytest.fixture(params=[NARROW, WIDE], ids=["narrow", "wide"])
def drawn(request: pytest.FixtureRequest) -> CurveDrawing:
    canvas: Canvas = request.param
    return draw_curves(picture(), canvas)


def test_more_is_to_the_right_and_further_up(drawn: CurveDrawing) -> None:
    for strand in drawn.strands:
        xs, ys = zip(*places(strand.line), strict=True)
        assert list(xs) == sorted(xs) and list(ys) == sorted(ys, reverse=True)
    one, other = (places(strand.line) for strand in drawn.strands)
    assert one[0][0] == other[0][0] and one[0][1] > other[0][1], "the same x, and 0.9 below 1.2"


def test_everything_lies_in_the_frame(drawn: CurveDrawing) -> None:
    frame = drawn.frame
    for strand in drawn.strands:
        for x, y in places(strand.line):
            assert frame.left <= x <= frame.right and frame.top <= y <= frame.bottom
    assert all(frame.top <= y <= frame.bottom for y in drawn.levels)
    assert frame.right <= drawn.canvas.width and frame.bottom < drawn.canvas.height
    assert all(entry.text.y < frame.top for entry in drawn.key)


def test_a_level_lies_where_a_curve_of_its_value_would(drawn: CurveDrawing) -> None:
    first = drawn.strands[0]
    below, above = places(first.line)[0][1], places(first.line)[1][1]
    assert above < drawn.levels[0] < below, "1 is between 0.9 and 1.5"


def test_intervals_and_estimates_are_marked(drawn: CurveDrawing) -> None:
    knots = drawn.strands[0].knots
    assert [knot.whisker is None for knot in knots] == [False, True, False]
    assert [knot.estimated for knot in knots] == [False, False, True]
    assert [entry.text.text for entry in drawn.key] == ["one", "another", "dense", "an estimate"]
    assert not draw_curves(picture(OTHER), NARROW).key[-1].mark, "without an estimate the last is the level"


def test_the_page_shows_both_kinds_of_picture_and_says_them_in_words() -> None:
    points = Chart("Points", Axis("x", "high"), Axis("y", "high"), (Point("p", 1, 1, "g"),), ("g",))
    report = Report("t", "h", (Section("s", (Pictures((picture(), points), "caption"),)),))
    page = tree(render(report))
    assert len(page.all("svg")) == 4
    said = page.all("desc")[0].text
    assert said.startswith("times the speed by share of zeros; one: 0.9x at 10 %, 1.5x at 50 %, 4x at 90 %")
    assert "4x at 90 % (an estimate)" in said and said.endswith("dense: 1x.")
    narrow = page.all("svg", class_="narrow")[0]
    assert len(narrow.all("path", class_="knot g0 hollow")) == 1
    assert len(narrow.all("path", class_="level l0")) == 2, "in the picture and in its key"


@pytest.mark.parametrize(
    ("curves", "levels", "words"),
    [
        ((Curve("c", ()),), (), "has no points"),
        ((OTHER,) * 5, (), "has 5 curves, and there are 4 marks"),
        ((OTHER,), (Level(1, "l"),) * 4, "has 4 levels, and there are 3 strokes"),
        ((Curve("c", (Stop(2, 1), Stop(1, 1))),), (), "goes back and forth"),
        ((Curve("c", (Stop(1, 2, (3, 4)),)),), (), "give (low, high) around it"),
        ((Curve("c", (Stop(1, float("nan")),)),), (), "no finite value"),
        ((Curve("c", (Stop(1, 0.0),)),), (), "logarithmic"),
        ((OTHER,), (Level(0.0, "l"),), "level 'l'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    curves: tuple[Curve, ...], levels: tuple[Level, ...], words: str
) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        Curves("A picture", X, Y, curves, levels)


def test_points_need_a_better_end_of_both_axes() -> None:
    with pytest.raises(InputError, match="neither end of 'share of zeros' is better"):
        Chart("c", X, Y, (Point("p", 1, 1, "g"),), ("g",))


POSTED = Curves("Posted", X, Y, (ONE, OTHER), (), (Post(50, "another"),), "pays from here on")


@pytest.mark.parametrize("canvas", [NARROW, WIDE], ids=["narrow", "wide"])
def test_a_post_stands_at_its_share_in_the_colour_of_its_curve(canvas: Canvas) -> None:
    found = draw_curves(POSTED, canvas)
    (post,) = found.posts
    assert post.group == 1
    assert post.x == pytest.approx(places(found.strands[0].line)[1][0]), "where ONE is at 50 %"
    assert [entry.text.text for entry in found.key if entry.post] == ["pays from here on"]
    assert not any(entry.post for entry in draw_curves(picture(), canvas).key)


def test_posts_are_drawn_and_spoken() -> None:
    page = render(Report("t", "s", (Section("s", (Pictures((POSTED,), "c"),)),)))
    assert page.count('class="post g1"') == 2
    assert "another, pays from here on: 50 %" in page


def test_posts_of_no_curve_or_without_meaning_are_refused() -> None:
    with pytest.raises(InputError, match="has a post of 'none', which is no curve of it"):
        Curves("p", X, Y, (ONE,), (), (Post(1, "none"),), "x")
    with pytest.raises(InputError, match="has posts that say nothing"):
        Curves("p", X, Y, (ONE,), (), (Post(1, "one"),))
