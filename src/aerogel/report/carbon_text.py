"""A statement as lines for a terminal."""

from __future__ import annotations

from aerogel.carbon.disclosure import Block
from aerogel.carbon.inventory import SCOPE_TITLES, SCOPES, TITLES, named
from aerogel.carbon.statement import Statement
from aerogel.report.carbon_sheets import PROJECTED
from aerogel.report.carbon_words import (
    NOT_KNOWN,
    amount,
    columns,
    headline,
    plain,
    scope_table,
    score_text,
    score_title,
    total,
    verdict,
)
from aerogel.report.wording import counted


def text(found: Statement) -> str:
    """Everything but the single lines, which are for files."""
    parts = [
        [headline(found)],
        _scopes(found),
        _methods(found),
        _scores(found),
        *(_block(block) for block in found.blocks),
        _costs(found),
        _equivalents(found),
        _assumptions(found),
        _savings(found),
        [f"Method: {found.inventory.method}; made {found.made}."],
    ]
    return "\n\n".join("\n".join(map(plain, part)) for part in parts if part)


def _scopes(found: Statement) -> list[str]:
    table = scope_table(found.inventory)
    lines: list[str] = []
    for scope in SCOPES:
        rows = [(what, sums[scope]) for what, sums in table if scope in sums]
        if rows:
            lines += [SCOPE_TITLES[scope], *columns(rows)]
    return lines


def _methods(found: Statement) -> list[str]:
    rows = [
        (
            method,
            f"{len(runs)} of {len(found.inventory.runs)} runs",
            total(found.inventory.total("energy", runs=runs)),
        )
        for method, runs in found.inventory.methods().items()
    ]
    return ["How the energy was obtained", *columns(rows)] if rows else []


def _scores(found: Statement) -> list[str]:
    rows = [(score.name, score_title(score), score_text(score)) for score in found.scores]
    return ["Software carbon intensity (ISO/IEC 21031; SCI for AI)", *columns(rows)] if rows else []


def _block(block: Block) -> list[str]:
    rows = [(row.paragraph, row.name, amount(row.amount), row.note) for row in block.rows]
    return [block.title, f"  {block.standard}", *columns(rows)]


def _costs(found: Statement) -> list[str]:
    rows = [
        (
            cost.part,
            total(cost.total) if cost.total.lines else NOT_KNOWN,
            f"no price for {counted(cost.missing, 'run')}" if cost.missing else "",
        )
        for cost in found.costs
    ]
    return ["Total cost of ownership", *columns(rows)] if rows else []


def _equivalents(found: Statement) -> list[str]:
    rows = [(str(as_much), f"({each.source})") for each, as_much in found.equivalents]
    return ["As much as", *columns(rows)] if rows else []


def _assumptions(found: Statement) -> list[str]:
    used = [
        (named(f), str(f.amount), f.grade, f"{'own; ' if f.own else ''}{f.source}")
        for f in found.inventory.factors()
    ]
    notes = [f"  {note} ({count})" for note, count in found.inventory.notes().items()]
    lines = ["Assumptions: every factor used", *columns(used)] if used else []
    return [*lines, "Assumed or missing (of how many amounts)", *notes] if notes else lines


def _savings(found: Statement) -> list[str]:
    if not found.savings:
        return []
    lines = [f"Projected savings. {PROJECTED}"]
    for saving in found.savings:
        lines.append(f"  {verdict(saving)}")
        rows = [
            (TITLES[each.quantity], name, amount(figure))
            for each in saving.projections
            for name, figure in (
                ("saved a unit", each.saved_each),
                ("saved a year", each.saved),
                ("pruning took", each.cost),
                ("net, first year", each.net),
            )
            if figure is not None
        ]
        lines += columns(rows, "    ")
        lines += [f"    missing: {missing}" for missing in saving.missing]
    return lines
