from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from aerogel.core.errors import InputError
from aerogel.report import Cell, Grid, Paragraph, Pictures, Report, Section


def test_a_row_has_a_cell_for_every_column() -> None:
    with pytest.raises(InputError, match="a row of table 'Sizes' has 1 cells for 2 columns"):
        Grid("Sizes", ("row", "size"), ((Cell("a"),),))


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Grid("t", (), ()),
        lambda: Section(" ", ()),
        lambda: Report("", "first line", ()),
        lambda: Report("title", "\n", ()),
        lambda: Pictures((), "nothing to see"),
    ],
)
def test_what_has_nothing_to_show_is_refused(broken: object) -> None:
    with pytest.raises(InputError):
        broken()  # type: ignore[operator]


def test_parts_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Paragraph("text").text = "other"  # type: ignore[misc]


@pytest.mark.parametrize("bar", [(0.5, 0.4), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 1.0)])
def test_a_bar_is_two_shares_in_order(bar: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="give two shares"):
        Cell("50 %", bar=bar)
