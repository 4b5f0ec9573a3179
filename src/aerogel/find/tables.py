"""The figures of an inspection in rows and columns, the same in text and in a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from aerogel.core.quantity import size
from aerogel.find.activations import ActivationReport, ActivationZeros
from aerogel.find.cost import Cost, LayerCost
from aerogel.find.estimate import Estimate
from aerogel.find.held import Role
from aerogel.find.paymap import PayMap
from aerogel.find.sensitivity import PATTERNS, Pays, Sensitivity, SensitivityReport
from aerogel.find.weights import WeightReport
from aerogel.find.words import breaks_even, count, interval, milliseconds, percent
from aerogel.find.zeros import Zeros
from aerogel.tune.breakeven import DENSE_INT8

T = TypeVar("T")

_ROLES: dict[Role, str] = {
    "linear": "all linear layers",
    "embedding": "all embedding tables",
    "other": "norms, biases, others",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Shares of layers that are one row, from the least to the greatest."""

    low: float
    high: float

    def __str__(self) -> str:
        low, high = percent(self.low, 1), percent(self.high, 1)
        return low if low == high else f"{low.removesuffix(' %')} to {high}"


Cell = str | Span
Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """``columns``: the headings, the first that of the names."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def weight_sheet(report: WeightReport, *, every_layer: bool) -> Sheet:
    """``every_layer``, here and below: a row for each, not one for those whose names differ in numbers
    only."""
    rows: list[Row] = []
    shown = [row for row in report.rows if row.role != "other"]
    for name, group in _alike(shown, lambda row: row.name, every_layer=every_layer):
        zeros = _spread([row.zeros for row in group])
        rows.append((name, _shapes(row.shape for row in group), count(len(group)), *zeros))
    kinds = [(kind, len(report.of(role)), report.total(role)) for role, kind in _ROLES.items()]
    rows += [(kind, "", count(members), *_spread([zeros])) for kind, members, zeros in kinds if members]
    rows.append(("all weights", "", count(len(report.rows)), *_spread([report.total()])))
    return Sheet(("layer", "shape", "layers", "zeros", "near max", "near rms"), tuple(rows))


def activation_sheet(report: ActivationReport, *, every_layer: bool) -> Sheet:
    rows: list[Row] = []
    for name, group in _alike(report.rows, _place, every_layer=every_layer):
        features = "/".join(str(n) for n in dict.fromkeys(row.features for row in group))
        rows.append((name, features, count(len(group)), *_spread([row.zeros for row in group])))
    rows.append(("all inputs of linear layers", "", "", *_spread([report.total("input")])))
    if any(row.place == "after" for row in report.rows):
        rows.append(("all outputs of activation functions", "", "", *_spread([report.total("after")])))
    return Sheet(("place", "features", "places", "zeros", "near max", "near rms"), tuple(rows))


def _place(row: ActivationZeros) -> str:
    if row.place == "after":
        return f"after {row.fn}: {row.names[0].partition(' (')[0]}"
    first, *others = row.names
    more = f" and {len(others)} more" if others else ""
    return f"into {first.removesuffix('.weight')}{more}"


def cost_sheet(cost: Cost, *, every_layer: bool) -> Sheet:
    """Operations, then bytes: gross, and effective, without the zeros."""
    rows: list[Row] = []
    for name, group in _alike(cost.layers, _costed, every_layer=every_layer):
        rows.append((name, _shapes(layer.shape for layer in group), count(len(group)), *_sums(group)))
    rows.append(("all", "", count(len(cost.layers)), *_sums(cost.layers)))
    return Sheet(
        ("layer", "shape", "layers", "operations", "effective", "live", "bytes", "effective"), tuple(rows)
    )


def _costed(layer: LayerCost) -> str:
    name = layer.name.partition(" (")[0]
    return name if layer.kind == "linear" else f"{name} ({layer.kind})"


def _sums(layers: Sequence[LayerCost]) -> tuple[str, ...]:
    live = [layer.live_flops for layer in layers if layer.live_flops is not None]
    return (
        size(sum(layer.flops for layer in layers), "flop"),
        size(sum(layer.effective_flops for layer in layers), "flop"),
        size(sum(live), "flop") if len(live) == len(layers) else "not known",
        size(sum(layer.bytes for layer in layers), "B"),
        size(sum(layer.effective_bytes for layer in layers), "B"),
    )


def map_sheet(pay: PayMap) -> Sheet:
    """From which share of zeros on each way to compute a layer is faster."""
    control, int8 = pay.controls.name, any(row.over_int8 is not None for row in pay.rows)
    head = ["layer", "products", "columns", "dense fp32", "pattern", "than our dense fp32"]
    head += ["than our dense int8"] if int8 else []
    head += [f"than {control}"] if control else []
    rows: list[Row] = []
    for row in pay.rows:
        curve = row.curve
        cells = [str(row.shape), count(row.count), count(curve.columns), milliseconds(curve.dense_s)]
        cells += [str(curve.way), breaks_even(row.over_dense)]
        if int8:
            alone = "it is that" if curve.way == DENSE_INT8 else "not measured"
            cells.append(alone if row.over_int8 is None else breaks_even(row.over_int8))
        if control:
            cells.append("not measured" if row.over_control is None else breaks_even(row.over_control))
        rows.append(tuple(cells))
    return Sheet(tuple(head), tuple(rows))


def layer_speed_sheet(pay: PayMap) -> Sheet:
    """Times the speed of our dense float32 kernel, at every share of zeros that was timed."""
    shares = sorted({point.sparsity for row in pay.rows for point in row.curve.points})
    rows: list[Row] = []
    for row in pay.rows:
        known = {point.sparsity: interval(point.ratio.inverse()) for point in row.curve.points}
        cells = (known.get(share, "") for share in shares)
        rows.append((str(row.shape), count(row.curve.columns), str(row.curve.way), *cells))
    return Sheet(("layer", "columns", "pattern", *(f"at {percent(share)}" for share in shares)), tuple(rows))


def estimate_sheet(estimates: Sequence[Estimate]) -> Sheet:
    """What zeros and int8 make of the whole model, over our dense float32 program and over onnxruntime."""
    others = any(e.whole_over_control is not None for e in estimates)
    head = ["pattern", "zeros", "columns", "linear layers", "whole model"]
    head += ["than onnxruntime fp32", "than its int8"] if others else []
    rows: list[Row] = []
    for e in estimates:
        figures = [e.whole, *((e.whole_over_control, e.whole_over_int8) if others else ())]
        cells = ["not known" if bounds is None else interval(bounds) for bounds in figures]
        how = "measured" if e.measured else "estimate"
        rows.append((str(e.way), percent(e.sparsity), count(e.tokens), interval(e.linear), *cells, how))
    return Sheet((*head, "how"), tuple(rows))


def sensitivity_sheet(report: SensitivityReport, *, every_layer: bool) -> Sheet:
    """The change of the output at each share, and from which share on the layer is faster."""
    shares = sorted({row.sparsity for row in report.rows})
    rows: list[Row] = []
    for name, group in alike_layers(report, every_layer=every_layer):
        layers = count(len({row.name for row in group}))
        for pattern in PATTERNS:
            here = [row for row in group if row.pattern == pattern]
            if here:
                known = [[row.change for row in here if row.sparsity == share] for share in shares]
                changes = (_span(each) if each else "" for each in known)
                shape = _shapes(row.shape for row in here)
                rows.append((name, shape, layers, pattern, *changes, pays_words(report, here)))
    return Sheet(
        ("layer", "shape", "layers", "pattern", *(f"at {percent(s)}" for s in shares), "faster"), tuple(rows)
    )


def alike_layers(report: SensitivityReport, *, every_layer: bool) -> list[tuple[str, list[Sensitivity]]]:
    """The rows of layers that are shown together, under one name."""
    return _alike(report.rows, lambda row: row.name, every_layer=every_layer)


def pays_words(report: SensitivityReport, rows: Sequence[Sensitivity]) -> str:
    """From which share on the layers of ``rows``, of one pattern, are faster than dense."""
    found = {pays_of(report, row) for row in rows}
    if len(found) != 1:
        return "not alike"
    pays = found.pop()
    if pays is None:
        return "not measured"
    precision = "" if pays.way.precision == "fp32" else f" in {pays.way.precision}"
    return f"{breaks_even(pays.breakeven)}{precision}"


def pays_of(report: SensitivityReport, row: Sensitivity) -> Pays | None:
    """Of the layer and pattern of ``row``, without its name: what is alike is equal."""
    found = report.pays_from(row.name, row.pattern)
    return None if found is None else replace(found, name="")


def _alike(items: Iterable[T], named: Callable[[T], str], *, every_layer: bool) -> list[tuple[str, list[T]]]:
    """Items in groups: those whose names differ in numbers only, under a name with ``*`` for these."""
    groups: dict[str, list[T]] = {}
    for item in items:
        name = named(item)
        parts = ("*" if part.isdigit() else part for part in name.split("."))
        groups.setdefault(name if every_layer else ".".join(parts), []).append(item)
    return [(name if len(group) > 1 else named(group[0]), group) for name, group in groups.items()]


def _spread(group: Sequence[Zeros]) -> tuple[Span, ...]:
    """Zeros, near the largest, near the root mean square."""
    exact = [(zeros.share, zeros.near_max_share, zeros.near_rms_share) for zeros in group]
    return tuple(_span(column) for column in zip(*exact, strict=True))


def _span(shares: Sequence[float]) -> Span:
    return Span(min(shares), max(shares))


def _shapes(shapes: Iterable[tuple[int, ...]]) -> str:
    found = [" x ".join(map(str, shape)) for shape in dict.fromkeys(shapes)]
    return found[0] if len(found) == 1 else "several"
