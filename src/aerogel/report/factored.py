"""The gain of each of our own rows as a product of its causes."""

from __future__ import annotations

from aerogel.bench import Table
from aerogel.bench.factors import FactoredGain, factored_gains
from aerogel.measure import Ratio
from aerogel.report.document import Cell, Grid
from aerogel.report.wording import ratio_lines, tone_of

_CAUSES = {"runtime": "the runtime", "int8": "8-bit integers", "sparsity": "zeros"}


def factored_grid(table: Table) -> Grid | None:
    """A line for every shape and row; None where the table lacks the rows that take a gain apart."""
    gains = factored_gains(table)
    if not gains:
        return None
    causes = [name for name in _CAUSES if any(f.cause == name for gain in gains for f in gain.factors)]
    return Grid(
        f"The gain over {gains[0].total.over}, and what it is made of: each factor is that of two rows which "
        f"differ by this alone. The product of medians is near the median of the whole, not exactly it.",
        ("row and shape", "in all", *(_CAUSES[cause] for cause in causes)),
        tuple(
            (
                Cell(gain.total.contender, (gain.case,), "own"),
                _cell(gain.total),
                *(_factor(gain, cause) for cause in causes),
            )
            for gain in gains
        ),
    )


def _factor(gain: FactoredGain, cause: str) -> Cell:
    ratio = next((factor.ratio for factor in gain.factors if factor.cause == cause), None)
    return Cell("does not apply") if ratio is None else _cell(ratio)


def _cell(ratio: Ratio) -> Cell:
    value, *details = ratio_lines(ratio)
    return Cell(value, tuple(details), tone_of(ratio))
