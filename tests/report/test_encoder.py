"""From a table to a report: what it says of numbers that were proven, not proven, and not measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.report.html_tree import tree
from tests.report.tables import made, measured

from aerogel.bench import Table
from aerogel.report import Grid, KeyFigures, Notes, Paragraph, Pictures, Report, Section, render
from aerogel.report.encoder import encoder_report, encoder_sections, gains, loss_words, rows
from aerogel.report.key_numbers import key_numbers
from aerogel.report.method import contenders, method
from aerogel.report.speed_picture import speed_pictures
from aerogel.report.wording import latency, overlap

TIMES = {"onnxruntime fp32": 0.020, "onnxruntime int8": 0.010, "aerogel dense": 0.015, "aerogel 80 %": 0.008}
OVERLAPS = {"onnxruntime fp32": 1.0, "onnxruntime int8": 0.93, "aerogel dense": 1.0, "aerogel 80 %": 0.4}
SIZES = {"onnxruntime fp32": 9e7, "onnxruntime int8": 2.3e7, "aerogel dense": 9.1e7}
NOISE = (0.0140, 0.0260, 0.0190, 0.0210, 0.0230, 0.0170)


def table() -> Table:
    return made(TIMES, OVERLAPS, SIZES)


def block(report: Report, title: str, kind: type) -> object:
    (section,) = [s for s in report.sections if s.title == title]
    return next(b for b in section.blocks if isinstance(b, kind))


def cells(grid: Grid) -> dict[str, dict[str, str]]:
    """Row, column -> the text of the cell with its details."""
    return {
        row[0].text: {
            c: "; ".join([cell.text, *cell.details]) for c, cell in zip(grid.columns, row, strict=True)
        }
        for row in grid.rows
    }


def test_the_report_has_its_parts_in_order_and_the_method_last() -> None:
    more = Section("More", (Paragraph("text"),))
    report = encoder_report(table(), "A title", (more,))
    assert [s.title for s in report.sections] == [
        "What came out", "Quality, speed and size", "Every row", "Where the speed comes from", "More",
        "How the numbers were obtained",
    ]  # fmt: skip
    assert report.headline == table().headline()


def test_every_row_has_each_number_with_its_interval() -> None:
    found = cells(rows(table()))
    assert found["aerogel dense"] == {
        "row": "aerogel dense",
        "1x16": "15.0 ms; [15.0, 15.0]; 1.33x [1.31, 1.36]",
        "8x128": "30.0 ms; [30.0, 30.0]; 1.33x [1.31, 1.36]",
        "size": "91.0 MB",
        "top-10 overlap": "1.00",
        "rank correlation": "0.990",
    }
    assert found["onnxruntime fp32"]["1x16"] == "20.0 ms; [20.0, 20.0]; 1x: the reference"


def test_a_quality_below_the_limit_is_called_a_loss_in_words() -> None:
    found = cells(rows(table()))
    assert found["aerogel 80 %"]["top-10 overlap"] == "0.40; a loss: below 0.9"
    assert found["onnxruntime int8"]["top-10 overlap"] == "0.93"
    said = loss_words(table())
    assert said.text.startswith("A loss of quality: aerogel 80 % (0.40).")
    assert said.tone == "loss"


@pytest.mark.parametrize(("value", "shown", "loss"), [(0.9, "0.90", False), (0.8999, "0.8999", True)])
def test_the_limit_itself_is_no_loss_and_what_is_just_below_does_not_read_as_it(
    value: float, shown: str, loss: bool
) -> None:
    table = made({"aerogel dense": 0.01}, {"aerogel dense": value})
    found = overlap(table, "aerogel dense")
    assert (found.text, bool(found.details)) == (shown, loss)
    assert loss_words(table).text.startswith("A loss") == loss


def test_without_a_loss_that_is_said_too() -> None:
    fine = made(TIMES, dict.fromkeys(TIMES, 0.95))
    assert (
        loss_words(fine).text
        == "No row that was judged loses quality: all have a top-10 overlap of 0.9 or more."
    )


def test_what_may_be_noise_reads_not_proven_everywhere() -> None:
    noisy = made({**TIMES, "aerogel dense": NOISE}, OVERLAPS)
    cell = latency(noisy.timed[0], "aerogel dense", noisy.comparison.reference)
    assert cell.details[-1] == "not proven" and cell.tone == "unproven"
    causes = gains(noisy)
    assert causes is not None
    assert cells(causes)["aerogel dense"]["1x16"].endswith("not proven")
    (figures, *_) = key_numbers(noisy)
    assert figures.figures[0].note.endswith("not proven")
    proven = latency(table().timed[0], "aerogel dense", table().comparison.reference)
    assert "not proven" not in " ".join(proven.details)


def test_a_row_that_another_runtime_beats_everywhere_says_so() -> None:
    beaten = made({**TIMES, "aerogel dense": 0.03}, dict.fromkeys(TIMES, 1.0))
    report = encoder_report(beaten, "t")
    assert report.headline.startswith("onnxruntime fp32: faster at every shape, and no worse in quality")
    found = cells(block(report, "Every row", Grid))  # type: ignore[arg-type]
    dense = next(row for row in found if row == "aerogel dense")
    assert found[dense]["row"] == "aerogel dense; onnxruntime fp32 is faster at every shape, and as good"


def test_without_texts_the_error_of_the_output_comes_beside_speed() -> None:
    errors = {"onnxruntime fp32": 0.0, "aerogel dense": 1.5e-6, "aerogel 80 %": 0.052}
    found = replace(table(), qualities={}, errors=errors, dense="onnxruntime fp32")
    (figures,) = key_numbers(found)
    last = figures.figures[-1]
    assert (last.name, last.value, last.control_value) == ("Output error", "5.2e-02", "1.5e-06")
    rows = cells(block(encoder_report(found, "t"), "Every row", Grid))  # type: ignore[arg-type]
    assert rows["aerogel 80 %"]["output error"] == "5.2e-02"


def test_speed_size_and_quality_come_beside_their_dense_control() -> None:
    kept, fastest = key_numbers(table())
    assert kept.subject == "The fastest aerogel row without a loss: aerogel dense"
    assert {f.control for f in kept.figures} == {"onnxruntime fp32"}
    assert fastest.subject == "The fastest aerogel row: aerogel 80 %"
    assert {f.control for f in fastest.figures} == {"aerogel dense"}
    speed, size, quality = fastest.figures
    assert (speed.name, speed.value, speed.control_value) == ("Median latency at 8x128", "16.0 ms", "30.0 ms")
    assert speed.note == "1.88x [1.84, 1.91], 95 % interval"
    assert (size.value, size.control_value) == (None, "91.0 MB"), "what was not measured is not zero"
    assert (quality.value, quality.control_value, quality.tone) == ("0.40", "1.00", "loss")
    assert quality.note == "a loss: below 0.9"


def test_gains_are_told_apart_by_cause() -> None:
    found = gains(table())
    assert found is not None
    assert {row: values["row"] for row, values in cells(found).items()} == {
        "aerogel dense": "aerogel dense; the runtime, over onnxruntime fp32",
        "onnxruntime int8": "onnxruntime int8; 8-bit integers, over onnxruntime fp32",
        "aerogel 80 %": "aerogel 80 %; zeros, over aerogel dense",
    }
    assert cells(found)["aerogel 80 %"]["8x128"] == "1.88x; [1.84, 1.91]"


def test_pictures_show_what_was_measured_on_one_scale() -> None:
    pictures = speed_pictures(measured())
    assert pictures is not None and len(pictures.charts) == 3
    first = pictures.charts[0]
    assert first.title == "1x16: 1 sequence of 16 tokens"
    assert pictures.charts[2].title == "8x128: 8 sequences of 128 tokens"
    assert all((c.x, c.y) == (first.x, first.y) for c in pictures.charts)
    reach = [v for c in pictures.charts for p in c.points for v in p.x_interval or ()]
    assert (first.x.low, first.x.high) == (min(reach), max(reach)), "as wide as the widest of all"
    assert first.groups == ("aerogel", "other runtimes")
    points = {p.name: p for p in first.points}
    assert points["onnxruntime fp32"].x == 1.0 and points["onnxruntime fp32"].x_interval is None
    pruned = points["aerogel 80 %"]
    assert (pruned.group, round(pruned.x, 2), round(pruned.y, 2)) == ("aerogel", 3.12, 0.36)
    assert pruned.size == pytest.approx(61.6, abs=0.1)
    assert pruned.x_interval == pytest.approx((2.80, 3.22), abs=0.01)
    assert first.limit is not None and first.limit.label == "a loss: below 0.9"
    front = [p.name for p in first.front()]
    assert front[:2] == ["onnxruntime fp32", "onnxruntime int8"] and "aerogel 50 %" not in front


def test_rows_that_were_not_judged_are_named_beside_the_picture() -> None:
    some = {row: v for row, v in OVERLAPS.items() if row != "onnxruntime int8"}
    pictures = speed_pictures(made(TIMES, some))
    assert pictures is not None
    assert "onnxruntime int8" not in [p.name for p in pictures.charts[0].points]
    assert pictures.caption.endswith("as their quality was not measured: onnxruntime int8.")


def test_without_quality_the_picture_is_of_size_and_the_report_says_so() -> None:
    unjudged = made(TIMES, {}, SIZES)
    pictures = speed_pictures(unjudged)
    assert pictures is not None
    chart = pictures.charts[0]
    assert (chart.y.title, chart.y.better, chart.limit) == ("size, MB", "low", None)
    assert "aerogel 80 %" not in [p.name for p in chart.points]
    assert "quality was not measured" in pictures.caption
    assert loss_words(unjudged).text.startswith("Quality was not measured")
    assert "top-10 overlap" not in rows(unjudged).columns
    assert "Not measured: no texts" in {n.term: n.text for n in method(unjudged).notes}["Quality"]
    tree(render(encoder_report(unjudged, "t")))


def test_without_quality_and_size_there_is_no_picture() -> None:
    bare = made(TIMES)
    assert speed_pictures(bare) is None
    kinds = [type(b) for s in encoder_sections(bare) for b in s.blocks]
    assert Pictures not in kinds
    assert cells(rows(bare))["aerogel dense"]["size"] == "not measured"


@pytest.mark.parametrize("overlaps", [{}, {"aerogel dense": 1.0}])
def test_one_row_alone_makes_a_report(overlaps: dict[str, float]) -> None:
    alone = made({"aerogel dense": 0.02}, overlaps)
    report = encoder_report(alone, "t")
    assert report.headline == "Nothing else was timed beside these."
    assert KeyFigures not in [type(b) for s in report.sections for b in s.blocks]
    assert gains(alone) is None
    found = tree(render(report))
    assert "aerogel dense" in found.text and "0.0 MB" not in found.text and "None" not in found.text


def test_nothing_timed_makes_a_report() -> None:
    empty = made(TIMES, OVERLAPS, shapes=())
    found = tree(render(encoder_report(empty, "t")))
    assert "0.40" in found.text and not found.all("svg")


def test_how_it_was_obtained_is_said_of_every_kind_of_number() -> None:
    notes = {n.term: n.text for n in method(measured()).notes}
    assert set(notes) == {
        "Machine", "Versions", "Latency", "Speed-up (x)", "Not proven", "Top-10 overlap", "Rank correlation",
        "Relative error", "Size", "Memory",
    }  # fmt: skip
    assert "AMD EPYC, 2 of 2 cores" in notes["Machine"]
    assert "onnxruntime 1.31.1" in notes["Versions"]
    assert "9 blocks of at least 0.5 s" in notes["Latency"] and "its own default" in notes["Latency"]
    assert "95 % interval" in notes["Speed-up (x)"] and "widened by 2 %" in notes["Speed-up (x)"]
    assert "500 texts" in notes["Top-10 overlap"] and "torch eager" in notes["Top-10 overlap"]
    given = {n.term: n.text for n in method(replace(measured(), threads=1)).notes}
    assert "with 1 thread," in given["Latency"]


@pytest.mark.parametrize(("load", "busy"), [(None, False), (2.9, False), (10.8, True)])
def test_a_busy_machine_is_said_before_any_number(load: float | None, busy: bool) -> None:
    found = measured()
    machine = replace(found.comparison.machine, load_average=load)
    report = encoder_report(replace(found, comparison=replace(found.comparison, machine=machine)), "t")
    said = [b.text for b in report.sections[0].blocks if isinstance(b, Paragraph)]
    assert any("busy with other work: load average 10.8 on 2 cores" in text for text in said) == busy


def test_the_most_memory_is_never_less_than_what_there_was_in_the_end() -> None:
    found = measured()
    facts, *others = found.comparison.contenders
    told = {**facts.facts, "peak_bytes": 700_000_000, "resident_bytes": 690_000_000}
    comparison = replace(found.comparison, contenders=(replace(facts, facts=told), *others))
    row = cells(contenders(replace(found, comparison=comparison)))["torch eager"]
    assert (row["most memory"], row["memory in the end"]) == ("700.0 MB", "690.0 MB")


def test_what_ran_is_listed_with_what_was_measured_once() -> None:
    found = cells(contenders(measured()))
    assert found["aerogel dense"]["loading"] == "4.25 s" and found["aerogel dense"]["threads"] == "2"
    assert found["onnxruntime fp32"]["threads"] == "not told"
    assert found["torch eager"]["relative error"] == "the truth here"
    assert found["onnxruntime int8"]["relative error"] == "0.069"
    assert found["aerogel dense"]["memory in the end"] == "not measured"
    broken = replace(measured(), errors={"aerogel dense": float("inf")})
    assert cells(contenders(broken))["aerogel dense"]["relative error"] == "not comparable"


def test_the_whole_report_of_what_was_measured_is_small_and_complete() -> None:
    rendered = render(encoder_report(measured(), "all-MiniLM-L6-v2"))
    assert len(rendered.encode()) < 100_000
    text = tree(rendered).text.replace("\xa0", " ")
    for row in measured().rows:
        assert row in text
    assert "None" not in text and "nan" not in text.replace("finance", "")
    assert isinstance(encoder_report(measured(), "t").sections[-1].blocks[-1], Notes)
