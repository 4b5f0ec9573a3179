"""A statement as tables of plain values, for files: every figure of every run, with what it was made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from aerogel.carbon.amount import Amount
from aerogel.carbon.disclosure import Block
from aerogel.carbon.inventory import TITLES, UNITS, Line, Total, named
from aerogel.carbon.method import RULES
from aerogel.carbon.statement import Statement, by_scope

Value: TypeAlias = str | float | int | None
"""None is not known, and stays empty."""

PROJECTED = "Projections, no part of the inventory: nothing here was subtracted from it."

_AMOUNT = ("value", "low", "high", "unit")


@dataclass(frozen=True, slots=True)
class Sheet:
    """``name`` is short enough for a tab (31 letters); ``remark`` stands above the table."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    remark: str = ""


def sheets(found: Statement) -> tuple[Sheet, ...]:
    """The inventory's, then the projections', which stand apart."""
    return (
        totals_sheet(found),
        lines_sheet(found),
        runs_sheet(found),
        factors_sheet(found),
        _scores(found),
        *(_block(block) for block in found.blocks),
        _costs(found),
        _remarks(found),
        _method(found),
        _savings(found),
    )


def totals_sheet(found: Statement) -> Sheet:
    rows = [
        (TITLES[quantity], quantity, scope, *_total(total))
        for quantity in UNITS
        for scope, total in by_scope(found.inventory, quantity).items()
    ]
    rows += [
        (TITLES["money"], "money", scope, *_total(total))
        for scope in ("2", "3.1")
        for total in found.inventory.money(scope).values()
    ]
    columns = ("what", "quantity", "scope", *_AMOUNT, "amounts", "of which not known")
    remark = f"{found.inventory.method}, made {found.made}. Sums are of what is known; scopes stand apart."
    return Sheet("Totals", columns, tuple(rows), remark)


def lines_sheet(found: Statement) -> Sheet:
    """One row for each quantity of each run: what every total is the sum of."""
    columns = ("run", "label", "began", "quantity", "scope", *_AMOUNT, "formula", "factors", "note")
    return Sheet("Lines", columns, tuple(_line(line) for line in found.inventory.lines))


def runs_sheet(found: Statement) -> Sheet:
    """What was recorded, as it was recorded."""
    runs = found.inventory.runs
    columns = tuple(runs[0].to_json()) if runs else ("id",)
    rows = tuple(tuple(_plain(value) for value in run.to_json().values()) for run in runs)
    return Sheet("Runs", columns, rows)


def factors_sheet(found: Statement) -> Sheet:
    """The assumption sheet."""
    columns = ("factor", "year", *_AMOUNT, "grade", "own", "source", "note")
    rows = tuple(
        (f.key, f.year, f.value, f.low, f.high, f.unit, f.grade, "yes" if f.own else "", f.source, f.note)
        for f in found.inventory.factors()
    )
    return Sheet("Assumptions", columns, rows, "Every factor a figure was made of.")


def _scores(found: Statement) -> Sheet:
    columns = ("model", "score", "operations", *_AMOUNT, "units", "unit of work", "runs", "note")
    rows = tuple(
        (
            score.name,
            score.persona,
            score.basis,
            *_amount(score.value),
            score.units,
            score.unit,
            len(score.runs),
            score.note,
        )
        for score in found.scores
    )
    return Sheet("SCI", columns, rows, "ISO/IEC 21031:2024 and SCI for AI: (E x I + M) per R.")


def _block(block: Block) -> Sheet:
    columns = ("paragraph", "what", *_AMOUNT, "note", "datapoint")
    rows = tuple(
        (row.paragraph, row.name, *_amount(row.amount), row.note, row.datapoint) for row in block.rows
    )
    return Sheet(block.title.partition(":")[0], columns, rows, " ".join((block.standard, *block.remarks)))


def _costs(found: Statement) -> Sheet:
    columns = ("part", *_AMOUNT, "amounts", "of which not known", "runs without a price")
    rows = tuple((cost.part, *_total(cost.total), cost.missing) for cost in found.costs)
    return Sheet("Cost", columns, rows, "Total cost of ownership of what ran; a currency is never converted.")


def _remarks(found: Statement) -> Sheet:
    rows = tuple((note, count) for note, count in found.inventory.notes().items())
    return Sheet("Remarks", ("what was assumed or is missing", "of how many amounts"), rows)


def _method(found: Statement) -> Sheet:
    return Sheet(
        "Method", ("what", "how"), tuple((rule.what, rule.text) for rule in RULES), found.inventory.method
    )


def _savings(found: Statement) -> Sheet:
    columns = (
        "pair",
        "verdict",
        "quantity",
        "unit of work",
        "units a year",
        "figure",
        *_AMOUNT,
        "method",
        "note",
    )
    rows: list[tuple[Value, ...]] = []
    for saving in found.savings:
        head = (saving.pair, saving.verdict)
        note = saving.obstacle or "; ".join(saving.missing)
        if not saving.projections:
            rows.append((*head, *([None] * 9), note))
        for each in saving.projections:
            figures = (
                ("a unit, dense", each.dense),
                ("a unit, sparse", each.sparse),
                ("saved, a unit", each.saved_each),
                ("saved, a year", each.saved),
                ("pruning took", each.cost),
                ("net, the first year", each.net),
            )
            tail = (saving.method, note)
            work = (each.quantity, saving.unit, saving.yearly_units)
            rows += [(*head, *work, name, *_amount(amount), *tail) for name, amount in figures]
    return Sheet("Projected savings", columns, tuple(rows), PROJECTED)


def _line(line: Line) -> tuple[Value, ...]:
    run = line.run
    used = "; ".join(named(factor) for factor in line.factors)
    amount = _amount(line.amount)
    return (run.id, run.label, run.began, line.quantity, line.scope, *amount, line.formula, used, line.note)


def _amount(amount: Amount | None) -> tuple[Value, Value, Value, str]:
    """Value, low, high, unit; what is not known, and what is without bound, is None."""
    if amount is None:
        return None, None, None, ""
    low, high = (bound if math.isfinite(bound) else None for bound in (amount.low, amount.high))
    # Without an upper bound, a lower one of 0 says nothing.
    return amount.value, None if high is None and low == 0 else low, high, amount.unit


def _total(total: Total) -> tuple[Value, ...]:
    return (*_amount(total.figure), total.lines, total.unknown)


def _plain(value: object) -> Value:
    return value if isinstance(value, str | float | int) or value is None else str(value)
