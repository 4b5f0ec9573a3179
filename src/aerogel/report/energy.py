"""What the zeros of a table's rows save in energy, where every block was metered; else what is known."""

from __future__ import annotations

from aerogel.bench import Table
from aerogel.bench.energy import EnergyPair, TableEnergy, table_energy
from aerogel.energy.reading import Reading
from aerogel.energy.saving import percent_text
from aerogel.report.document import NOT_MEASURED, Cell, Grid, Paragraph, Section
from aerogel.report.wording import NOT_PROVEN, ratio_lines, tone_of

_TITLE = "Energy"


def energy_section(table: Table) -> Section | None:
    """None where no meter was asked for."""
    found = table_energy(table)
    if not found.rows:
        return None
    return Section(_TITLE, (_words(found), *([_pairs(table, found)] if found.pairs else []), _rows(found)))


def _words(found: TableEnergy) -> Paragraph:
    """Whether anything was measured, by what, and how to read it."""
    some = found.rows[0].reading
    if all(row.reading.method == "measured" for row in found.rows):
        return Paragraph(
            f"Measured by {some.source}. Each saving is the median of the rounds' ratios of joules per run, "
            "with its interval; a round meters both rows one after the other, and each has the CPU alone."
        )
    do = f" {some.advice[:1].upper()}{some.advice[1:]}." if some.advice else ""
    return Paragraph(
        f"Energy was not measured: {some.obstacle}.{do} What stands here are bounds under the power model "
        f"{some.model} ({some.source}). They prove nothing of a saving; the change of time is measured.",
        "loss",
    )


def _pairs(table: Table, found: TableEnergy) -> Grid:
    level = f"{100 * table.comparison.settings.confidence:g} %"
    return Grid(
        f"What zeros save: a row with zeros against the same without, per run, with {level} intervals in "
        "brackets.",
        ("row and shape", "energy", "without zeros", "with zeros", "speed"),
        tuple(
            (
                Cell(pair.sparse, (f"against {pair.dense}", pair.case), "own"),
                _change(pair),
                *(_amount(reading) for reading in pair.saving.usual),
                _speed(pair),
            )
            for pair in found.pairs
        ),
    )


def _change(pair: EnergyPair) -> Cell:
    share = pair.saving.energy
    if share is None:
        return Cell(NOT_MEASURED, tone="unproven")
    interval = f"[{percent_text(share.low)}, {percent_text(share.high)}]"
    if pair.saving.verdict == "not proven":
        return Cell(percent_text(share.value), (interval, NOT_PROVEN), "unproven")
    return Cell(percent_text(share.value), (interval,))


def _speed(pair: EnergyPair) -> Cell:
    value, *details = ratio_lines(pair.saving.speedup)
    return Cell(value, tuple(details), tone_of(pair.saving.speedup))


def _rows(found: TableEnergy) -> Grid:
    cases = tuple(dict.fromkeys(row.case for row in found.rows))
    names = tuple(dict.fromkeys(row.row for row in found.rows))
    known = {(row.row, row.case): row.reading for row in found.rows}
    return Grid(
        "Energy of one run of every row, of the block with the median time.",
        ("row", *cases),
        tuple((Cell(name), *(_amount(known[name, case]) for case in cases)) for name in names),
    )


def _amount(reading: Reading) -> Cell:
    first, bracket, rest = reading.amount.partition(" [")
    return Cell(first, (f"[{rest}",) if bracket else ())
