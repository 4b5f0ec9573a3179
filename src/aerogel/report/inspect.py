"""A report on an inspection: whether zeros would pay, the map it rests on, and where the zeros are."""

from __future__ import annotations

from collections.abc import Sequence

from aerogel.find.estimate import MEASURED, METHOD
from aerogel.find.paymap import SMALLEST
from aerogel.find.render import GROSS_AND_EFFECTIVE, cost_words, remarks, timing_words
from aerogel.find.result import Inspection
from aerogel.find.sensitivity import METHOD as SENSITIVITY_METHOD
from aerogel.find.skipped import summed
from aerogel.find.tables import Cell as Figure
from aerogel.find.tables import (
    Sheet,
    Span,
    activation_sheet,
    cost_sheet,
    estimate_sheet,
    layer_speed_sheet,
    map_sheet,
    sensitivity_sheet,
    weight_sheet,
)
from aerogel.find.words import count
from aerogel.find.zeros import DEFINITION
from aerogel.report.document import Block, Cell, Grid, Note, Notes, Paragraph, Report, Section
from aerogel.report.inspect_pictures import key_figures, map_pictures, speed_picture
from aerogel.report.method import disturbance, machine_notes
from aerogel.report.sensitivity_pictures import sensitivity_pictures

_WORDS = frozenset({"layer", "place", "shape", "pattern", "how"})
"""Columns that hold words; the others hold numbers."""


def inspect_report(found: Inspection, *, every_layer: bool = False) -> Report:
    """The whole report; ``every_layer``: a row for each layer, not one for those that are alike."""
    first, *others = found.verdict.reasons
    sections = [
        Section("Verdict", tuple(_verdict(found, others))),
        *_map(found),
        *_speed(found),
        _weights(found, every_layer=every_layer),
        *_activations(found, every_layer=every_layer),
        _costs(found, every_layer=every_layer),
        *_sensitivity(found, every_layer=every_layer),
        Section("How the numbers were obtained", (_method(found),)),
    ]
    return Report(f"{found.header.model}: would zeros pay?", first, tuple(sections))


def _verdict(found: Inspection, reasons: Sequence[str]) -> list[Block]:
    said: list[Block] = []
    if found.header.refusal is not None:
        said.append(Paragraph(f"Compile would refuse this model: {found.header.refusal}", "loss"))
    said += [Paragraph(f"{words}.") for words in found.header.history.words()]
    busy = disturbance(found.machine)
    said += [] if busy is None else [busy]
    figures = key_figures(found)
    said += [] if figures is None else [figures]
    return [*said, *map(Paragraph, reasons)]


def _map(found: Inspection) -> list[Section]:
    """From which share of zeros on each product would be faster."""
    pay = found.timing.pay
    blocks: list[Block] = []
    drawn = map_pictures(found)
    if drawn is not None:
        blocks.append(drawn)
    if pay.rows:
        caption = (
            "The share of zeros from which on our kernel is proven faster; one thread, intervals of 95 %. "
            "Products: how many of that shape the model has; columns: tokens, or sequences after pooling."
        )
        blocks.append(_grid(map_sheet(pay), caption))
        blocks.append(
            _grid(layer_speed_sheet(pay), "Times the speed of our dense fp32 kernel, by the share of zeros.")
        )
    blocks += [Paragraph(sentence) for sentence in summed(found.timing.missing)]
    return [Section("Break-even map", tuple(blocks))] if blocks else []


def _speed(found: Inspection) -> list[Section]:
    """The whole model: as it is, and what zeros and int8 would make of it."""
    blocks: list[Block] = []
    drawn = speed_picture(found)
    if drawn is not None:
        blocks.append(drawn)
    if found.timing.estimates:
        blocks.append(
            _grid(
                estimate_sheet(found.timing.estimates),
                "Times the speed of our dense fp32 program; one thread.",
            )
        )
    blocks += [Paragraph(f"{sentence.rstrip('.')}.") for sentence in timing_words(found.timing)]
    return [Section("Speed of the whole model", tuple(blocks))] if blocks else []


def _weights(found: Inspection, *, every_layer: bool) -> Section:
    total = found.weights.total()
    caption = (
        f"{count(total.count)} weights, of which {count(total.zeros)} are zero. {_sentence(DEFINITION)}."
    )
    grid = _grid(weight_sheet(found.weights, every_layer=every_layer), caption)
    return Section("Zeros in weights", (grid, *map(Paragraph, remarks(found.weights))))


def _activations(found: Inspection, *, every_layer: bool) -> list[Section]:
    blocks: list[Block] = [
        Paragraph(f"{skipped.what.capitalize()}: not looked at, since {skipped.why}.")
        for skipped in found.skipped
    ]
    if found.activations is not None:
        caption = f"On {found.activations.about}: {count(found.activations.tokens)} columns, no padding."
        blocks.append(_grid(activation_sheet(found.activations, every_layer=every_layer), caption))
    return [Section("Zeros in activations", tuple(blocks))] if blocks else []


def _costs(found: Inspection, *, every_layer: bool) -> Section:
    costs, unit = found.costs.costs, found.costs.unit
    caption = f"Of one call on {costs[-1].tokens} {unit}: operations and bytes, {GROSS_AND_EFFECTIVE}."
    more = [f"{cost_words(cost, unit)}." for cost in costs[:-1]]
    if found.costs.assumed:
        more.append(f"Assumed: {found.costs.assumed}.")
    grid = _grid(cost_sheet(costs[-1], every_layer=every_layer), caption)
    return Section("What it computes", (grid, *map(Paragraph, more)))


def _sensitivity(found: Inspection, *, every_layer: bool) -> list[Section]:
    seen = found.sensitivity
    if seen is None:
        return []
    caption = (
        f"Change of the output when one layer alone is pruned by magnitude, on {seen.about}; and from which "
        "share of zeros on that layer is faster than dense in fp32, on one thread."
    )
    blocks: list[Block] = []
    drawn = sensitivity_pictures(seen, every_layer=every_layer)
    if drawn is not None:
        blocks += [drawn, _grid(sensitivity_sheet(seen, every_layer=every_layer), caption)]
    blocks += [Paragraph(sentence) for sentence in summed(seen.missing)]
    return [Section("Sensitivity", tuple(blocks))] if blocks else []


def _method(found: Inspection) -> Notes:
    notes = [
        *machine_notes(found.machine),
        Note(
            "Break-even",
            "Measured: kernels of one shape, in fp32 and int8, with random zeros at a few shares, in turns "
            "with the dense one in fp32, on one thread; the ratio is taken to be linear from one share to "
            "the next. The time in int8 includes rounding what goes in.",
        ),
        Note("Speed, measured", f"{_sentence(MEASURED)}."),
        Note("Speed, estimated", f"{_sentence(METHOD)}."),
        Note("Quality", "Not measured: pruning by magnitude shows what zeros do to speed, not to answers."),
        Note("Too small", f"Products of fewer than {count(SMALLEST)} weights are not timed."),
    ]
    if found.sensitivity is not None:
        notes.append(Note("Sensitivity", f"{_sentence(SENSITIVITY_METHOD)}."))
    notes.append(Note("In all", f"{found.seconds:.0f} s."))
    return Notes(tuple(notes))


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _grid(sheet: Sheet, caption: str) -> Grid:
    """Shares have bars, which are full at 100 %."""
    words = frozenset(i for i, title in enumerate(sheet.columns) if i == 0 or title in _WORDS)
    rows = tuple(tuple(map(_cell, row)) for row in sheet.rows)
    return Grid(caption, sheet.columns, rows, words)


def _cell(figure: Figure) -> Cell:
    if not isinstance(figure, Span):
        # An interval below its figure: side by side, a table of them would not fit a page.
        value, bracket, bounds = figure.partition(" [")
        return Cell(value, (f"[{bounds}",)) if bracket else Cell(figure)
    low, high = (min(max(share, 0.0), 1.0) for share in (figure.low, figure.high))
    return Cell(str(figure), bar=(low, high))
