"""What zeros and 8-bit integers would gain, from the time split of a model and the break-even map: pure
functions of measurements.

Each linear kernel's time is scaled by the ratio measured for its shape, at random zeros; everything else
stays as it is (Amdahl), products too small to be timed too. In int8 the rest takes what it took beside dense
int8 layers, where that was measured: attention is computed in int8 there as well. Where a ratio is missing
nothing is estimated. The upper bound takes every ratio at its lower bound, and the other way round; so it
covers the spread of the rounds and that of the ratios.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from aerogel.find.controls import Control, Shape
from aerogel.find.other_runtime import WholeControl
from aerogel.find.paymap import AIM, SMALLEST, WAYS, PayMap, Use
from aerogel.find.program import Product, Split, gain
from aerogel.find.whole import Trial
from aerogel.measure.intervals import least_values, median_interval, ratio_interval
from aerogel.tune.breakeven import CONFIDENCE, DENSE_INT8, RESOLUTION, Bounds, Curve, Way

METHOD = (
    "measured time of each step; linear kernels scaled by the measured ratio of their shape at random zeros, "
    "the rest as it is, in int8 as it is beside dense int8 layers; one thread; the bounds multiply"
)
MEASURED = (
    "the model pruned by magnitude (unless dense) and compiled, its steps timed in turns with those of the "
    "dense one in float32; one thread"
)
SPARSITIES = (0.5, 0.7, AIM, 0.9)
"""The shares of zeros for which gains are estimated; dense int8 has none."""
_SAME = Bounds(1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Load:
    """Linear layers with one ratio: their dense seconds, one value per round; ``ratio``: sparse over dense;
    ``control``: our dense time over the control's, ``int8`` over that of its int8; None where that was not
    timed."""

    seconds: tuple[float, ...]
    ratio: Bounds
    control: Bounds | None
    int8: Bounds | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many times faster: the ``linear`` layers, the ``whole`` model (None where its split is not known),
    both over our own dense in float32; ``over_control``: our linear layers, so computed, over the control's
    dense ones in float32, ``over_int8`` over its dense ones in int8. Seconds: of the linear layers and of the
    whole call, computed in this ``way``. ``measured``: on the model itself. ``whole_over_control``,
    ``whole_over_int8``: the whole model over the whole model in onnxruntime."""

    way: Way
    sparsity: float
    tokens: int
    linear: Bounds
    whole: Bounds | None
    over_control: Bounds | None
    linear_s: float
    whole_s: float | None
    measured: bool = False
    over_int8: Bounds | None = None
    whole_over_control: Bounds | None = None
    whole_over_int8: Bounds | None = None

    @property
    def speedup(self) -> Bounds:
        """Of the whole model; of the linear layers where no more is known."""
        return self.whole or self.linear

    @property
    def beside_control(self) -> Bounds | None:
        """Over the control in float32: the whole model, or its linear layers where no more is known."""
        return self.whole_over_control or self.over_control

    @property
    def beside_int8(self) -> Bounds | None:
        """As ``beside_control``, over the control's int8."""
        return self.whole_over_int8 or self.over_int8

    def to_json(self) -> dict[str, Any]:
        figures = asdict(self)
        return {**figures.pop("way"), **figures, "method": MEASURED if self.measured else METHOD}


def estimates(
    pay: PayMap,
    splits: Sequence[Split],
    uses: Sequence[Use],
    trials: Sequence[Trial] = (),
    controls: Sequence[WholeControl] = (),
) -> tuple[Estimate, ...]:
    """For every way and share, at each number of tokens that was split; without any split, for the linear
    layers alone by what the map measured. What a trial measured takes the place of its estimate;
    ``controls``, of the whole model, are what it is compared with."""
    found = {_key(e): e for e in _estimated(pay, splits, uses, _rests(trials))}
    found |= {_key(e): e for trial in trials for e in _measured(pay, trial)}
    others = {control.tokens: control for control in controls}
    beside = [_beside(e, others.get(e.tokens)) for e in found.values()]
    return tuple(sorted(beside, key=lambda e: (WAYS.index(e.way), e.sparsity, -e.tokens)))


def _beside(e: Estimate, control: WholeControl | None) -> Estimate:
    if control is None or e.whole is None:
        return e
    if e.whole_s is None:
        return e
    # A call takes more than its steps, of which zeros and integers change nothing.
    steps_s = e.whole.value * e.whole_s
    call_s = max(0.0, control.dense_s - steps_s)
    low, value, high = ((steps_s + call_s) / (steps_s / gain + call_s) for gain in _three(e.whole))
    speedup = Bounds(value, low, high)
    return replace(
        e,
        whole_over_control=speedup.times(control.dense_over_control.inverse()),
        whole_over_int8=speedup.times(control.dense_over_int8.inverse()),
    )


def _three(bounds: Bounds) -> tuple[float, float, float]:
    return bounds.low, bounds.value, bounds.high


def _key(e: Estimate) -> tuple[object, ...]:
    return e.way, e.sparsity, e.tokens


def _rests(trials: Sequence[Trial]) -> dict[int, Bounds]:
    """By number of tokens: the time outside the linear layers where these are dense in int8, over that where
    they are in float32."""
    pairs = [pair for t in trials if t.way == DENSE_INT8 for pair in zip(t.dense, t.sparse, strict=True)]
    return {
        dense.tokens: Bounds(*ratio_interval(int8.other_s, dense.other_s, CONFIDENCE, RESOLUTION))
        for dense, int8 in pairs
        if min(dense.other_s) > 0 and min(int8.other_s) > 0
    }


def _estimated(
    pay: PayMap, splits: Sequence[Split], uses: Sequence[Use], rests: Mapping[int, Bounds]
) -> Iterator[Estimate]:
    for way in dict.fromkeys(row.curve.way for row in pay.rows):
        for sparsity in _sparsities(pay, way):
            for split in splits:
                loads = _of_split(pay, split, way, sparsity)
                other = rests.get(split.tokens, _SAME) if way.precision == "int8" else _SAME
                if loads is not None:
                    yield estimate(way, sparsity, split.tokens, loads, split.other_s, other)
            for tokens in () if splits else pay.columns:
                loads = _of_map(pay, uses, tokens, way, sparsity)
                if loads is not None:
                    yield estimate(way, sparsity, tokens, loads, None)


def _sparsities(pay: PayMap, way: Way) -> tuple[float, ...]:
    """Those of ``SPARSITIES`` that were timed; of N:M its own."""
    timed = {p.sparsity for row in pay.rows if row.curve.way == way for p in row.curve.points}
    return tuple(sorted(timed)) if len(timed) == 1 else tuple(s for s in SPARSITIES if s in timed)


def _measured(pay: PayMap, trial: Trial) -> Iterator[Estimate]:
    """Rounds of both were timed in turns: they are paired."""
    for dense, sparse in zip(trial.dense, trial.sparse, strict=True):
        linear = Bounds(*ratio_interval(dense.linear_s, sparse.linear_s, CONFIDENCE, RESOLUTION))
        # With every layer dense the ratio is 1: what is left is the control's time over ours.
        loads = _of_split(pay, dense, trial.way, None)
        over, over8 = _controls(loads) if loads else (None, None)
        yield Estimate(
            trial.way,
            trial.sparsity,
            dense.tokens,
            linear,
            gain(sparse, dense).speedup,
            None if over is None else over.times(linear),
            median(sparse.linear_s),
            median(sparse.total_s),
            measured=True,
            over_int8=None if over8 is None else over8.times(linear),
        )


def estimate(
    way: Way,
    sparsity: float,
    tokens: int,
    loads: Sequence[Load],
    other_s: Sequence[float] | None,
    other: Bounds = _SAME,
) -> Estimate:
    """``other_s``: seconds outside the linear layers per round, None where they are not known; ``other``:
    their ratio."""
    every = loads if other_s is None else [*loads, Load(tuple(other_s), other, None)]
    control, int8 = _controls(loads)
    return Estimate(
        way,
        sparsity,
        tokens,
        linear=_speedup(loads),
        whole=None if other_s is None else _speedup(every),
        over_control=control,
        linear_s=median(_after(loads, [load.ratio.value for load in loads])),
        whole_s=None if other_s is None else median(_after(every, [load.ratio.value for load in every])),
        over_int8=int8,
    )


def _speedup(loads: Sequence[Load]) -> Bounds:
    """Before over after."""
    before = _after(loads, [1.0] * len(loads))
    return _bounds(
        _ratios(before, _after(loads, [load.ratio.value for load in loads])),
        _ratios(before, _after(loads, [load.ratio.high for load in loads])),
        _ratios(before, _after(loads, [load.ratio.low for load in loads])),
    )


def _after(loads: Sequence[Load], ratios: Sequence[float]) -> list[float]:
    """Seconds of all loads at these ratios, per round."""
    rounds = zip(*(load.seconds for load in loads), strict=True)
    return [sum(s * ratio for s, ratio in zip(seconds, ratios, strict=True)) for seconds in rounds]


def _controls(loads: Sequence[Load]) -> tuple[Bounds | None, Bounds | None]:
    """The control's dense time over ours, and that of its int8."""
    return _over(loads, [load.control for load in loads]), _over(loads, [load.int8 for load in loads])


def _over(loads: Sequence[Load], controls: Sequence[Bounds | None]) -> Bounds | None:
    """A control's dense time over our time, from what our dense time is over the control's in each layer;
    None where one is not known."""
    pairs = [(load, control) for load, control in zip(loads, controls, strict=True) if control is not None]
    if len(pairs) < len(loads):
        return None
    rounds = range(len(loads[0].seconds))

    def ratio(control: Sequence[float], ratios: Sequence[float]) -> list[float]:
        theirs = [sum(p[0].seconds[i] / c for p, c in zip(pairs, control, strict=True)) for i in rounds]
        ours = [sum(p[0].seconds[i] * r for p, r in zip(pairs, ratios, strict=True)) for i in rounds]
        return _ratios(theirs, ours)

    return _bounds(
        ratio([c.value for _, c in pairs], [load.ratio.value for load, _ in pairs]),
        ratio([c.high for _, c in pairs], [load.ratio.high for load, _ in pairs]),
        ratio([c.low for _, c in pairs], [load.ratio.low for load, _ in pairs]),
    )


def _ratios(before: Sequence[float], after: Sequence[float]) -> list[float]:
    return [b / a for b, a in zip(before, after, strict=True)]


def _bounds(values: Sequence[float], low: Sequence[float], high: Sequence[float]) -> Bounds:
    return Bounds(median(values), _interval(low)[0], _interval(high)[1])


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Of the median over rounds; of all where there are too few for one."""
    if len(values) < least_values(CONFIDENCE):
        return min(values), max(values)
    return median_interval(values, CONFIDENCE)


def _of_split(pay: PayMap, split: Split, way: Way, sparsity: float | None) -> list[Load] | None:
    """``sparsity`` None: every layer dense. None where the ratio of a product is not known."""
    loads: list[Load] = []
    slower = _slower(pay, split, way)
    small = {(use.outputs, use.inputs) for use in pay.small}
    for product in split.products:
        shape = Shape(product.outputs, product.inputs, product.columns)
        curve, control = pay.curve(shape, way), pay.control(shape)
        over, over8 = _dense_over(control)
        if (shape.outputs, shape.inputs) in small:
            # Not timed elsewhere either: taken to be equal, as it hardly counts.
            loads.append(Load(product.seconds, _SAME, _SAME, _SAME))
        elif sparsity is None:
            loads.append(Load(product.seconds, _SAME, over, over8))
        elif curve is None:
            return None
        else:
            stays = _stays(product, curve, slower)
            scaled = tuple(a - b for a, b in zip(product.seconds, stays, strict=True))
            loads += [Load(scaled, curve.ratio(sparsity), over, over8), Load(stays, _SAME, over, over8)]
    return loads


def _dense_over(control: Control | None) -> tuple[Bounds | None, Bounds | None]:
    return (None, None) if control is None else (control.dense_over_control, control.dense_over_int8)


def _slower(pay: PayMap, split: Split, way: Way) -> float:
    """How much longer a kernel takes in the model than by itself, its weights coming from afar: as the
    steps without an activation function show, 1 where there are none."""
    found: list[float] = []
    for product in split.products:
        curve = pay.curve(Shape(product.outputs, product.inputs, product.columns), way)
        if curve is not None and product.activation is None:
            found.append(median(product.seconds) / (product.steps * curve.dense_s))
    return max(1.0, median(found)) if found else 1.0


def _stays(product: Product, curve: Curve, slower: float) -> tuple[float, ...]:
    """The seconds of a product, per round, that zeros do not change: of its activation function, which is
    what its steps take beyond the kernel, so much ``slower`` in a model than by itself."""
    if product.activation is None:
        return (0.0,) * len(product.seconds)
    return tuple(max(0.0, s - product.steps * slower * curve.dense_s) for s in product.seconds)


def _of_map(pay: PayMap, uses: Sequence[Use], tokens: int, way: Way, sparsity: float) -> list[Load] | None:
    loads: list[Load] = []
    for use in uses:
        shape = Shape(use.outputs, use.inputs, tokens)
        curve, control = pay.curve(shape, way), pay.control(shape)
        if use.weights < SMALLEST:
            continue
        if curve is None:
            return None
        over, over8 = _dense_over(control)
        loads.append(Load((curve.dense_s * use.count,), curve.ratio(sparsity), over, over8))
    return loads or None
