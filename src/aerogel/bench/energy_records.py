"""What the rows of a metered comparison took in all, for a ledger: one before, one after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from aerogel.bench.table import Table
from aerogel.energy import Reading
from aerogel.energy.series import Series


@dataclass(frozen=True, slots=True)
class RowTotal:
    """All metered blocks of one of our own rows in ``case``: ``reading`` of ``inferences`` inferences."""

    case: str
    row: str
    role: Literal["dense", "sparse"]
    reading: Reading
    inferences: int


def row_totals(table: Table) -> Iterator[RowTotal]:
    """Of every own row and case of a table whose comparison was metered."""
    for case in table.timed:
        for row, variant in table.variants.items():
            seen = case.seen.get(row, ())
            if not seen:
                continue
            inferences = sum(each.runs for each in seen) * _batch(case.name)
            role = "dense" if variant.sparsity is None else "sparse"
            yield RowTotal(case.name, row, role, summed([each.by.reading for each in seen]), inferences)


def summed(readings: Sequence[Reading]) -> Reading:
    """Of several blocks, one; what one of them does not tell, the sum does not tell."""
    series = Series()
    for reading in readings:
        series.add(reading)
    return series.reading


def _batch(case: str) -> int:
    """Inputs at once: 8 in "8x128"."""
    first = case.partition("x")[0]
    return int(first) if first.isdigit() else 1
