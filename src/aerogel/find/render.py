"""The sections of an inspection as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import TypeVar, assert_never

from aerogel.find.activations import ActivationReport, ActivationZeros
from aerogel.find.cost import Cost, CostReport, LayerCost
from aerogel.find.held import Role
from aerogel.find.paymap import AIM, MapRow
from aerogel.find.result import Header, Section
from aerogel.find.sensitivity import SPARSITIES, SensitivityReport
from aerogel.find.skipped import Skipped, summed
from aerogel.find.timing import Timing
from aerogel.find.verdict import Verdict
from aerogel.find.weights import SPARSE, WeightReport
from aerogel.find.words import breaks_even, count, interval, milliseconds, percent, size
from aerogel.find.zeros import DEFINITION, Zeros

T = TypeVar("T")
Row = tuple[str, ...]

_WIDTH, _NAME = 110, 56
_ROLES: dict[Role, str] = {
    "linear": "all linear layers",
    "embedding": "all embedding tables",
    "other": "norms, biases, others",
}


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
    if header.refusal is None:
        return f"{header.model}: compile takes this model"
    return _wrapped(f"{header.model}: compile would refuse this model: {header.refusal}")


# --- weights ------------------------------------------------------------------------------------


def _weights(report: WeightReport, *, every_layer: bool) -> str:
    rows: list[Row] = [("", "shape", "layers", "zeros", "near max", "near rms")]
    shown = [row for row in report.rows if row.role != "other"]
    for name, group in _alike(shown, lambda row: row.name, every_layer=every_layer):
        zeros = _spread([row.zeros for row in group])
        rows.append((name, _shapes(row.shape for row in group), count(len(group)), *zeros))
    kinds = [(kind, len(report.of(role)), report.total(role)) for role, kind in _ROLES.items()]
    rows += [(kind, "", count(members), *_shares(zeros)) for kind, members, zeros in kinds if members]
    total = report.total()
    rows.append(("all weights", "", count(len(report.rows)), *_shares(total)))
    head = f"WEIGHTS: {count(total.count)}, of which {count(total.zeros)} are zero"
    return "\n".join([head, _table(rows), _wrapped(f"{DEFINITION}."), *_remarks(report)])


def _remarks(report: WeightReport) -> list[str]:
    tied = [f"{row.name} ({len(row.readers)} times)" for row in report.tied]
    sparse = [f"{row.name} ({percent(row.zeros.share)}, {row.pattern})" for row in report.sparse]
    return [
        _wrapped(f"Used more than once (tied): {_listed(tied)}."),
        _wrapped(f"Sparse already ({percent(SPARSE)} zeros or more): {_listed(sparse)}."),
    ]


def _listed(names: Sequence[str], most: int = 4) -> str:
    if not names:
        return "none"
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


# --- activations --------------------------------------------------------------------------------


def _activations(report: ActivationReport, *, every_layer: bool) -> str:
    rows: list[Row] = [("", "features", "places", "zeros", "near max", "near rms")]
    for name, group in _alike(report.rows, _place, every_layer=every_layer):
        features = "/".join(str(n) for n in dict.fromkeys(row.features for row in group))
        rows.append((name, features, count(len(group)), *_spread([row.zeros for row in group])))
    rows.append(("all inputs of linear layers", "", "", *_shares(report.total("input"))))
    if any(row.place == "after" for row in report.rows):
        rows.append(("all outputs of activation functions", "", "", *_shares(report.total("after"))))
    return f"ACTIVATIONS on {report.about}: {count(report.tokens)} columns, no padding\n{_table(rows)}"


def _place(row: ActivationZeros) -> str:
    if row.place == "after":
        return f"after {row.fn}: {row.names[0].partition(' (')[0]}"
    first, *others = row.names
    more = f" and {len(others)} more" if others else ""
    return f"into {first.removesuffix('.weight')}{more}"


# --- costs --------------------------------------------------------------------------------------


def _costs(report: CostReport, *, every_layer: bool) -> str:
    """A table at the greatest length, the totals at the others."""
    parts = [_cost(report.costs[-1], report.unit, every_layer=every_layer)]
    for cost in report.costs[:-1]:
        flops = (
            f"{size(cost.total('flops'), 'flop')} dense, {size(cost.total('effective_flops'), 'flop')} left"
        )
        moved = f"{size(cost.total('bytes'), 'B')} dense, {size(cost.total('effective_bytes'), 'B')} left"
        parts.append(f"At {cost.tokens} {report.unit}: {flops}; {moved}")
    if report.assumed:
        parts.append(f"Assumed: {report.assumed}.")
    return "\n".join(parts)


def _cost(cost: Cost, unit: str, *, every_layer: bool) -> str:
    rows: list[Row] = [("", "shape", "layers", "dense", "left", "left, inputs too", "dense", "left")]
    for name, group in _alike(cost.layers, _costed, every_layer=every_layer):
        rows.append((name, _shapes(layer.shape for layer in group), count(len(group)), *_sums(group)))
    rows.append(("all", "", count(len(cost.layers)), *_sums(cost.layers)))
    head = _wrapped(
        f"COSTS of one call on {cost.tokens} {unit}: operations and bytes (float32, moved once); what is "
        "left if zero weights are skipped, and if zero inputs were too, which aerogel does not"
    )
    return f"{head}\n{_table(rows)}"


def _costed(layer: LayerCost) -> str:
    name = layer.name.partition(" (")[0]
    return name if layer.kind == "linear" else f"{name} ({layer.kind})"


def _sums(layers: Sequence[LayerCost]) -> Row:
    live = [layer.live_flops for layer in layers if layer.live_flops is not None]
    return (
        size(sum(layer.flops for layer in layers), "flop"),
        size(sum(layer.effective_flops for layer in layers), "flop"),
        size(sum(live), "flop") if len(live) == len(layers) else "not known",
        size(sum(layer.bytes for layer in layers), "B"),
        size(sum(layer.effective_bytes for layer in layers), "B"),
    )


# --- timing -------------------------------------------------------------------------------------


def _timing(timing: Timing) -> str:
    pay = timing.pay
    lines = [
        "BREAK-EVEN: the share of zeros from which on our kernel is faster; one thread, intervals of 95 %"
    ]
    if pay.rows:
        lines.append(_table(_map_rows(pay.rows, pay.controls.name)))
    lines += [_wrapped(sentence) for sentence in summed(timing.missing)]
    if pay.small:
        lines.append(f"Too small to time: {_products(sum(use.count for use in pay.small))}.")
    for split in timing.splits:
        took = f"{milliseconds(median(split.total_s))}, linear layers {milliseconds(median(split.linear_s))}"
        lines.append(f"The whole model, dense, at {split.tokens} columns: {took}")
    for gain in timing.gains:
        lines.append(
            f"As it is, its zeros skipped, at {gain.tokens} columns: {interval(gain.speedup)} as fast"
        )
    return "\n".join([*lines, *_estimates(timing)])


def _products(number: int) -> str:
    return "1 product" if number == 1 else f"{number} products"


def _map_rows(rows: Sequence[MapRow], control: str | None) -> list[Row]:
    head = ["layer", "products", "columns", "dense", "pattern", "than our dense"]
    head += [f"than {control}"] if control else []
    shown: list[Row] = [(*head, f"at {percent(AIM)}, over ours")]
    for row in rows:
        curve = row.curve
        cells = [str(row.shape), count(row.count), count(curve.columns), milliseconds(curve.dense_s)]
        cells += [curve.pattern, breaks_even(row.over_dense)]
        if control:
            cells.append("not measured" if row.over_control is None else breaks_even(row.over_control))
        shown.append((*cells, interval(curve.ratio(AIM).inverse())))
    return shown


def _estimates(timing: Timing) -> list[str]:
    if not timing.estimates:
        return []
    rows: list[Row] = [("", "zeros", "columns", "linear layers", "whole model", "")]
    for e in timing.estimates:
        whole = "not known" if e.whole is None else interval(e.whole)
        how = "measured" if e.measured else "estimate"
        rows.append((e.pattern, percent(e.sparsity), count(e.tokens), interval(e.linear), whole, how))
    return [
        "",
        "SPEED WITH ZEROS over our dense program: measured where the model was pruned by magnitude, else",
        "estimated from the map and the time outside the linear layers",
        _table(rows),
    ]


# --- sensitivity --------------------------------------------------------------------------------


def _sensitivity(report: SensitivityReport, *, every_layer: bool) -> str:
    rows: list[Row] = [("", "shape", "layers", *(f"at {percent(s)}" for s in SPARSITIES))]
    for name, group in _alike(report.rows, lambda row: row.name, every_layer=every_layer):
        changes = [_range([row.change for row in group if row.sparsity == s]) for s in SPARSITIES]
        layers = count(len(group) // len(SPARSITIES))
        rows.append((name, _shapes(row.shape for row in group), layers, *changes))
    head = f"SENSITIVITY on {report.about}: change of the output when one layer alone is pruned by magnitude"
    return "\n".join([_wrapped(head), _table(rows), *map(_wrapped, summed(report.missing))])


# --- tables -------------------------------------------------------------------------------------


def _alike(items: Iterable[T], named: Callable[[T], str], *, every_layer: bool) -> list[tuple[str, list[T]]]:
    """Items in groups: those whose names differ in numbers only, under a name with ``*`` for these."""
    groups: dict[str, list[T]] = {}
    for item in items:
        name = named(item)
        parts = ("*" if part.isdigit() else part for part in name.split("."))
        groups.setdefault(name if every_layer else ".".join(parts), []).append(item)
    return [(name if len(group) > 1 else named(group[0]), group) for name, group in groups.items()]


def _spread(group: Sequence[Zeros]) -> Row:
    """Shares of a group: from the least to the greatest where they differ."""
    return tuple(_range(column) for column in zip(*map(_exact, group), strict=True))


def _exact(zeros: Zeros) -> tuple[float, ...]:
    return zeros.share, zeros.near_max_share, zeros.near_rms_share


def _range(shares: Sequence[float]) -> str:
    low, high = percent(min(shares), 1), percent(max(shares), 1)
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def _shares(zeros: Zeros) -> Row:
    return tuple(percent(share, 1) for share in _exact(zeros))


def _shapes(shapes: Iterable[tuple[int, ...]]) -> str:
    found = [" x ".join(map(str, shape)) for shape in dict.fromkeys(shapes)]
    return found[0] if len(found) == 1 else "several"


def _table(rows: Sequence[Row]) -> str:
    """Columns aligned, names on the left cut from the front: their ends tell them apart."""
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
