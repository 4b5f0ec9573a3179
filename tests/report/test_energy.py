"""The energy of a report: measured with intervals, or bounds that are said to prove nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.bench.test_energy import table

from aerogel.report import render
from aerogel.report.document import Cell, Grid, Paragraph
from aerogel.report.encoder import encoder_report
from aerogel.report.energy import energy_section


def blocks(*, with_meter: bool) -> tuple[Paragraph, Grid, Grid]:
    section = energy_section(table(with_meter=with_meter))
    assert section is not None
    words, pairs, rows = section.blocks
    assert isinstance(words, Paragraph) and isinstance(pairs, Grid) and isinstance(rows, Grid)
    return words, pairs, rows


def test_a_measured_saving_has_its_interval() -> None:
    words, pairs, rows = blocks(with_meter=True)
    assert words.text.startswith("Measured by RAPL package-0. ")
    assert words.tone == "plain"
    first = pairs.rows[0]
    assert first[0] == Cell("aerogel 80 %", ("against aerogel dense", "1x16"), "own")
    assert first[1] == Cell("-50 %", ("[-51 %, -49 %]",))
    assert [cell.text for cell in first[2:4]] == ["800 mJ", "400 mJ"]
    assert first[4].text == "2.00x"
    assert rows.columns == ("row", "1x16")
    assert rows.rows[0] == (Cell("onnxruntime fp32"), Cell("2 J", ("[2 J, 2 J]",)))


def test_without_a_meter_bounds_are_said_to_prove_nothing() -> None:
    words, pairs, rows = blocks(with_meter=False)
    assert words.text.startswith("Energy was not measured: no RAPL counters here.")
    assert "They prove nothing of a saving" in words.text
    assert words.tone == "loss"
    assert [cell.text for cell in pairs.rows[0][1:4]] == ["not measured", "20 mJ to 2 J", "10 mJ to 1 J"]
    assert rows.rows[0][1] == Cell("50 mJ to 5 J")


def test_what_may_be_noise_is_not_proven() -> None:
    found = table(with_meter=True)
    seen = dict(found.comparison.cases[0].seen)
    seen["aerogel 80 %"] = seen["aerogel dense"]
    case = replace(found.comparison.cases[0], seen=seen)
    section = energy_section(replace(found, comparison=replace(found.comparison, cases=(case,))))
    assert section is not None and isinstance(section.blocks[1], Grid)
    assert section.blocks[1].rows[0][1] == Cell("+0.0 %", ("[-2.0 %, +2.0 %]", "not proven"), "unproven")


def test_rows_alone_are_shown_where_nothing_differs_by_zeros() -> None:
    section = energy_section(table(with_meter=True, rows=("onnxruntime fp32", "aerogel dense")))
    assert section is not None and len(section.blocks) == 2


@pytest.mark.parametrize("watched", [True, False])
def test_a_report_has_energy_where_it_was_asked_for(watched: bool) -> None:
    report = encoder_report(table(with_meter=False, watched=watched), "a model")
    assert ("Energy" in [section.title for section in report.sections]) is watched
    assert ("watts-per-thread" in render(report)) is watched
