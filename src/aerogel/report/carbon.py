"""The page of a statement: totals by scope, scores, the standards' blocks, assumptions, every run."""

from __future__ import annotations

from aerogel.carbon.amount import Amount
from aerogel.carbon.disclosure import Block as Disclosure
from aerogel.carbon.factor import Factor
from aerogel.carbon.inventory import SCOPE_TITLES, SCOPES, TITLES, Inventory, Line, LineScope, Quantity, named
from aerogel.carbon.method import RULES
from aerogel.carbon.run import Run
from aerogel.carbon.statement import Statement
from aerogel.report.carbon_pictures import emission_pictures
from aerogel.report.carbon_words import (
    NOT_KNOWN,
    amount,
    bounds,
    headline,
    scope_table,
    score_text,
    score_title,
    total,
)
from aerogel.report.document import (
    Block,
    Cell,
    Grid,
    KeyFigure,
    KeyFigures,
    Note,
    Notes,
    Paragraph,
    Report,
    Section,
)

TITLE = "Energy and carbon of computing"

MOST_RUNS = 300
"""More stand in the files alone."""

_KEY: tuple[Quantity, ...] = ("energy", "location", "embodied", "water")
_RUN_COLUMNS: tuple[Quantity, ...] = ("energy", "location", "market", "embodied", "water", "money")


def carbon_report(found: Statement) -> Report:
    """The whole page. Projected savings are not on it: they are no part of an inventory."""
    sections = [
        Section("Totals", tuple(_totals(found))),
        Section("How the energy was obtained", tuple(_obtained(found))),
        *_scores(found),
        *(_disclosure(block) for block in found.blocks),
        *_costs(found),
        *_equivalents(found),
        Section("Assumptions", tuple(_assumptions(found))),
        Section("Every run", tuple(_runs(found.inventory))),
        Section("Method", (_method(found),)),
    ]
    return Report(TITLE, headline(found), tuple(sections))


def _totals(found: Statement) -> list[Block]:
    inventory = found.inventory
    figures = [_key_figure(inventory, quantity) for quantity in _KEY]
    figures += [_money(inventory, currency) for currency in inventory.money()]
    sums = scope_table(inventory)
    scopes: list[LineScope] = [scope for scope in SCOPES if any(scope in each for _, each in sums)]
    rows = tuple(
        (Cell(what), *(_parted(each[scope]) if scope in each else Cell("") for scope in scopes))
        for what, each in sums
    )
    columns = ("what", *(SCOPE_TITLES[scope] for scope in scopes))
    table = Grid("By scope: each stands apart.", columns, rows)
    return [
        KeyFigures("All runs, whatever their scope", tuple(figures)),
        *emission_pictures(inventory),
        table,
    ]


def _key_figure(inventory: Inventory, quantity: Quantity) -> KeyFigure:
    sum_ = inventory.total(quantity)
    figure = sum_.figure
    if figure is None:
        return KeyFigure(TITLES[quantity], NOT_KNOWN, "bounds", "none", sum_.gap, "unproven")
    return _figure(TITLES[quantity], amount(figure), figure, sum_.gap)


def _money(inventory: Inventory, currency: str) -> KeyFigure:
    sum_ = inventory.money()[currency]
    figure = sum_.figure
    if figure is None:
        return KeyFigure(f"Money, {currency}", NOT_KNOWN, "bounds", "none", sum_.gap, "unproven")
    return _figure(f"Money, {currency}", str(figure), figure, sum_.gap)


def _figure(name: str, text: str, found: Amount, gap: str) -> KeyFigure:
    """With its bounds, where they say more than the figure does."""
    value, bracket, _ = text.partition(" [")
    said = "exactly so" if found.value is not None else "no more is known"
    return KeyFigure(name, value, "bounds", bounds(found) if bracket else said, gap)


def _parted(text: str) -> Cell:
    """A figure, with its bounds and what it lacks below it."""
    value, bracket, rest = text.partition(" [")
    if not bracket:
        value, comma, lack = text.partition(", without ")
        return Cell(value, (f"without {lack}",) if comma else ())
    inside, _, lack = rest.partition("]")
    lacks = (lack.removeprefix(", "),) if lack else ()
    return Cell(value, (f"[{inside}]", *lacks))


def _obtained(found: Statement) -> list[Block]:
    inventory = found.inventory
    rows = tuple(
        (
            Cell(method, tone="plain" if method in ("measured", "calibrated") else "unproven"),
            Cell(f"{len(runs)}"),
            _parted(total(inventory.total("energy", runs=runs))),
            Cell("; ".join(sorted({run.source or "not said" for run in runs})[:3])),
            Cell("; ".join(sorted({run.covers or "not said" for run in runs})[:3])),
        )
        for method, runs in inventory.methods().items()
    )
    columns = ("method", "runs", "electricity", "by", "covers")
    caption = (
        "What the energy covers is not scaled up: what covers the CPU alone lacks the rest of the server."
    )
    return [Grid(caption, columns, rows, frozenset({0, 3, 4}))]


def _scores(found: Statement) -> list[Section]:
    if not found.scores:
        return []
    rows = tuple(
        (
            Cell(score.name),
            Cell(score_title(score)),
            _parted(score_text(score)),
            Cell(f"{len(score.runs)}"),
        )
        for score in found.scores
    )
    caption = (
        "(E x I + M) per R of ISO/IEC 21031:2024, location-based. SCI for AI: a consumer's score covers "
        "running a model, a provider's making it; operations are gross or effective, as the score says."
    )
    grid = Grid(caption, ("model", "score", "grams of CO2e", "runs"), rows, frozenset({0, 1}))
    return [Section("Software carbon intensity", (grid,))]


def _disclosure(block: Disclosure) -> Section:
    rows = tuple(
        (
            Cell(row.name),
            Cell(row.paragraph),
            _parted(amount(row.amount)),
            Cell(row.note, (row.datapoint,) if row.datapoint else ()),
        )
        for row in block.rows
    )
    grid = Grid(block.standard, ("what", "paragraph", "figure", "note"), rows, frozenset({0, 1, 3}))
    return Section(block.title, (grid, *(Paragraph(remark) for remark in block.remarks)))


def _costs(found: Statement) -> list[Section]:
    if not found.costs:
        return []
    rows = tuple(
        (
            Cell(cost.part),
            _parted(total(cost.total) if cost.total.lines else NOT_KNOWN),
            Cell(f"{cost.missing}"),
            Cell(", ".join(factor.key for factor in cost.factors)),
        )
        for cost in found.costs
    )
    caption = (
        "Own hardware: electricity, and what it cost by the share of its lifetime. Bought: what was paid."
    )
    columns = ("part", "cost", "runs without a price", "factors")
    return [Section("Total cost of ownership", (Grid(caption, columns, rows, frozenset({0, 3})),))]


def _equivalents(found: Statement) -> list[Section]:
    rows = tuple((_parted(str(as_much)), Cell(each.source)) for each, as_much in found.equivalents)
    if not rows:
        return []
    grid = Grid(
        "The known emissions are as much as one of these.", ("as much as", "source"), rows, frozenset({0, 1})
    )
    return [Section("For comparison", (grid,))]


def _assumptions(found: Statement) -> list[Block]:
    factors = found.inventory.factors()
    columns = ("factor", "value", "grade", "source")
    caption = "Every factor that a figure was made of, by key and year. Own: from the user's file."
    notes = tuple((Cell(note), Cell(f"{count}")) for note, count in found.inventory.notes().items())
    blocks: list[Block] = [Grid(caption, columns, tuple(map(_factor, factors)), frozenset({0, 2, 3}))]
    if notes:
        blocks.append(Grid("What was assumed, or is missing.", ("remark", "amounts"), notes))
    return blocks


def _factor(factor: Factor) -> tuple[Cell, ...]:
    own = ("own",) if factor.own else ()
    return (
        Cell(named(factor), own),
        _parted(str(factor.amount)),
        Cell(factor.grade, tone="unproven" if factor.grade == "assumed" else "plain"),
        Cell(factor.source, (factor.note,) if factor.note else ()),
    )


def _runs(inventory: Inventory) -> list[Block]:
    shown = inventory.runs[:MOST_RUNS]
    lines: dict[str, list[Line]] = {}
    for line in inventory.lines:
        lines.setdefault(line.run.id, []).append(line)
    columns = ("run", "place", *(TITLES[quantity] for quantity in _RUN_COLUMNS), "factors")
    grid = Grid(
        "Each with the factors its figures were made of; the method says how.",
        columns,
        tuple(_run(run, lines[run.id]) for run in shown),
        frozenset({0, 1, len(columns) - 1}),
    )
    if len(shown) == len(inventory.runs):
        return [grid]
    left = len(inventory.runs) - len(shown)
    return [grid, Paragraph(f"{left} more runs stand in the tables (CSV, XLSX, JSON), and are in every sum.")]


def _run(run: Run, lines: list[Line]) -> tuple[Cell, ...]:
    by_quantity = {line.quantity: line for line in lines}
    cells = [_parted(amount(by_quantity[q].amount if q in by_quantity else None)) for q in _RUN_COLUMNS]
    used = dict.fromkeys(named(factor) for line in lines for factor in line.factors)
    about = (run.began, f"{run.kind}, {run.method}", run.id)
    return Cell(run.label, about), Cell(run.place or NOT_KNOWN), *cells, Cell("", tuple(used))


def _method(found: Statement) -> Notes:
    asked = found.asked
    since, until = asked.since or "the beginning", asked.until or "now"
    head = (
        Note("Method", f"{found.inventory.method}. Made {found.made}."),
        Note("Ledger", f"{asked.ledger or 'runs that were given'}, from {since} until {until}."),
    )
    return Notes((*head, *(Note(rule.what, rule.text) for rule in RULES)))
