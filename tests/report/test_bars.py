"""Pictures of bars: what they refuse, and that everything drawn lies where its number says."""

from __future__ import annotations

import re

import pytest
from tests.report.html_tree import tree

from aerogel.core.errors import InputError
from aerogel.report import Axis, Bar, Bars, Pictures, Report, Section, render
from aerogel.report.bars_drawing import NARROW, WIDE, BarsDrawing, draw_bars
from aerogel.report.letters import text_width
from aerogel.report.marks import TEXT, Canvas

AXIS = Axis("kg", None)
BARS = (Bar("one", 2.0, 1.0, 4.0, "2 kg [1, 4]"), Bar("only bounds", None, 1.0, 3.0, "1 to 3 kg", 1))


def picture(*bars: Bar, groups: tuple[str, ...] = ("measured", "not")) -> Bars:
    return Bars("A picture", AXIS, bars or BARS, groups)


@pytest.fixture(params=[NARROW, WIDE], ids=["narrow", "wide"])
def drawn(request: pytest.FixtureRequest) -> BarsDrawing:
    canvas: Canvas = request.param
    return draw_bars(picture(), canvas)


def ends(path: str) -> tuple[float, float]:
    found = re.match(r"M ([\d.]+) [\d.]+ H ([\d.]+) ", path)
    assert found is not None
    return float(found[1]), float(found[2])


def test_a_bar_begins_at_0_and_ends_at_its_value_within_its_bounds(drawn: BarsDrawing) -> None:
    one, bounds = drawn.stripes
    assert one.solid is not None and one.solid.left == drawn.frame.left
    low, high = ends(one.bounds)
    assert low < one.solid.right < high <= drawn.frame.right
    at = {1.0: low, 2.0: one.solid.right, 4.0: high}
    assert at[4.0] - at[1.0] == pytest.approx(3 * (at[2.0] - at[1.0]), abs=0.05)
    assert bounds.solid is None and ends(bounds.bounds)[0] == pytest.approx(low)


def test_bars_do_not_lie_on_each_other_or_beyond_the_frame(drawn: BarsDrawing) -> None:
    frame = drawn.frame
    tops = [stripe.title.y for stripe in drawn.stripes]
    assert tops == sorted(tops) and tops[-1] < frame.bottom < drawn.canvas.height
    for stripe in drawn.stripes:
        assert text_width(stripe.title.text, TEXT) + text_width(stripe.amount.text, TEXT) < frame.right
    assert all(box.bottom < frame.top for _, box, _ in drawn.key)


def test_a_long_name_is_cut_before_its_amount() -> None:
    drawn_ = draw_bars(picture(Bar("name " * 40, 1.0, 1.0, 1.0, "1 kg")), NARROW)
    (stripe,) = drawn_.stripes
    assert stripe.title.text.endswith("…") and stripe.amount.text == "1 kg"
    assert stripe.bounds == "", "both bounds are the value"


def test_nothing_but_zeros_can_be_drawn() -> None:
    (stripe,) = draw_bars(picture(Bar("none", 0.0, 0.0, 0.0, "0 kg")), WIDE).stripes
    assert stripe.solid is not None and stripe.solid.left == stripe.solid.right


@pytest.mark.parametrize(
    ("bars", "said"),
    [
        ((Bar("b", 5.0, 1.0, 4.0, ""),), "give low, value and high"),
        ((Bar("b", None, -1.0, 4.0, ""),), "from 0 on"),
        ((Bar("b", 1.0, 1.0, float("inf"), ""),), "no finite value"),
        ((Bar("b", 1.0, 1.0, 1.0, "", 2),), "is of group 2"),
    ],
)
def test_what_cannot_be_drawn_is_refused(bars: tuple[Bar, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        picture(*bars)


def test_empty_crowded_and_logarithmic_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="has no bars"):
        Bars("t", AXIS, ())
    with pytest.raises(InputError, match="5 groups"):
        picture(groups=tuple("abcde"))
    with pytest.raises(InputError, match="bars begin at 0"):
        Bars("t", Axis("kg", None, log=True), BARS[:1])


def test_the_page_has_it_twice_and_in_words() -> None:
    page = tree(render(Report("t", "h", (Section("s", (Pictures((picture(),), "caption"),)),))))
    drawings = page.all("svg", role="img")
    assert [d.attributes["class"] for d in drawings] == ["narrow", "wide"]
    for each in drawings:
        assert each.all("desc")[0].text == "one: 2 kg [1, 4]; only bounds: 1 to 3 kg."
        assert len(each.all("path", class_="whisker")) == 2
        assert len(each.all("rect", class_="solid")) == 1 + 2, "a bar, and the key's samples"
