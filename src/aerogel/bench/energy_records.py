"""What the rows of a metered comparison took in all, for a ledger: one before, one after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from aerogel.bench.row_work import RowWork, row_work
from aerogel.bench.table import Table
from aerogel.energy import Reading
from aerogel.energy.series import Series


@dataclass(frozen=True, slots=True)
class RowTotal:
    """All metered blocks of one of our own rows in ``case``: ``reading`` of ``inferences`` inferences, and
    the operations of all of them, gross and effective, where they were counted."""

    case: str
    row: str
    role: Literal["dense", "sparse"]
    reading: Reading
    inferences: int
    flops_gross: int | None = None
    flops_effective: int | None = None


def row_totals(table: Table) -> Iterator[RowTotal]:
    """Of every own row and case of a table whose comparison was metered."""
    for case in table.timed:
        for row, variant in table.variants.items():
            seen = case.seen.get(row, ())
            if not seen:
                continue
            calls = sum(each.runs for each in seen)
            inferences = calls * _batch(case.name)
            role = "dense" if variant.sparsity is None else "sparse"
            reading = summed([each.by.reading for each in seen])
            yield RowTotal(
                case.name, row, role, reading, inferences, *_flops(row_work(table, case, row), calls)
            )


def _flops(work: RowWork | None, calls: int) -> tuple[int | None, int | None]:
    """Of so many calls, gross and effective."""
    if work is None:
        return None, None
    effective = None if work.flops_effective is None else calls * work.flops_effective
    return calls * work.flops_gross, effective


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
