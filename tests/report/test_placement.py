"""Labels: whatever the points, no label overlaps another or leaves the frame."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.report.boxes import Box
from aerogel.report.letters import text_width
from aerogel.report.placement import Surroundings, Wanted, leader, place

FRAME = Box(30, 20, 350, 320)


@st.composite
def labels(draw: st.DrawFn) -> list[Wanted]:
    one = st.builds(
        Wanted,
        x=st.floats(FRAME.left, FRAME.right),
        y=st.floats(FRAME.top, FRAME.bottom),
        radius=st.floats(3, 18),
        width=st.floats(8, 170),
        height=st.just(16.0),
    )
    found = draw(st.lists(one, min_size=1, max_size=9))
    # Points that coincide are the hard case, and a real one: all that is as good as the dense model.
    twins = draw(st.integers(0, 3))
    return [*found, *found[:twins]]


def square(w: Wanted) -> Box:
    return Box(w.x - w.radius, w.y - w.radius, w.x + w.radius, w.y + w.radius)


def around(wanted: list[Wanted], *fixed: Box) -> Surroundings:
    return Surroundings(FRAME, fixed, tuple(map(square, wanted)))


@settings(max_examples=40, deadline=None)
@given(labels())
def test_no_two_labels_overlap_and_all_are_inside_the_frame(wanted: list[Wanted]) -> None:
    said = Box(40, 100, 150, 116)
    found = place(wanted, around(wanted, said))
    placed = [box for box in found if box is not None]
    for w, box in zip(wanted, found, strict=True):
        if box is None:
            continue
        assert FRAME.holds(box)
        assert abs(box.right - box.left - w.width) < 1e-6 and abs(box.bottom - box.top - w.height) < 1e-6
    assert all(a.overlap(b) == 0 for a, b in combinations([said, *placed], 2))


@settings(max_examples=40, deadline=None)
@given(labels().map(lambda found: [replace(w, width=min(w.width, 80.0), radius=6) for w in found[:5]]))
def test_a_few_labels_all_have_a_place(wanted: list[Wanted]) -> None:
    assert None not in place(wanted, around(wanted))


def test_who_is_first_has_the_better_place() -> None:
    twins = [Wanted(100, 100, 8, 80, 16), Wanted(100, 100, 8, 80, 16, first=True)]
    other, first = place(twins, around(twins))
    assert first is not None and other is not None
    assert first.top < 100 < first.bottom and first.left < 100 + 8 + 2 * 3 + 1


def test_too_many_labels_are_left_out_and_not_piled_up() -> None:
    wanted = [Wanted(100, 100, 5, 300, 16) for _ in range(40)]
    placed = [box for box in place(wanted, around(wanted)) if box]
    assert 1 <= len(placed) < 40
    assert all(a.overlap(b) == 0 for a, b in combinations(placed, 2))


def test_a_label_wider_than_the_frame_is_left_out() -> None:
    assert place([Wanted(100, 100, 5, 400, 16)], around([])) == (None,)


def test_a_lonely_label_stands_beside_its_mark_without_a_line() -> None:
    wanted = Wanted(100, 100, 8, 60, 16)
    (box,) = place([wanted], around([wanted]))
    assert box is not None and box.top < 100 < box.bottom
    assert box.overlap(square(wanted)) == 0
    assert leader(wanted, box) is None


def test_a_label_that_stands_apart_has_a_line_from_rim_to_box() -> None:
    line = leader(Wanted(100, 100, 10, 60, 16), Box(150, 92, 210, 108))
    assert line == (110, 100, 150, 100)


def test_a_label_does_not_stand_where_it_would_name_another_mark() -> None:
    wanted = [Wanted(150, 100, 8, 80, 16), Wanted(180, 100, 8, 80, 16)]
    left, right = place(wanted, around(wanted))
    assert left is not None and right is not None
    assert left.right <= 150 and right.left >= 180


def test_the_same_points_give_the_same_places() -> None:
    wanted = [Wanted(100 + i, 100, 8, 80, 16) for i in range(6)]
    assert place(wanted, around(wanted)) == place(wanted, around(wanted))


def test_wider_texts_count_as_wider() -> None:
    assert text_width("", 12) == 0
    assert text_width("iiii", 12) < text_width("nnnn", 12) < text_width("MMMM", 12)
    assert text_width("\u6a21\u578b", 12) >= 24, "full-width letters take a whole em"
    assert text_width("e\u0301", 12) == text_width("e", 12), "an accent takes nothing"
