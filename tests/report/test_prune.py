"""A report on a pruned model: every number beside its dense control, what is missing said, losses named."""

from __future__ import annotations

from typing import Any

import pytest
from tests.report.html_tree import tree
from tests.trial.outcomes import accuracy, outcome, report, trade

from aerogel.prune.report import RecoveryReport
from aerogel.report import Chart, Grid, KeyFigures, Notes, Paragraph, Pictures, Report, render
from aerogel.report.prune import prune_report
from aerogel.trial.accuracy import Accuracy
from aerogel.trial.trade import DENSE, PRUNED, TORCH


def blocks(found: Report, kind: type) -> list[Any]:
    return [block for section in found.sections for block in section.blocks if isinstance(block, kind)]


def paragraphs(found: Report, tone: str | None = None) -> str:
    return "\n".join(p.text for p in blocks(found, Paragraph) if tone in (None, p.tone))


def grid(found: Report, title: str) -> Grid:
    (section,) = [s for s in found.sections if s.title == title]
    return next(b for b in section.blocks if isinstance(b, Grid))


def test_quality_size_memory_and_latency_stand_beside_the_dense_ones() -> None:
    (figures,) = blocks(prune_report(outcome()), KeyFigures)
    assert [(f.name, f.value, f.control, f.control_value) for f in figures.figures] == [
        ("Rank correlation", "0.95", "dense", "1"),
        ("File", "35.0 MB", "dense checkpoint", "100.0 MB"),
        ("Most memory", "100.0 MB", DENSE, "200.0 MB"),
        ("Median latency at 8x128", "2.00 ms", DENSE, "4.00 ms"),
    ]
    notes = [f.note for f in figures.figures]
    assert notes[0] == "compiled"
    assert notes[1] == "35 % as large; a dense file has 55.0 MB"
    assert notes[3] == "2.00x [1.96, 2.04], 95 % interval"


def test_the_headline_tells_zeros_cost_and_gain() -> None:
    assert prune_report(outcome()).headline == (
        "50 % of 384 weights in linear layers are zero. Rank correlation is 0.95 (dense: 1) and top-10 "
        "overlap is 0.91 (dense: 1). At 8x128 it has 2.00x [1.96, 2.04] the speed of aerogel dense."
    )


def test_tables_have_every_row() -> None:
    found = prune_report(outcome())
    quality = grid(found, "Quality")
    assert quality.columns == ("", "dense", "pruned", "compiled")
    assert [[cell.text for cell in row] for row in quality.rows] == [
        ["Rank correlation", "1", "0.96", "0.95"],
        ["Top-10 overlap", "1", "0.92", "0.91"],
    ]
    sizes = [[cell.text for cell in row] for row in grid(found, "Size").rows]
    assert sizes == [
        ["out", "100.0 MB", "90.0 MB", "90 %", "90 %"],
        ["out.aero", "55.0 MB", "35.0 MB", "64 %", "35 %"],
    ]
    times = grid(found, "Time and memory")
    assert [row[0].text for row in times.rows] == [TORCH, DENSE, PRUNED]
    assert times.rows[2][2].details == ("[1.00, 1.00]", "2.00x [1.96, 2.04]")


def test_layers_have_bars_and_one_that_no_data_reached_has_no_number() -> None:
    rows = grid(prune_report(outcome()), "Layers").rows
    assert [row[0].text for row in rows] == ["layer.0.up", "layer.0.down", "layer.1.unseen"]
    assert [(row[3].text, row[3].bar) for row in rows] == [
        ("10.0 %", (1.0, 1.0)),
        ("5.0 %", (0.5, 0.5)),
        ("not measured", None),
    ]
    assert rows[0][2].bar == (0.5, 0.5)


def test_a_loss_is_named_though_no_bound_was_given() -> None:
    assert "A loss of quality" not in paragraphs(prune_report(outcome()))
    said = paragraphs(prune_report(outcome(file_accuracy=accuracy(0.95, 0.844))), "loss")
    assert said.startswith("A loss of quality: the top-10 overlap is 0.844, below 0.9")


def test_below_a_bound_is_the_first_that_is_read() -> None:
    missed = ("rank correlation is 0.95, below 0.99 of the dense 1 (0.99)",)
    asked = {"keep": 0.99, "floor": None}
    found = prune_report(outcome(missed=missed, written=(), asked=asked))
    assert found.headline.startswith("Nothing was written: the pruned model is below its bound.")
    assert "So nothing was written." in paragraphs(found, "loss")
    (figures,) = blocks(found, KeyFigures)
    assert (figures.figures[0].tone, figures.figures[1].value) == ("loss", None)
    (pictures,) = blocks(found, Pictures)
    assert pictures.charts[0].limit.y == pytest.approx(0.99)
    assert not [s for s in found.sections if s.title == "Size"]


def test_what_was_not_measured_is_said_and_is_no_number() -> None:
    found = prune_report(
        outcome(
            accuracy=None,
            file_accuracy=None,
            accuracy_missing="little takes no texts: give --eval",
            trade=None,
            trade_missing="not asked for",
        )
    )
    (figures,) = blocks(found, KeyFigures)
    assert [f.value for f in figures.figures] == [None, "35.0 MB", None, None]
    assert "Not measured: little takes no texts: give --eval." in paragraphs(found, "loss")
    assert "Not measured: not asked for." in paragraphs(found)
    assert not blocks(found, Pictures)
    assert "was not measured" in found.headline


def test_the_picture_has_memory_as_area_and_no_row_whose_quality_is_unknown() -> None:
    rows = {"onnxruntime int8": 0.0005, TORCH: 0.004, DENSE: 0.002, PRUNED: 0.001}
    (pictures,) = blocks(prune_report(outcome(trade=trade(rows))), Pictures)
    (first, second) = pictures.charts
    assert isinstance(first, Chart) and first.x == second.x
    assert {p.name: (p.x, p.y, p.size) for p in first.points} == {
        TORCH: (0.5, 1.0, 400.0),
        DENSE: (1.0, 1.0, 200.0),
        PRUNED: (2.0, 0.95, 100.0),
    }
    assert "as their rank correlation was not measured: onnxruntime int8." in pictures.caption


def test_numbers_of_the_users_own_that_cannot_be_drawn_are_still_told() -> None:
    own = Accuracy("by check.py:score", {"score": -1e20}, {"score": -2e20}, ("score",))
    found = prune_report(outcome(accuracy=own, file_accuracy=None))
    assert not blocks(found, Pictures)
    assert grid(found, "Quality").rows[0][2].text == "-2e+20"


@pytest.mark.parametrize("undone", [False, True])
def test_recovery_says_what_it_did(undone: bool) -> None:
    done = RecoveryReport(13, 32.0, 0.0898, 0.0893, False, 0.0698, 0.0871, undone)
    found = prune_report(outcome(report=report(done)))
    said = paragraphs(found, "loss" if undone else "plain")
    assert "Recovery: 13 steps of training in 32 s" in said
    assert ("so it was undone" in said) == undone


def test_a_precision_is_told_in_the_title() -> None:
    found = prune_report(outcome(asked={"precision": "int8"}))
    assert found.title == "little, pruned to 50 % zeros, the rest in 8 bits"
    assert "rounded to 8 bits" in blocks(found, Notes)[0].notes[0].text
    assert "bits" not in prune_report(outcome(asked={"precision": "fp32"})).title


def test_the_page_is_whole_and_strangers_text_is_text() -> None:
    found = outcome(model="<b>m</b>", asked={"threads": 2, "layers": "<i>"})
    page = tree(render(prune_report(found)))
    assert page.all("h1")[0].text == "<b>m</b>, pruned to 50 % zeros"
    assert not page.all("b") and not page.all("i")
    assert len(page.all("svg", class_="bar")) == 3 + 2
    notes = blocks(prune_report(found), Notes)[0].notes
    assert any("with 2 threads" in note.text for note in notes)
    assert any(note.text == "texts of mine: 100 different ones, 80 to calibrate on, 20 held out to judge by."
               for note in notes)  # fmt: skip
