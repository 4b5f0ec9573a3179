"""The factored gain in a report, and the cause of each row beside it."""

from __future__ import annotations

from dataclasses import replace

from tests.report.tables import made

from aerogel.bench import DENSE, Table, Variant
from aerogel.report import Grid, render
from aerogel.report.encoder import encoder_report, gains
from aerogel.report.factored import factored_grid

INT8, SPARSE, BOTH = Variant(precision="int8"), Variant(0.9), Variant(0.9, precision="int8")
TIMES = {
    "onnxruntime fp32": 0.024, DENSE.name: 0.020, INT8.name: 0.010, SPARSE.name: 0.008, BOTH.name: 0.005
}  # fmt: skip


def table(*left_out: str) -> Table:
    times: dict[str, tuple[float, ...] | float] = {n: t for n, t in TIMES.items() if n not in left_out}
    variants = {v.name: v for v in (DENSE, INT8, SPARSE, BOTH) if v.name in times}
    return replace(made(times), variants=variants)


def texts(grid: Grid, row: str) -> list[str]:
    """The cells of the first line for ``row``."""
    return next([cell.text for cell in line] for line in grid.rows if line[0].text == row)


def test_each_gain_is_shown_with_its_factors() -> None:
    grid = factored_grid(table())
    assert grid is not None
    assert grid.columns == ("row and shape", "in all", "the runtime", "8-bit integers", "zeros")
    assert texts(grid, BOTH.name) == [BOTH.name, "4.80x", "1.20x", "2.00x", "2.00x"]
    assert texts(grid, SPARSE.name) == [SPARSE.name, "3.00x", "1.20x", "does not apply", "2.50x"]
    shown = render(encoder_report(table(), "A title"))
    assert grid.caption in shown and "does not apply" in shown


def test_there_is_none_where_rows_are_missing() -> None:
    assert factored_grid(table(DENSE.name)) is None
    assert factored_grid(replace(table(), variants={})) is None


def test_every_row_is_set_beside_the_one_it_differs_from_by_one_cause() -> None:
    def causes(found: Table) -> dict[str, str]:
        grid = gains(found)
        assert grid is not None
        return {line[0].text: line[0].details[0] for line in grid.rows}

    assert causes(table()) == {
        DENSE.name: "the runtime, over onnxruntime fp32",
        INT8.name: "8-bit integers, over aerogel dense",
        SPARSE.name: "zeros, over aerogel dense",
        BOTH.name: "zeros, over aerogel dense int8",
    }
    assert causes(table(INT8.name))[BOTH.name] == "8-bit integers and zeros, over aerogel dense"
