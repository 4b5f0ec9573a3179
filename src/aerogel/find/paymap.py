"""The break-even map of a model: for each shape of its linear layers and each way to compute it (which zeros,
which numbers), how fast it is at each share of zeros over our dense float32 kernel, and from which share on
it beats that kernel, our dense int8 one, and the strongest dense control. Measured on this CPU, one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import AerogelError
from aerogel.core.target import Target
from aerogel.find.controls import Control, Controls, Shape, measure_controls
from aerogel.find.cost import lengths, unit_of
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.find.subject import Subject, linears
from aerogel.model.fuse import fuse
from aerogel.model.graph import Graph
from aerogel.model.steps import LinearStep
from aerogel.prune.magnitude import magnitude
from aerogel.prune.pattern import Pattern, pattern_named
from aerogel.prune.select import per_group, pruned_count, smallest
from aerogel.tune.breakeven import (
    DENSE_INT8,
    SHARES,
    Breakeven,
    Curve,
    Way,
    against,
    breakeven,
    curves,
    scaled,
)

AIM = 0.8
"""The share of zeros that is aimed at: within reach of pruning with recovery."""
SMALLEST = 4096
"""Layers of fewer weights are not timed: starting one takes as long as running it."""
WAYS = (
    DENSE_INT8,
    Way("unstructured"),
    Way("block4x4", "int8"),
    Way("block4x1"),
    Way("block1x4", "int8"),
    Way("block2x1"),
    Way("panel4"),
    Way("2:4"),
    Way("2:4", "int8"),
    Way("unstructured", "int8"),
    Way("block4x1", "int8"),
    Way("block1x4"),
    Way("block4x4"),
    Way("block2x1", "int8"),
    Way("panel4", "int8"),
)
"""Every pattern in every precision, the most telling first."""
_INT8_SHARES = (0.3, 0.5, 0.7, 0.8, 0.9)
# The first curve may take so long; the others are guessed from those before them.
_FIRST_S = 3.0
# How much longer than the slowest before it, for its size, a curve may take on a busy machine.
_SLACK = 1.3

Say = Callable[[str], None]
Left = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Use:
    """A shape that layers of the model have, as compiled. ``pooled``: they see one column per sequence."""

    outputs: int
    inputs: int
    layers: tuple[str, ...]
    count: int
    pooled: bool

    @property
    def weights(self) -> int:
        return self.outputs * self.inputs


@dataclass(frozen=True, slots=True)
class MapRow:
    """One shape at one number of columns, computed in one way. ``over_dense``: against our dense float32
    kernel; ``over_control``: against the control, ``over_int8``: against our dense int8 kernel, None where
    that was not timed, or is what the row itself is about."""

    curve: Curve
    count: int
    over_dense: Breakeven
    over_control: Breakeven | None
    over_int8: Breakeven | None = None

    @property
    def shape(self) -> Shape:
        return _shape(self.curve)

    def to_json(self) -> dict[str, Any]:
        return {
            "outputs": self.curve.outputs,
            "inputs": self.curve.inputs,
            "layers": self.count,
            "columns": self.curve.columns,
            "pattern": self.curve.way.pattern,
            "precision": self.curve.way.precision,
            "dense_s": self.curve.dense_s,
            "ratios": [asdict(point) for point in self.curve.points],
            "over_dense": asdict(self.over_dense),
            "over_control": None if self.over_control is None else asdict(self.over_control),
            "over_int8": None if self.over_int8 is None else asdict(self.over_int8),
        }


@dataclass(frozen=True)
class PayMap:
    """``small``: products too small to be timed; ``missing``: what else was not, and why."""

    columns: tuple[int, ...]
    rows: tuple[MapRow, ...]
    controls: Controls
    small: tuple[Use, ...]
    missing: tuple[Skipped, ...]

    def curve(self, shape: Shape, way: Way) -> Curve | None:
        """For a layer of that shape; its columns are rounded up to a number that was timed."""
        columns = self.timed_columns(shape.columns)
        for row in self.rows:
            if row.curve.way == way and row.shape == Shape(shape.outputs, shape.inputs, columns):
                return row.curve
        return None

    def control(self, shape: Shape) -> Control | None:
        """As ``curve``, for the control."""
        return self.controls.at(Shape(shape.outputs, shape.inputs, self.timed_columns(shape.columns)))

    def timed_columns(self, columns: int) -> int:
        """The least number of columns timed that is no less than this."""
        return next((n for n in self.columns if n >= columns), self.columns[-1])

    def to_json(self) -> dict[str, Any]:
        return {
            "threads": 1,
            "columns": list(self.columns),
            "rows": [row.to_json() for row in self.rows],
            "control": self.controls.name,
            "control_layers": [asdict(layer) for layer in self.controls.layers],
            "too_small": [{"outputs": u.outputs, "inputs": u.inputs, "layers": u.count} for u in self.small],
            "smallest": SMALLEST,
            "missing": [asdict(each) for each in self.missing],
        }


def uses(subject: Subject) -> tuple[Use, ...]:
    """The shapes of the linear layers, those with the most weights in all first: of the steps that compile
    makes (products that share an input are one), or of the layers one by one where it refuses the model."""
    groups: dict[tuple[int, int, bool], list[tuple[str, ...]]] = {}
    if subject.graph is None:
        for held in linears(subject):
            if len(held.shape) == 2:
                groups.setdefault((held.shape[0], held.shape[1], False), []).append((held.name,))
    else:
        for step in fuse(subject.graph):
            if isinstance(step, LinearStep):
                key = step.out.features, step.inputs, _pooled(subject.graph, step)
                groups.setdefault(key, []).append(step.weights)
    found = [
        Use(m, k, tuple(name for names in steps for name in names), len(steps), pooled)
        for (m, k, pooled), steps in groups.items()
    ]
    return tuple(sorted(found, key=lambda use: (-use.weights * use.count, use.outputs, use.inputs)))


def _pooled(graph: Graph, step: LinearStep) -> bool:
    return step.out.columns == "rows" and unit_of(graph) == "tokens"


def scattered(shape: tuple[int, int], share: float, pattern: str) -> NDArray[np.float32]:
    """A random weight of ``shape`` in which the least ``round(share * units)`` units of ``pattern`` are zero,
    which lie anywhere; none if it is ``dense``; always the same."""
    rng = np.random.default_rng(shape)
    dense = rng.standard_normal(shape, dtype=np.float32)
    if pattern == DENSE_INT8.pattern:
        return np.where(dense == 0, np.float32(1), dense)
    return without_least(dense, share, pattern_named(pattern))


def without_least(weight: NDArray[np.float32], share: float, pattern: Pattern) -> NDArray[np.float32]:
    """``weight`` pruned by magnitude: of N:M as its name says, else ``share`` of its units."""
    saliency = magnitude(weight, pattern)
    if pattern.kept_of is not None:
        gone = per_group(saliency, np.zeros(saliency.shape, np.bool_), *pattern.kept_of)
    else:
        gone = smallest(saliency, pruned_count(share, saliency.size))
    return np.where(pattern.spread(gone, (weight.shape[0], weight.shape[1])), np.float32(0), weight)


def _shapes(large: Sequence[Use], columns: Sequence[int]) -> list[Shape]:
    """Many columns before few, the heaviest first; a pooled layer sees few columns only. Each once."""
    found = [
        Shape(use.outputs, use.inputs, n)
        for n in reversed(columns)
        for use in large
        if n == columns[0] or not use.pooled
    ]
    return list(dict.fromkeys(found))


def _rows(found: Sequence[tuple[Use, Curve]], controls: Controls) -> tuple[MapRow, ...]:
    dense8 = {_shape(curve): curve.ratio(0.0) for _, curve in found if curve.way == DENSE_INT8}
    rows: list[MapRow] = []
    for use, curve in found:
        control, int8, other = controls.at(_shape(curve)), dense8.get(_shape(curve)), None
        if control is not None:
            # Only in float32 is our dense kernel the same way without zeros.
            joined = against if curve.way.precision == "fp32" else scaled
            other = breakeven(joined(curve.points, control.dense_over_control))
        over8 = None
        if int8 is not None and curve.way != DENSE_INT8:
            over8 = breakeven(scaled(curve.points, int8.inverse()))
        rows.append(MapRow(curve, use.count, breakeven(curve.points), other, over8))
    return tuple(sorted(rows, key=_importance))


def _shape(curve: Curve) -> Shape:
    return Shape(curve.outputs, curve.inputs, curve.columns)


def _importance(row: MapRow) -> tuple[int, ...]:
    curve = row.curve
    work = curve.outputs * curve.inputs * row.count
    return -curve.columns, -work, curve.outputs, curve.inputs, WAYS.index(curve.way)


class MapTimer:
    """Times the map while there is time, the most important of each kind first."""

    def __init__(self, subject: Subject, target: Target, left: Left, say: Say) -> None:
        self._target, self._left, self._say = target, left, say
        self._columns = lengths(subject.graph)
        every = uses(subject)
        self._small = tuple(use for use in every if use.weights < SMALLEST)
        self._large = [use for use in every if use.weights >= SMALLEST]
        self._longest_s, self._largest = 0.0, 0
        self._controls = Controls(None)
        self._found: list[tuple[Use, Curve]] = []
        self._missing: list[Skipped] = []

    def control(self) -> None:
        """The dense control, for at most half of the time."""
        half = self._left() / 2
        if self._large:
            shapes = _shapes(self._large, self._columns)
            self._controls = measure_controls(shapes, lambda: self._left() - half, self._say)

    def way(self, way: Way) -> None:
        """A curve for every shape, computed in this way."""
        for use in self._large:
            self._curve(use, way)

    def result(self) -> PayMap:
        """All that was timed."""
        control = self._controls.missing
        missing = (*([control] if control else []), *self._missing)
        return PayMap(self._columns, _rows(self._found, self._controls), self._controls, self._small, missing)

    def _curve(self, use: Use, way: Way) -> None:
        what = f"{use.outputs} x {use.inputs} {way}"
        # Slots take as long for a small layer; packing and single calls of a large one take longer.
        guess = self._longest_s * max(1.0, use.weights / max(1, self._largest))
        if self._left() < _SLACK * (guess or _FIRST_S) * len(_shares(way)) / len(SHARES):
            self._missing.append(Skipped(what, NO_TIME))
            return
        self._say(f"timing {what}")
        before = self._left()
        # A pooled layer sees as many columns as there are sequences: few.
        columns = self._columns[:1] if use.pooled else self._columns
        try:
            made = curves(
                lambda share: scattered((use.outputs, use.inputs), share, way.pattern),
                way,
                self._target,
                columns,
                _shares(way),
            )
        except AerogelError as error:
            self._missing.append(Skipped(what, str(error)))
            return
        self._found += [(use, curve) for curve in made]
        took = (before - self._left()) * len(SHARES) / len(_shares(way))
        # One share says too little of many: compiling the kernels came with it.
        if way != DENSE_INT8:
            self._longest_s = max(self._longest_s, took)
            self._largest = max(self._largest, use.weights)


def _shares(way: Way) -> tuple[float, ...]:
    if way == DENSE_INT8:
        return (0.0,)
    fixed = pattern_named(way.pattern).sparsity
    if fixed is not None:
        return (fixed,)
    return SHARES if way.precision == "fp32" else _INT8_SHARES
