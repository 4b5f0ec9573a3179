"""A report on an inspection: the verdict first, the map as curves, tables with what they hold, gaps said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.find.evidence import QUICK, USES, about, control, curve, pay_map, row, split
from tests.find.inspections import CONTROL, inspection, timing
from tests.report.html_tree import tree

from aerogel.find.estimate import estimates
from aerogel.find.other_runtime import WholeControl
from aerogel.find.result import Header
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.find.timing import Timing
from aerogel.report import Curves, Grid, KeyFigures, Paragraph, Pictures, Report, render
from aerogel.report.inspect import inspect_report
from aerogel.report.inspect_pictures import key_figures, speed_picture
from aerogel.tune.breakeven import DENSE_INT8, Way

NOTHING = Timing(pay_map(()), (), (), (), (Skipped("the whole model", NO_TIME),))


def blocks(found: Report, kind: type, title: str | None = None) -> list[Any]:
    sections = [s for s in found.sections if title in (None, s.title)]
    return [block for section in sections for block in section.blocks if isinstance(block, kind)]


def words(found: Report, title: str) -> str:
    return "\n".join(p.text for p in blocks(found, Paragraph, title))


def test_the_verdict_comes_first_with_its_reasons() -> None:
    made = inspection()
    found = inspect_report(made)
    assert found.headline == made.verdict.reasons[0]
    assert all(reason in words(found, "Verdict") for reason in made.verdict.reasons[1:])
    assert [section.title for section in found.sections] == [
        "Verdict", "Break-even map", "Speed of the whole model", "Zeros in weights", "Zeros in activations",
        "What it computes", "Sensitivity", "How the numbers were obtained",
    ]  # fmt: skip


def test_figures_stand_beside_the_dense_ones() -> None:
    (figures,) = blocks(inspect_report(inspection()), KeyFigures)
    found = {f.name.partition(" with")[0]: (f.value, f.control, f.control_value) for f in figures.figures}
    # Linear layers take 8 of 10 ms; at 80 % they take 0.3 of that.
    assert found["A call"] == ("4.40 ms", "dense", "10.0 ms")
    assert found["Linear layers"] == ("2.40 ms", "dense", "8.00 ms")
    assert found["Zeros that pay in 256 x 128"][0].startswith("from 20 % [")
    assert found["int8 in onnxruntime"] == ("2.00x", "its fp32", "1x")
    assert "an estimate" in figures.figures[0].note


def test_the_map_is_drawn_from_its_ratios() -> None:
    (pictures,) = blocks(inspect_report(inspection()), Pictures, "Break-even map")
    (chart,) = pictures.charts
    assert isinstance(chart, Curves) and chart.title == "256 x 128 at 128 columns"
    assert [c.name for c in chart.curves] == ["unstructured", "block4x1"]
    stop = chart.curves[0].stops[4]
    assert (stop.x, stop.y, stop.estimated) == (80, pytest.approx(1 / 0.3), False)
    assert stop.interval == pytest.approx((1 / 0.315, 1 / 0.285))
    assert [(level.name, level.y) for level in chart.levels] == [
        ("our dense kernel", 1.0),
        ("onnxruntime fp32, dense", 1.0),
        ("onnxruntime int8, dense", 2.0),
    ]


def test_dense_integers_are_a_level_and_crowd_out_the_control() -> None:
    rows = (row(curve({0.0: 0.25}, DENSE_INT8)), row(curve(QUICK), CONTROL))
    whole, pay = split(), pay_map(rows, CONTROL)
    found = inspect_report(inspection(timing=Timing(pay, (whole,), estimates(pay, (whole,), USES), (), ())))
    (pictures,) = blocks(found, Pictures, "Break-even map")
    assert [curve.name for curve in pictures.charts[0].curves] == ["unstructured"]
    assert [(level.name, level.y) for level in pictures.charts[0].levels] == [
        ("our dense kernel", 1.0), ("our dense int8", 4.0), ("onnxruntime int8, dense", 2.0),
    ]  # fmt: skip
    (pictures,) = blocks(found, Pictures, "Speed of the whole model")
    levels = {level.name: level.y for level in pictures.charts[0].levels}
    assert levels["our dense int8"] == pytest.approx(10 / (2 + 8 / 4))
    assert render(found)


def test_the_whole_model_is_drawn_with_its_limit_where_that_is_near() -> None:
    (pictures,) = blocks(inspect_report(inspection()), Pictures, "Speed of the whole model")
    (chart,) = pictures.charts
    assert [stop.x for stop in chart.curves[0].stops] == [50, 70, 80, 90]
    assert all(stop.estimated for stop in chart.curves[0].stops)
    assert {level.name: level.y for level in chart.levels} == {"our dense program": 1.0, "the limit": 5.0}
    assert "The limit" in pictures.caption


def test_five_patterns_are_more_than_a_picture_holds() -> None:
    names = ("unstructured", "block4x1", "block2x1", "block1x4", "block4x4")
    ways = tuple(Way(name, "int8" if name in ("block1x4", "block4x4") else "fp32") for name in names)
    pay = pay_map(
        tuple(row(curve(dict.fromkeys((0.1, 0.8), 0.5), way), control()) for way in ways), control()
    )
    found = inspect_report(inspection(timing=Timing(pay, (), (), (), ()), sensitivity=None))
    (pictures,) = blocks(found, Pictures)
    assert len(pictures.charts[0].curves) == 4
    assert "In the table alone: block4x4 int8." in pictures.caption
    assert [len(grid.rows) for grid in blocks(found, Grid, "Break-even map")] == [5, 5]


def test_shares_have_bars_and_every_layer_can_have_a_row() -> None:
    (grid,) = blocks(inspect_report(inspection()), Grid, "Zeros in weights")
    up = next(r for r in grid.rows if r[0].text == "up.weight")
    assert up[3].text == "18.8 %" and up[3].bar == (9 / 48, 9 / 48)
    assert "9 are zero" in grid.caption
    (changes,) = blocks(inspect_report(inspection(), every_layer=True), Grid, "Sensitivity")
    assert [cell.text for cell in changes.rows[0]] == [
        "up.weight", "6 x 8", "1", "unstructured", "5.0 %", "8.0 %", "not measured",
    ]  # fmt: skip
    (drawn,) = blocks(inspect_report(inspection()), Pictures, "Sensitivity")
    assert [chart.title for chart in drawn.charts] == ["up, 6 x 8"]


def test_what_was_not_measured_is_said_and_not_drawn() -> None:
    skipped = (Skipped("activations", "the model takes no texts"),)
    found = inspect_report(inspection(timing=NOTHING, activations=None, skipped=skipped, sensitivity=None))
    assert not blocks(found, Pictures) and not blocks(found, KeyFigures)
    assert words(found, "Break-even map") == "Not measured, as there was no time: the whole model."
    said = words(found, "Zeros in activations")
    assert said == "Activations: not looked at, since the model takes no texts."
    assert "Sensitivity" not in [section.title for section in found.sections]
    assert render(found)


def test_without_another_runtime_there_is_no_level_for_it() -> None:
    found = inspect_report(inspection(timing=timing(None)))
    (pictures,) = blocks(found, Pictures, "Break-even map")
    assert [level.name for level in pictures.charts[0].levels] == ["our dense kernel"]
    (figures,) = blocks(found, KeyFigures)
    assert not [f for f in figures.figures if "int8" in f.name]


def test_a_refused_model_says_so_first_and_strangers_text_is_text() -> None:
    made = inspection(header=Header("<b>odd</b>", "module", "<i>aten::odd</i> is not known"))
    page = tree(render(inspect_report(made)))
    assert page.all("h1")[0].text == "<b>odd</b>: would zeros pay?"
    assert not page.all("b") and not page.all("i")
    first = next(p for p in page.all("p") if p.attributes.get("class") == "loss")
    assert first.text == "Compile would refuse this model: <i>aten::odd</i> is not known"


def test_the_whole_model_in_another_runtime_is_a_key_figure_and_a_level() -> None:
    whole = WholeControl(128, 10e-3, about(0.8), about(2.5), 0.012)
    known = timing()
    known = replace(
        known, estimates=estimates(known.pay, known.splits, USES, (), (whole,)), controls=(whole,)
    )
    found = inspection(timing=known)
    figures = key_figures(found)
    assert figures is not None
    last = figures.figures[-1]
    assert (last.name, last.value) == ("The whole model in onnxruntime int8", "2.00x")
    assert last.note.endswith("off by 1.2 % of the largest output")
    drawn = speed_picture(found)
    assert drawn is not None and isinstance(drawn.charts[0], Curves)
    levels = {level.name: level.y for level in drawn.charts[0].levels}
    assert levels["onnxruntime int8, dense"] == pytest.approx(2.0)
    assert "the limit" not in levels
