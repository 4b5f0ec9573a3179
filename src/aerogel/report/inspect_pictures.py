"""What to see first of an inspection: what zeros would make of a call, and the map as curves."""

from __future__ import annotations

from statistics import median

from aerogel.find.controls import Control
from aerogel.find.estimate import Estimate
from aerogel.find.paymap import AIM, MapRow
from aerogel.find.result import Inspection
from aerogel.find.words import breaks_even, interval, milliseconds, percent
from aerogel.report.chart import MARKS, Axis
from aerogel.report.curves import Curve, Curves, Level, Stop
from aerogel.report.document import KeyFigure, KeyFigures, Pictures
from aerogel.report.wording import listed

_MOST_SHAPES = 6
# A limit that lies further off would press the curves flat.
_FAR = 3.0
_DENSE = "our dense kernel"


def key_figures(found: Inspection) -> KeyFigures | None:
    """Of the pattern that gains most at ``AIM``, beside the dense program; None where nothing was timed."""
    figures = [*_gain(found), *_breakeven(found), *_int8(found)]
    subject = f"At {found.verdict.columns} columns on one thread, beside the dense program"
    return KeyFigures(subject, tuple(figures)) if figures else None


def _best(found: Inspection) -> Estimate | None:
    aimed = [e for e in found.timing.estimates if e.sparsity == AIM and e.tokens == found.verdict.columns]
    return max(aimed, key=lambda e: (e.whole or e.linear).value, default=None)


def _gain(found: Inspection) -> list[KeyFigure]:
    best = _best(found)
    split = next((s for s in found.timing.splits if s.tokens == found.verdict.columns), None)
    if best is None:
        return []
    how = "measured, pruned by magnitude" if best.measured else "an estimate"
    zeros = f"with {percent(AIM)} {best.pattern} zeros"
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
    proven = [row for row in rows if row.shape == rows[0].shape and row.over_dense.high is not None]
    if not proven:
        return []
    first = min(proven, key=lambda row: row.over_dense.high or 0.0)
    return [
        KeyFigure(
            f"Zeros that pay in {first.shape}",
            breaks_even(first.over_dense),
            "zeros in linear layers now",
            percent(found.weights.total("linear").share, 1),
            f"{first.curve.pattern}, over our dense kernel",
        )
    ]


def _int8(found: Inspection) -> list[KeyFigure]:
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
    patterns = list(dict.fromkeys(row.curve.pattern for row in rows))
    if not shapes:
        return None
    shown, kept = shapes[:_MOST_SHAPES], patterns[: len(MARKS)]
    drawn = [row for row in rows if row.shape in shown and row.curve.pattern in kept]
    y = _speed_axis([v for row in drawn for v in _reach(found, row)])
    charts = tuple(
        Curves(
            f"{shape} at {shape.columns} columns",
            _zeros_axis(),
            y,
            tuple(_curve(row) for row in drawn if row.shape == shape),
            _levels(found, found.timing.pay.control(shape)),
        )
        for shape in shown
    )
    said = [
        "Where a curve crosses a level, zeros begin to pay over it. Strokes are 95 % intervals; one thread."
    ]
    if len(shapes) > len(shown):
        said.append(f"The {len(shapes) - len(shown)} shapes that cost least are in the table alone.")
    if len(patterns) > len(kept):
        said.append(f"In the table alone: {listed(patterns[len(kept) :])}.")
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
    levels = _levels(found, found.timing.pay.control(row.shape))
    return [*(g.low for g in gains), *(g.high for g in gains), *(level.y for level in levels)]


def _curve(row: MapRow) -> Curve:
    gains = [(100 * point.sparsity, point.ratio.inverse()) for point in row.curve.points]
    stops = tuple(Stop(share, gain.value, (gain.low, gain.high)) for share, gain in gains)
    return Curve(row.curve.pattern, stops)


def _levels(found: Inspection, control: Control | None) -> tuple[Level, ...]:
    """Dense speeds in times of our own; that of int8 is the control's, times what int8 gains there."""
    levels = [Level(1.0, _DENSE)]
    if control is not None:
        name = found.timing.pay.controls.name or "the control"
        levels.append(Level(control.dense_over_control.value, f"{name}, dense"))
        if control.int8_speedup is not None:
            levels.append(
                Level(control.dense_over_control.times(control.int8_speedup).value, "onnxruntime int8, dense")
            )
    return tuple(levels)


# --- the whole model ----------------------------------------------------------------------------


def speed_picture(found: Inspection) -> Pictures | None:
    """The whole model's speed over its zeros, a picture for each number of columns; None where its time was
    not split, so that only its linear layers are known."""
    known = [e for e in found.timing.estimates if e.whole is not None]
    if not known:
        return None
    gains = [v for e in known if e.whole for v in (e.whole.low, e.whole.high)]
    columns = sorted({e.tokens for e in known})
    limits = {n: limit for n in columns if (limit := _limit(found, n)) is not None}
    limits = {n: limit for n, limit in limits.items() if limit <= _FAR * max(gains)}
    y = _speed_axis([*gains, *limits.values()])
    charts = tuple(_speeds([e for e in known if e.tokens == n], n, y, limits.get(n)) for n in columns)
    caption = (
        "The whole model over our dense program; strokes bound each figure. Only where a mark is full was "
        "the model pruned and timed."
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


def _speeds(estimates: list[Estimate], columns: int, y: Axis, limit: float | None) -> Curves:
    patterns = list(dict.fromkeys(e.pattern for e in estimates))[: len(MARKS)]
    curves = tuple(Curve(p, tuple(_stop(e) for e in estimates if e.pattern == p)) for p in patterns)
    levels = (Level(1.0, "our dense program"), *(() if limit is None else (Level(limit, "the limit"),)))
    return Curves(f"The whole model at {columns} columns", _zeros_axis(), y, curves, levels)


def _stop(e: Estimate) -> Stop:
    assert e.whole is not None
    bounds = (min(e.whole.low, e.whole.value), max(e.whole.high, e.whole.value))
    return Stop(100 * e.sparsity, e.whole.value, bounds, estimated=not e.measured)
