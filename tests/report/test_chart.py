from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.core.errors import InputError
from aerogel.report.chart import Axis, Chart, Limit, Point

X = Axis("speed", "high", log=True)
Y = Axis("quality", "high")


def chart(*points: Point, x: Axis = X, y: Axis = Y, **more: object) -> Chart:
    return Chart("a picture", x, y, points, ("ours", "theirs"), **more)  # type: ignore[arg-type]


def point(name: str, x: float, y: float) -> Point:
    return Point(name, x, y, "ours")


def test_the_front_is_what_no_other_beats_best_y_first() -> None:
    drawn = chart(
        point("slow", 1, 0.9), point("fast", 4, 0.2), point("middle", 2, 0.5), point("beaten", 1.9, 0.5)
    )
    assert [p.name for p in drawn.front()] == ["slow", "middle", "fast"]


def test_the_front_of_an_axis_where_low_is_better() -> None:
    points = (point("small", 1, 10), point("fast", 4, 50), point("large and slow", 1, 50))
    drawn = chart(*points, y=Axis("size", "low"))
    assert [p.name for p in drawn.front()] == ["small", "fast"]
    slowest = chart(*points, x=Axis("latency", "low"), y=Axis("size", "low"))
    assert [p.name for p in slowest.front()] == ["small"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 9), st.floats(0, 1)), min_size=1, max_size=12))
def test_every_point_is_on_the_front_or_beaten_by_one_that_is(places: list[tuple[float, float]]) -> None:
    drawn = chart(*(point(str(i), x, y) for i, (x, y) in enumerate(places)))
    front = drawn.front()
    assert front
    for p in drawn.points:
        beaten = any(f.x >= p.x and f.y >= p.y and (f.x, f.y) != (p.x, p.y) for f in front)
        assert beaten == (p not in front)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (chart, "has no points"),
        (lambda: chart(point("p", math.nan, 1)), "'p' has nan for 'speed'"),
        (lambda: chart(point("p", 1, math.inf)), "'p' has inf for 'quality'"),
        (lambda: chart(point("p", 0, 1)), "whose axis is logarithmic"),
        (lambda: chart(point("p", -1, 1)), "whose axis is logarithmic"),
        (lambda: chart(Point("p", 1, 1, "nobody's")), 'is of group "nobody\'s"'),
        (lambda: chart(Point("p", 1, 1, "ours", size=-1)), "has size -1"),
        (lambda: chart(Point("p", 1, 1, "ours", size=math.nan)), "has size nan"),
        (lambda: chart(Point("p", 1, 1, "ours", x_interval=(2, 1))), "whose ends are exchanged"),
        (lambda: chart(Point("p", 1, 1, "ours", x_interval=(0, 1))), "whose axis is logarithmic"),
        (lambda: chart(Point("p", 1, 1, "ours", y_interval=(0, math.nan))), "nan for 'quality'"),
        (lambda: chart(point("p", 1, 1), limit=Limit(math.nan, "no")), "the limit of picture 'a picture'"),
        (lambda: chart(point("p", 1, 1), origin=0.0), "the origin of picture 'a picture'"),
        (lambda: Axis("speed", "high", low=math.inf), "axis 'speed'"),
        (lambda: Axis("speed", "high", log=True, low=0), "axis 'speed'"),
        (lambda: Chart("p", X, Y, (point("p", 1, 1),), tuple("abcde")), "5 groups, and there are 4"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(broken: object, message: str) -> None:
    with pytest.raises(InputError) as refused:
        broken()  # type: ignore[operator]
    assert message in str(refused.value)
