"""A report on an encoder, from the table of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from aerogel.bench import Table, Variant
from aerogel.bench.quality import LOSS_BELOW
from aerogel.bench.render import error_words, output_error
from aerogel.bench.row_work import WORDS, work_rows
from aerogel.measure import Ratio
from aerogel.report.document import (
    NOT_MEASURED,
    Block,
    Cell,
    Grid,
    Paragraph,
    Report,
    Section,
)
from aerogel.report.energy import energy_section
from aerogel.report.factored import factored_grid
from aerogel.report.key_numbers import key_numbers
from aerogel.report.method import contenders, disturbance, method
from aerogel.report.speed_picture import speed_pictures
from aerogel.report.wording import (
    correlation,
    dense_control,
    is_loss,
    latency,
    listed,
    overlap,
    ratio_lines,
    size,
    tone_of,
)


def encoder_report(table: Table, title: str, more: Sequence[Section] = ()) -> Report:
    """The whole report; ``more``: sections that come before how the numbers were obtained."""
    first, *others = encoder_sections(table)
    return Report(title, table.headline(), (first, *others[:-1], *more, others[-1]))


def encoder_sections(table: Table) -> tuple[Section, ...]:
    """What stands out, the picture, every row, where speed comes from; last, how it was obtained."""
    busy = disturbance(table.comparison.machine)
    outcome: list[Block] = [loss_words(table), *([busy] if busy else []), *key_numbers(table)]
    sections = [Section("What came out", tuple(outcome))]
    drawn = speed_pictures(table)
    if drawn is not None:
        title = "Quality, speed and size" if table.qualities else "Speed and size"
        sections.append(Section(title, (drawn,)))
    computed = work_grid(table)
    sections.append(Section("Every row", (rows(table), *([] if computed is None else [computed]))))
    if (causes := gains(table)) is not None:
        product = factored_grid(table)
        shown = (causes,) if product is None else (product, causes)
        sections.append(Section("Where the speed comes from", shown))
    if (energy := energy_section(table)) is not None:
        sections.append(energy)
    sections.append(Section("How the numbers were obtained", (contenders(table), method(table))))
    return tuple(sections)


def loss_words(table: Table) -> Paragraph:
    """Which rows lose quality, in words, so that no speed is read without it."""
    if not table.qualities:
        return Paragraph(
            "Quality was not measured: these numbers say how fast each row is, and not what it is worth. "
            "aerogel bench --data FILE judges the rows of an encoder by your texts.",
            "loss",
        )
    judged = [row for row in table.rows if row in table.qualities]
    losing = [f"{row} ({overlap(table, row).text})" for row in judged if is_loss(table, row)]
    if not losing:
        return Paragraph(
            f"No row that was judged loses quality: all have a top-10 overlap of {LOSS_BELOW} or more."
        )
    return Paragraph(
        f"A loss of quality: {listed(losing)}. Fewer than nine in ten of the nearest neighbours that "
        f"{table.dense} finds are kept (top-10 overlap below {LOSS_BELOW}).",
        "loss",
    )


def rows(table: Table) -> Grid:
    """Every row at every shape, with size and quality beside it."""
    reference = table.comparison.reference
    level = f"{100 * table.comparison.settings.confidence:g} %"
    columns = ("row", *(case.name for case in table.timed), "size")
    caption = (
        f"Median latency, and times the speed of {reference}, with {level} intervals in brackets. "
        f"Columns are sequences x tokens."
    )
    if table.qualities:
        columns = (*columns, "top-10 overlap", "rank correlation")
    elif table.judged_by_outputs:
        columns = (*columns, "output error")
        caption += f" {error_words(table)}"
    return Grid(
        caption,
        columns,
        tuple(
            (
                _title(table, row),
                *(latency(case, row, reference) for case in table.timed),
                Cell(size(table, row) or NOT_MEASURED),
                *_judged(table, row),
            )
            for row in table.rows
        ),
    )


def work_grid(table: Table) -> Grid | None:
    """What every row computes and moves at every shape; None where that was not counted."""
    found = work_rows(table)
    if not found:
        return None
    return Grid(
        f"Operations and bytes of a call: {WORDS}",
        ("row", *(case.name for case in table.timed)),
        tuple(
            (Cell(row, tone="own" if row in table.own else "plain"), *map(_counted, cells))
            for row, *cells in found
        ),
    )


def _counted(cell: str) -> Cell:
    first, *others = cell.split("\n")
    return Cell(first, tuple(others))


def _judged(table: Table, row: str) -> tuple[Cell, ...]:
    if table.qualities:
        return overlap(table, row), correlation(table, row)
    return (Cell(output_error(table, row)),) if table.judged_by_outputs else ()


def _title(table: Table, row: str) -> Cell:
    if row not in table.own:
        return Cell(row)
    by = table.dominated_by(row)
    worse = (
        ()
        if by is None
        else (f"{by} is faster at every shape" + (", and as good" if table.qualities else ""),)
    )
    return Cell(row, worse, "own")


def gains(table: Table) -> Grid | None:
    """Speed-ups by cause: the runtime, 8-bit integers, zeros. None where no two rows differ by one cause."""
    control, reference = dense_control(table), table.comparison.reference
    causes = [("the runtime", control, reference)] if control in table.own and control != reference else []
    causes += [
        ("8-bit integers", row, reference)
        for row in table.rows
        if row not in table.own and row != reference and "int8" in row
    ]
    causes += [_own_cause(table, row, control) for row in table.rows if row in table.own and row != control]
    if not causes:
        return None
    return Grid(
        "Each speed-up by itself: the gain of a pruned row over the reference is that of the runtime times "
        "that of its zeros.",
        ("row", *(case.name for case in table.timed)),
        tuple(
            (
                Cell(row, (f"{cause}, over {over}",), "own" if row in table.own else "plain"),
                *(_gain(case.speedup(row, over=over)) for case in table.timed),
            )
            for cause, row, over in causes
        ),
    )


def _own_cause(table: Table, row: str, control: str) -> tuple[str, str, str]:
    """Cause, row, and the row that it differs from by that cause."""
    variant = table.variants.get(row, Variant(1.0))
    if variant.precision == "fp32":
        return "zeros", row, control
    if variant.sparsity is None:
        return "8-bit integers", row, control
    between = Variant(precision=variant.precision).name
    if between in table.own:
        return "zeros", row, between
    return "8-bit integers and zeros", row, control


def _gain(ratio: Ratio) -> Cell:
    value, *details = ratio_lines(ratio)
    return Cell(value, tuple(details), tone_of(ratio))
