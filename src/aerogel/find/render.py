"""The sections of an inspection as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from statistics import median
from typing import assert_never

from aerogel.core.quantity import both
from aerogel.find.activations import ActivationReport
from aerogel.find.cost import Cost, CostReport
from aerogel.find.result import Header, Section
from aerogel.find.sensitivity import SensitivityReport
from aerogel.find.skipped import Skipped, summed
from aerogel.find.tables import (
    Sheet,
    activation_sheet,
    cost_sheet,
    estimate_sheet,
    layer_speed_sheet,
    map_sheet,
    sensitivity_sheet,
    weight_sheet,
)
from aerogel.find.timing import Timing
from aerogel.find.verdict import Verdict, whole_control_words
from aerogel.find.weights import SPARSE, WeightReport
from aerogel.find.words import count, interval, milliseconds, percent
from aerogel.find.zeros import DEFINITION

_WIDTH, _NAME = 110, 56
GROSS_AND_EFFECTIVE = (
    "gross (dense, in float32, moved once) and effective (weights that are not zero, in their smallest form "
    "that loses nothing); live: if zero inputs were skipped too, which aerogel does not"
)


def text(section: Section, *, every_layer: bool = False) -> str:
    """``every_layer``: a line for each, instead of one for those whose names differ in numbers only."""
    match section:
        case Header():
            return _header(section)
        case WeightReport():
            return _weights(section, every_layer=every_layer)
        case ActivationReport():
            return _activations(section, every_layer=every_layer)
        case CostReport():
            return _costs(section, every_layer=every_layer)
        case Timing():
            return _timing(section)
        case SensitivityReport():
            return _sensitivity(section, every_layer=every_layer)
        case Verdict():
            return "VERDICT\n" + "\n".join(_wrapped(reason) for reason in section.reasons)
        case Skipped():
            return _wrapped(f"{section.what.upper()}: not looked at, since {section.why}")
        case _:
            assert_never(section)


def _header(header: Header) -> str:
    first = f"{header.model}: compile takes this model"
    if header.refusal is not None:
        first = _wrapped(f"{header.model}: compile would refuse this model: {header.refusal}")
    return "\n".join([first, *(_wrapped(f"{words}.") for words in header.history.words())])


def _weights(report: WeightReport, *, every_layer: bool) -> str:
    total = report.total()
    head = f"WEIGHTS: {count(total.count)}, of which {count(total.zeros)} are zero"
    table = _table(weight_sheet(report, every_layer=every_layer))
    return "\n".join([head, table, _wrapped(f"{DEFINITION}."), *map(_wrapped, remarks(report))])


def remarks(report: WeightReport) -> tuple[str, ...]:
    """Which weights are tied, and which layers are sparse already."""
    tied = [f"{row.name} ({len(row.readers)} times)" for row in report.tied]
    sparse = [f"{row.name} ({percent(row.zeros.share)}, {row.pattern})" for row in report.sparse]
    return (
        f"Used more than once (tied): {_listed(tied)}.",
        f"Sparse already ({percent(SPARSE)} zeros or more): {_listed(sparse)}.",
    )


def _listed(names: Sequence[str], most: int = 4) -> str:
    if not names:
        return "none"
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _activations(report: ActivationReport, *, every_layer: bool) -> str:
    table = _table(activation_sheet(report, every_layer=every_layer))
    return f"ACTIVATIONS on {report.about}: {count(report.tokens)} columns, no padding\n{table}"


def _costs(report: CostReport, *, every_layer: bool) -> str:
    """A table at the greatest length, the totals at the others."""
    last = report.costs[-1]
    head = _wrapped(
        f"COSTS of one call on {last.tokens} {report.unit}: operations and bytes (float32, moved once); what "
        "is left if zero weights are skipped, and if zero inputs were too, which aerogel does not"
    )
    parts = [head, _table(cost_sheet(last, every_layer=every_layer))]
    parts += [cost_words(cost, report.unit) for cost in report.costs[:-1]]
    if report.assumed:
        parts.append(f"Assumed: {report.assumed}.")
    return "\n".join(parts)


def cost_words(cost: Cost, unit: str) -> str:
    """The totals at one length."""
    flops = both(cost.total("flops"), cost.total("effective_flops"), "flop")
    moved = both(cost.total("bytes"), cost.total("effective_bytes"), "B")
    return f"At {cost.tokens} {unit}, gross / effective: {flops}, {moved}"


def _timing(timing: Timing) -> str:
    lines = [
        "BREAK-EVEN: the share of zeros from which on our kernel is faster; one thread, intervals of 95 %"
    ]
    if timing.pay.rows:
        lines += [
            _table(map_sheet(timing.pay)),
            "",
            "SPEED OF A LAYER over our dense fp32 kernel, by its zeros",
        ]
        lines.append(_table(layer_speed_sheet(timing.pay)))
    lines += [_wrapped(sentence) for sentence in summed(timing.missing)]
    return "\n".join([*lines, *timing_words(timing), *_estimates(timing)])


def timing_words(timing: Timing) -> tuple[str, ...]:
    """What is not in the map: products left out, and the whole model as it is."""
    lines: list[str] = []
    if timing.pay.small:
        lines.append(f"Too small to time: {_products(sum(use.count for use in timing.pay.small))}.")
    for split in timing.splits:
        took = f"{milliseconds(median(split.total_s))}, linear layers {milliseconds(median(split.linear_s))}"
        lines.append(f"The whole model, dense in fp32, at {split.tokens} columns: {took}")
    lines += [whole_control_words(control) for control in timing.controls]
    lines += [
        f"As it is, its zeros skipped, at {gain.tokens} columns: {interval(gain.speedup)} as fast"
        for gain in timing.gains
    ]
    return tuple(lines)


def _products(number: int) -> str:
    return "1 product" if number == 1 else f"{number} products"


def _estimates(timing: Timing) -> list[str]:
    if not timing.estimates:
        return []
    return [
        "",
        "SPEED OF THE WHOLE MODEL over our dense fp32 program: measured where it was pruned by magnitude or",
        "computed in int8, else estimated from the map and the time outside the linear layers",
        _table(estimate_sheet(timing.estimates)),
    ]


def _sensitivity(report: SensitivityReport, *, every_layer: bool) -> str:
    table = _table(sensitivity_sheet(report, every_layer=every_layer))
    head = (
        f"SENSITIVITY on {report.about}: change of the output when one layer alone is pruned by magnitude; "
        "and from which share of zeros on that layer is faster than dense in fp32, on one thread"
    )
    return "\n".join([_wrapped(head), table, *map(_wrapped, summed(report.missing))])


def _table(sheet: Sheet) -> str:
    """Columns aligned, names on the left cut from the front: their ends tell them apart."""
    rows = [tuple(map(str, row)) for row in (sheet.columns, *sheet.rows)]
    cut = [(_cut(row[0]), *row[1:]) for row in rows]
    widths = [max(len(row[i]) for row in cut) for i in range(len(cut[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in cut
    ]
    return "\n".join(line.rstrip() for line in lines)


def _cut(name: str) -> str:
    return name if len(name) <= _NAME else f"...{name[3 - _NAME :]}"


def _wrapped(sentence: str) -> str:
    return textwrap.fill(
        sentence, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
