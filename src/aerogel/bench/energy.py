"""The energy of our own rows with zeros against the dense one, from a comparison that was metered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from aerogel.bench.table import Table
from aerogel.bench.variant import Variant
from aerogel.energy import Meter, Reading, meter
from aerogel.energy.paired import PairedSaving, paired_saving, usual
from aerogel.energy.reading import joules_text
from aerogel.measure import CaseResult, Settings

_BLOCK_S, _TRY_S = 2.0, 0.1
"""A metered block lasts at least so long: some counters move ten times a second only (those of GPUs)."""


@dataclass(frozen=True, slots=True)
class EnergyPair:
    """What ``sparse`` saves over ``dense``, rows of a table, in ``case``."""

    case: str
    dense: str
    sparse: str
    saving: PairedSaving

    def __str__(self) -> str:
        return f"{self.case}, {self.sparse} against {self.dense}: {self.saving}"

    def to_json(self) -> dict[str, Any]:
        found = self.saving.to_json()
        return {"case": self.case, "dense_row": self.dense, "sparse_row": self.sparse, **found}


@dataclass(frozen=True, slots=True)
class RowEnergy:
    """A row of a table in ``case``: ``reading`` of one run, of the block with the median time."""

    case: str
    row: str
    reading: Reading

    def to_json(self) -> dict[str, Any]:
        return {"case": self.case, "row": self.row, "reading": self.reading.to_json()}


@dataclass(frozen=True, slots=True)
class TableEnergy:
    """Of every row, and of every pair that differs by zeros alone."""

    rows: tuple[RowEnergy, ...]
    pairs: tuple[EnergyPair, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": [row.to_json() for row in self.rows],
            "pairs": [pair.to_json() for pair in self.pairs],
        }

    def lines(self) -> list[str]:
        """For a terminal."""
        lines: list[str] = []
        if any(row.reading.method == "measured" for row in self.rows):
            lines += ["Energy per run:", *(f"  {_row_text(row)}" for row in self.rows), ""]
        lines += ["Energy of zeros against none:", *(f"  {pair}" for pair in self.pairs)]
        if not self.pairs:
            lines[-1] = (
                "No pair of rows differs by zeros alone: give --sparsity, or --dense with what the model was."
            )
        return lines


def metered(settings: Settings) -> Settings:
    """With blocks that are long enough to be metered, if anything here can meter them."""
    with meter() as tried:
        time.sleep(_TRY_S)
    measured = tried.reading.method == "measured"
    return replace(settings, block_s=max(settings.block_s, _BLOCK_S)) if measured else settings


def watch_energy(cpu_s: Callable[[], float]) -> Meter:
    """For ``measure.compare``: a meter around a block, charged with the contender's CPU time."""
    return meter(cpu_time=cpu_s)


def table_energy(table: Table) -> TableEnergy:
    """Of a table whose comparison was metered; empty where it was not."""
    cases = [case for case in table.timed if case.seen]
    rows = [RowEnergy(case.name, row, usual(per_run(case, row))) for case in cases for row in table.rows]
    pairs = [pair for case in cases for pair in _pairs(table, case)]
    return TableEnergy(tuple(rows), tuple(pairs))


def per_run(case: CaseResult, row: str) -> tuple[Reading, ...]:
    """One reading per round, of one run."""
    return tuple(seen.by.reading.per_run(seen.runs) for seen in case.seen[row])


def _pairs(table: Table, case: CaseResult) -> list[EnergyPair]:
    known = {row: replace(table.variants[row], file=None) for row in table.rows if row in table.variants}
    named = {variant: row for row, variant in known.items()}
    found: list[EnergyPair] = []
    for sparse, variant in known.items():
        dense = named.get(Variant(precision=variant.precision))
        if variant.sparsity is None or dense is None:
            continue
        saving = paired_saving(
            per_run(case, dense),
            per_run(case, sparse),
            case.speedup(sparse, over=dense),
            case.settings.resolution,
        )
        found.append(EnergyPair(case.name, dense, sparse, saving))
    return found


def _row_text(row: RowEnergy) -> str:
    reading = row.reading
    watts = "" if reading.joules is None else f", {joules_text(reading.joules / reading.seconds)[:-1]}W"
    return f"{row.case} {row.row}: {reading.amount}{watts}"
