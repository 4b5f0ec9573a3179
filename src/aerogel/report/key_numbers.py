"""The few numbers of a table to read first: speed, size and quality of two rows beside a dense control."""

from __future__ import annotations

from aerogel.bench import Table, milliseconds
from aerogel.bench.render import output_error
from aerogel.measure import CaseResult
from aerogel.report.document import KeyFigure, KeyFigures
from aerogel.report.wording import dense_control, is_loss, overlap, ratio_lines, size, tone_of


def key_numbers(table: Table) -> tuple[KeyFigures, ...]:
    """For the fastest aerogel row without a loss of quality, and for the fastest of all if that is another;
    at the largest shape, the one that takes the reference longest. Empty without anything to set beside."""
    if not table.timed:
        return ()
    case = max(table.timed, key=lambda found: found.timing(table.comparison.reference).median_s)
    own = [row for row in table.rows if row in table.own]
    kept = [row for row in own if is_loss(table, row) is False]
    chosen: dict[str, str] = {}
    for rows, about in ((kept, "The fastest aerogel row without a loss"), (own, "The fastest aerogel row")):
        if rows:
            fastest = min(rows, key=lambda row: case.timing(row).median_s)
            chosen.setdefault(fastest, about)
    found = (_figures(table, case, row, f"{about}: {row}") for row, about in chosen.items())
    return tuple(figures for figures in found if figures)


def _figures(table: Table, case: CaseResult, row: str, subject: str) -> KeyFigures | None:
    control = dense_control(table)
    if control == row:
        control = table.comparison.reference
    if control == row:
        return None
    ratio = case.speedup(row, over=control)
    level = f"{100 * ratio.confidence:g} % interval"
    value, interval, *proven = ratio_lines(ratio)
    latency = KeyFigure(
        f"Median latency at {case.name}",
        milliseconds(case.timing(row).median_s),
        control,
        milliseconds(case.timing(control).median_s),
        f"{value} {', '.join((interval, level, *proven))}",
        tone_of(ratio),
    )
    return KeyFigures(subject, (latency, _size(table, row, control), _quality(table, row, control)))


def _size(table: Table, row: str, control: str) -> KeyFigure:
    own, other = table.size_bytes(row), table.size_bytes(control)
    note = f"{100 * own / other:.0f} % as large" if own is not None and other else ""
    return KeyFigure("Size", size(table, row), control, size(table, control), note)


def _quality(table: Table, row: str, control: str) -> KeyFigure:
    if table.judged_by_outputs:
        own, other = output_error(table, row), output_error(table, control)
        return KeyFigure("Output error", own, control, other, f"beside {table.dense}, on random input")
    judged, other = (overlap(table, name) for name in (row, control))
    known = [name in table.qualities for name in (row, control)]
    note = judged.details[0] if judged.details else ""
    return KeyFigure(
        "Top-10 overlap",
        judged.text if known[0] else None,
        control,
        other.text if known[1] else None,
        note,
        judged.tone,
    )
