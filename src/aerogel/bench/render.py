"""A table for the terminal: in plain text, or by rich where it is installed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from aerogel.bench.factors import factored_gains
from aerogel.bench.row_work import WORDS, work_rows
from aerogel.bench.table import Table
from aerogel.core.errors import MissingDependencyError
from aerogel.measure import CaseResult

_UNKNOWN = "not known"
_WIDTH = 110


def plain(table: Table) -> str:
    """The whole table as lines of text."""
    header, rows = _cells(table)
    lines = [table.headline(), "", *aligned([header, *rows], left=(0,)), "", *_notes(table)]
    return "\n".join([*lines, *work_lines(table)])


def work_lines(table: Table) -> list[str]:
    """What each row computes and moves in a call, as a table of its own; none where that was not counted."""
    found = work_rows(table)
    if not found:
        return []
    cases = [case.name for case in table.timed]
    head = f"Operations and bytes of a call: {WORDS}"
    return ["", *textwrap.wrap(head, _WIDTH), "", *aligned([("", *cases), *found], left=(0,))]


def aligned(rows: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    """Lines of a table whose first row is its head; a cell may have several lines. ``left``: which columns
    begin, rather than end, at one place."""
    split = [[cell.split("\n") for cell in row] for row in rows]
    widths = [max(len(line) for row in split for line in row[column]) for column in range(len(rows[0]))]
    lines: list[str] = []
    for number, row in enumerate(split):
        for part in range(max(len(cell) for cell in row)):
            texts = [cell[part] if part < len(cell) else "" for cell in row]
            placed = [
                text.ljust(width) if column in left else text.rjust(width)
                for column, (text, width) in enumerate(zip(texts, widths, strict=True))
            ]
            lines.append("  ".join(placed).rstrip())
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
    return lines


def factored_lines(table: Table) -> list[str]:
    """The gains of our own rows, each as a product of its causes; none where the table lacks the rows."""
    gains = factored_gains(table)
    if not gains:
        return []
    return [f"Gain over {gains[0].total.over}, and what it is made of:", *(f"  {gain}" for gain in gains), ""]


def rich_table(table: Table) -> Any:
    """The same as a ``rich`` renderable."""
    try:
        from rich.console import Group
        from rich.table import Table as RichTable
        from rich.text import Text
    except ImportError as error:
        raise MissingDependencyError(f"{error}: pip install 'aerogel[cli]'") from error
    header, rows = _cells(table)
    drawn = RichTable(header_style="bold")
    for number, title in enumerate(header):
        drawn.add_column(Text(title), justify="right" if number else "left", no_wrap=True)
    for name, row in zip(table.rows, rows, strict=True):
        drawn.add_row(*map(Text, row), style="bold" if name in table.own else "")
    notes = Text("\n".join([*_notes(table), *work_lines(table)]), style="dim")
    return Group(Text(table.headline(), style="bold"), drawn, notes)


def _cells(table: Table) -> tuple[list[str], list[list[str]]]:
    header = ["", *(case.name for case in table.timed), "size"]
    if table.qualities:
        header += ["top-10\noverlap", "rank\ncorrelation"]
    if table.judged_by_outputs:
        header.append("output\nerror")
    rows: list[list[str]] = []
    for row in table.rows:
        cells = [row, *(_latency(table, case, row) for case in table.timed), _size(table.size_bytes(row))]
        if table.qualities:
            judged = table.qualities.get(row)
            texts = (
                (f"{judged.top_overlap:.2f}", f"{judged.spearman:.3f}") if judged else (_UNKNOWN, _UNKNOWN)
            )
            cells += texts
        if table.judged_by_outputs:
            cells.append(output_error(table, row))
        rows.append(cells)
    return header, rows


def _latency(table: Table, case: CaseResult, row: str) -> str:
    shown = milliseconds(case.timing(row).median_s)
    if row == table.comparison.reference:
        return f"{shown}\n1x"
    ratio = case.speedup(row, over=table.comparison.reference)
    proven = "" if ratio.proven else "? "
    return f"{shown}\n{proven}{ratio.value:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


def milliseconds(seconds: float) -> str:
    """Three digits that count: ``3.02 ms``, ``17.3 ms``, ``146 ms``."""
    value = seconds * 1e3
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} ms"


def output_error(table: Table, row: str) -> str:
    """Of the row's outputs, relative to the largest; that of the row they are compared with is none."""
    if row == table.dense:
        return "-"
    return _UNKNOWN if row not in table.errors else f"{table.errors[row]:.1e}"


def error_words(table: Table) -> str:
    """What the column of output errors means."""
    return (
        f"Output error: the largest difference from the outputs of {table.dense} on random input, over "
        "the largest output; what it does to answers is not measured."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _size(size_bytes: int | None) -> str:
    return _UNKNOWN if size_bytes is None else f"{size_bytes / 1e6:.1f} MB"


def _notes(table: Table) -> list[str]:
    found = table.comparison
    level = f"{100 * found.settings.confidence:g} %"
    about = found.machine
    where = f"{about.cpu or about.architecture}, {about.usable_cores} cores, Python {about.python}"
    given = "with its own settings" if table.threads is None else f"on {_count(table.threads, 'thread')}"
    how = f"each runtime in its own process {given}, {found.settings.rounds} blocks in turns"
    lines = [
        *factored_lines(table),
        f"x: times the speed of {found.reference}, with {level} interval; ?: the difference is not proven.",
        f"Measured on {where}; {how}.",
    ]
    if table.qualities and table.dense:
        count = next(iter(table.qualities.values())).texts
        lines.append(f"Quality: against {table.dense}, on {count} texts.")
    elif table.judged_by_outputs:
        lines.append(error_words(table))
    return lines
