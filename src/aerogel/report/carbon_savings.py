"""The page of projected savings: it stands apart from the inventory, and says so first."""

from __future__ import annotations

from aerogel.carbon.inventory import TITLES
from aerogel.carbon.savings import Saving
from aerogel.carbon.statement import Statement
from aerogel.report.carbon_pictures import saving_picture
from aerogel.report.carbon_sheets import PROJECTED
from aerogel.report.carbon_words import amount, verdict
from aerogel.report.document import Block, Cell, Grid, Note, Notes, Paragraph, Report, Section
from aerogel.report.wording import counted

TITLE = "Projected savings of sparse models"


def savings_report(found: Statement) -> Report:
    """The whole page."""
    pictures = saving_picture(found.savings)
    first: list[Block] = [Paragraph(verdict(saving)) for saving in found.savings]
    if not found.savings:
        first.append(Paragraph("No pair of a dense and a sparse run is on record."))
    sections = [
        Section("In short", tuple(first if pictures is None else [*first, pictures])),
        *(_pair(saving) for saving in found.savings),
        Section("How to read this", (_method(found),)),
    ]
    return Report(TITLE, f"{PROJECTED} {_shown(found)}", tuple(sections))


def _shown(found: Statement) -> str:
    shown = sum(saving.verdict == "saves" for saving in found.savings)
    return f"Of {counted(len(found.savings), 'pair')}, the bounds show a saving of energy for {shown}."


def _pair(saving: Saving) -> Section:
    if saving.obstacle:
        return Section(saving.pair, (Paragraph(f"Not comparable: {saving.obstacle}.", "unproven"),))
    volume = "volume not given" if saving.yearly_units is None else f"{saving.yearly_units:,.0f} of them"
    columns = ("figure", *(TITLES[each.quantity] for each in saving.projections))
    figures = (
        (f"{saving.unit}, dense", "dense"),
        (f"{saving.unit}, sparse", "sparse"),
        (f"saved per {saving.unit}", "saved_each"),
        (f"saved a year, {volume}", "saved"),
        ("pruning took, once", "cost"),
        ("net, the first year", "net"),
    )
    rows = tuple(
        (Cell(title), *(_cell(amount(getattr(each, name))) for each in saving.projections))
        for title, name in figures
    )
    blocks: list[Block] = [Grid(f"Energy {saving.method}: {saving.source}.", columns, rows)]
    blocks += [Paragraph(f"Missing: {missing}.", "unproven") for missing in saving.missing]
    return Section(saving.pair, tuple(blocks))


def _cell(text: str) -> Cell:
    value, bracket, rest = text.partition(" [")
    return Cell(value, (f"[{rest}",) if bracket else ())


def _method(found: Statement) -> Notes:
    return Notes(
        (
            Note(
                "Baseline",
                "Dense and sparse runs by the identical method: same unit of work, meter, coverage, place "
                "and building. Where they differ nothing is compared.",
            ),
            Note(
                "Not proven",
                "The bounds of what is saved hold zero. Bounds of a power model are wide, so a saving "
                "without a meter is never proven here.",
            ),
            Note(
                "Noise",
                "Bounds are those of the meter or the model. How runs differ from each other is not in them: "
                "that a saving is real is proven by aerogel bench --energy, which runs both in turns.",
            ),
            Note("Net", "What is saved in a year less what pruning took once."),
            Note("Left out", "What is done with the time and money saved: more use may undo a saving."),
            Note("Method", f"{found.inventory.method}. Made {found.made}."),
        )
    )
