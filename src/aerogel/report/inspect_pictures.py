"""What to see first of an inspection: what zeros would make of a call, and the map as curves."""

from __future__ import annotations

from statistics import median

from aerogel.find.controls import Shape
from aerogel.find.estimate import Estimate
from aerogel.find.paymap import AIM, MapRow
from aerogel.find.result import Inspection
from aerogel.find.words import breaks_even, interval, milliseconds, percent
from aerogel.report.chart import MARKS, Axis
from aerogel.report.curves import MOST_LEVELS, Curve, Curves, Level, Stop
from aerogel.report.document import KeyFigure, KeyFigures, Pictures
from aerogel.report.wording import listed
from aerogel.tune.breakeven import DENSE_INT8, Way

_MOST_SHAPES = 6
# A limit that lies further off would press the curves flat.
_FAR = 3.0
_DENSE = "our dense kernel"
_INT8 = "our dense int8"


def key_figures(found: Inspection) -> KeyFigures | None:
    """Of what gains most, dense in int8 or with zeros at ``AIM``, beside the dense program in float32; None
    where nothing was timed."""
    figures = [*_gain(found), *_breakeven(found), *_int8(found)]
    subject = f"At {found.verdict.columns} columns on one thread, beside the dense program in fp32"
    return KeyFigures(subject, tuple(figures)) if figures else None


def _best(found: Inspection) -> Estimate | None:
    here = [e for e in found.timing.estimates if e.tokens == found.verdict.columns]
    aimed = [e for e in here if e.sparsity == AIM or e.way == DENSE_INT8]
    return max(aimed, key=lambda e: e.speedup.value, default=None)


def _gain(found: Inspection) -> list[KeyFigure]:
    best = _best(found)
    split = next((s for s in found.timing.splits if s.tokens == found.verdict.columns), None)
    if best is None:
        return []
    dense = best.way == DENSE_INT8
    how = "an estimate" if not best.measured else "measured" if dense else "measured, pruned by magnitude"
    zeros = "in dense int8" if dense else f"with {percent(AIM)} zeros, {best.way}"
    linear = KeyFigure(
        f"Linear layers {zeros}",
        milliseconds(best.linear_s),
        "dense",
        None if split is None else milliseconds(median(split.linear_s)),
        f"{interval(best.linear)}, {how}",
    )
    if best.whole is None or best.whole_s is None or split is None:
        return [linear]
    whole = KeyFigure(
        f"A call {zeros}",
        milliseconds(best.whole_s),
        "dense",
        milliseconds(median(split.total_s)),
        f"{interval(best.whole)}, {how}",
        "plain" if best.whole.low > 1 or best.whole.high < 1 else "unproven",
    )
    return [whole, linear]


def _breakeven(found: Inspection) -> list[KeyFigure]:
    """Of the shape that costs most, under the pattern that needs the fewest zeros."""
    rows = _at_most_columns(found)
    proven = [
        row
        for row in rows
        if row.shape == rows[0].shape
        and row.curve.way.precision == "fp32"
        and row.over_dense.high is not None
    ]
    if not proven:
        return []
    first = min(proven, key=lambda row: row.over_dense.high or 0.0)
    return [
        KeyFigure(
            f"Zeros that pay in {first.shape}",
            breaks_even(first.over_dense),
            "zeros in linear layers now",
            percent(found.weights.total("linear").share, 1),
            f"{first.curve.way}, over our dense kernel",
        )
    ]


def _int8(found: Inspection) -> list[KeyFigure]:
    whole = next((c for c in found.timing.controls if c.tokens == found.verdict.columns), None)
    if whole is not None:
        speed, off = whole.dense_over_int8, percent(whole.int8_error, 1)
        note = f"{interval(speed)}, dense; off by {off} of the largest output"
        name = "The whole model in onnxruntime int8"
        return [KeyFigure(name, f"{speed.value:.2f}x", "our dense program in fp32", "1x", note)]
    layers = found.timing.pay.controls.layers
    if not layers or layers[0].int8_speedup is None:
        return []
    first, bounds = layers[0], layers[0].int8_speedup
    off = "" if first.int8_error is None else f"; off by {percent(first.int8_error, 1)} of the largest output"
    shape = f"{first.shape} at {first.shape.columns} columns"
    return [
        KeyFigure(
            "int8 in onnxruntime",
            f"{bounds.value:.2f}x",
            "its fp32",
            "1x",
            f"{interval(bounds)}, {shape}{off}",
        )
    ]


def _at_most_columns(found: Inspection) -> list[MapRow]:
    """Of the map, at the greatest number of columns; the shapes that cost most come first."""
    columns = found.timing.pay.columns[-1]
    return [row for row in found.timing.pay.rows if row.curve.columns == columns]


# --- the map ------------------------------------------------------------------------------------


def map_pictures(found: Inspection) -> Pictures | None:
    """A picture for each of the shapes that cost most: where a curve crosses a level, zeros begin to pay."""
    rows = _at_most_columns(found)
    shapes = list(dict.fromkeys(row.shape for row in rows))
    # One point, as of dense int8 or 2:4, is no curve.
    ways = list(dict.fromkeys(row.curve.way for row in rows if len(row.curve.points) > 1))
    if not ways:
        return None
    shown, kept = shapes[:_MOST_SHAPES], ways[: len(MARKS)]
    drawn = [row for row in rows if row.shape in shown and row.curve.way in kept]
    shown = [shape for shape in shown if any(row.shape == shape for row in drawn)]
    y = _speed_axis([v for row in drawn for v in _reach(found, row)])
    charts = tuple(
        Curves(
            f"{shape} at {shape.columns} columns",
            _zeros_axis(),
            y,
            tuple(_curve(row) for row in drawn if row.shape == shape),
            _levels(found, shape),
        )
        for shape in shown
    )
    said = [
        "Where a curve crosses a level, zeros begin to pay over it. Strokes are 95 % intervals; one thread."
    ]
    if len(shapes) > len(shown):
        said.append(f"The {len(shapes) - len(shown)} shapes that cost least are in the table alone.")
    if len(ways) > len(kept):
        said.append(f"In the table alone: {listed([str(way) for way in ways[len(kept) :]])}.")
    return Pictures(charts, " ".join(said))


def _zeros_axis() -> Axis:
    return Axis("share of zeros", None, unit=" %", low=0, high=100)


def _speed_axis(values: list[float]) -> Axis:
    return Axis(
        "times the speed of our dense",
        "high",
        log=True,
        unit="x",
        low=min([1.0, *values]),
        high=max([1.0, *values]),
    )


def _reach(found: Inspection, row: MapRow) -> list[float]:
    """All that is drawn for a row, so that every picture has room for it."""
    gains = [point.ratio.inverse() for point in row.curve.points]
    levels = _levels(found, row.shape)
    return [*(g.low for g in gains), *(g.high for g in gains), *(level.y for level in levels)]


def _curve(row: MapRow) -> Curve:
    gains = [(100 * point.sparsity, point.ratio.inverse()) for point in row.curve.points]
    stops = tuple(Stop(share, gain.value, (gain.low, gain.high)) for share, gain in gains)
    return Curve(str(row.curve.way), stops)


def _levels(found: Inspection, shape: Shape) -> tuple[Level, ...]:
    """Dense speeds in times of our own; that of int8 is the control's, times what int8 gains there. Where
    there are too many, the control's float32 is in the table alone."""
    pay = found.timing.pay
    levels, own = [Level(1.0, _DENSE)], pay.curve(shape, DENSE_INT8)
    if own is not None:
        levels.append(Level(own.ratio(0.0).inverse().value, _INT8))
    control = pay.control(shape)
    if control is not None:
        over, int8 = control.dense_over_control, control.dense_over_int8
        if len(levels) + 1 + (int8 is not None) <= MOST_LEVELS:
            levels.append(Level(over.value, f"{pay.controls.name or 'the control'}, dense"))
        if int8 is not None:
            levels.append(Level(int8.value, "onnxruntime int8, dense"))
    return tuple(levels)


# --- the whole model ----------------------------------------------------------------------------


def speed_picture(found: Inspection) -> Pictures | None:
    """The whole model's speed over its zeros, a picture for each number of columns; None where its time was
    not split, so that only its linear layers are known."""
    known = [e for e in found.timing.estimates if e.whole is not None]
    curved = _curved(known)
    if not curved:
        return None
    gains = [v for e in known if e.whole for v in (e.whole.low, e.whole.high)]
    columns = sorted({e.tokens for e in known if e.way in curved})
    others = {c.tokens: c.dense_over_int8.value for c in found.timing.controls}
    # There is room for one more level: another runtime says more than the limit.
    limits = {n: limit for n in columns if n not in others and (limit := _limit(found, n)) is not None}
    limits = {n: limit for n, limit in limits.items() if limit <= _FAR * max(gains)}
    y = _speed_axis([*gains, *limits.values(), *others.values()])
    more = {n: Level(limit, "the limit") for n, limit in limits.items()}
    more |= {n: Level(speed, "onnxruntime int8, dense") for n, speed in others.items()}
    charts = tuple(_speeds([e for e in known if e.tokens == n], n, y, more.get(n)) for n in columns)
    caption = (
        "The whole model over our dense program in fp32; strokes bound each figure. Only where a mark is "
        "full was the model pruned and timed."
    )
    if limits:
        caption += " The limit: linear layers that take no time at all."
    return Pictures(charts, caption)


def _limit(found: Inspection, columns: int) -> float | None:
    """How many times faster the model can become by zeros; None where that is not known."""
    split = next((s for s in found.timing.splits if s.tokens == columns), None)
    if split is None or split.other_share.value <= 0:
        return None
    return 1 / split.other_share.value


def _curved(estimates: list[Estimate]) -> list[Way]:
    """Ways known at more than one share of zeros."""
    shares: dict[Way, set[float]] = {}
    for e in estimates:
        shares.setdefault(e.way, set()).add(e.sparsity)
    return [way for way, known in shares.items() if len(known) > 1]


def _speeds(estimates: list[Estimate], columns: int, y: Axis, more: Level | None) -> Curves:
    ways = _curved(estimates)[: len(MARKS)]
    curves = tuple(Curve(str(w), tuple(_stop(e) for e in estimates if e.way == w)) for w in ways)
    levels = [Level(1.0, "our dense program")]
    levels += [Level(e.whole.value, _INT8) for e in estimates if e.way == DENSE_INT8 and e.whole is not None]
    levels += [] if more is None else [more]
    return Curves(f"The whole model at {columns} columns", _zeros_axis(), y, curves, tuple(levels))


def _stop(e: Estimate) -> Stop:
    assert e.whole is not None
    bounds = (min(e.whole.low, e.whole.value), max(e.whole.high, e.whole.value))
    return Stop(100 * e.sparsity, e.whole.value, bounds, estimated=not e.measured)
