"""The break-even map of a model: for each shape of its linear layers and each pattern, from which share of
zeros on our sparse kernel beats our dense one, and the strongest dense control. Measured on this CPU, one
thread."""

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
from aerogel.prune.pattern import pattern_named
from aerogel.tune.breakeven import Breakeven, Curve, against, breakeven, curves

AIM = 0.8
"""The share of zeros that is aimed at: within reach of pruning with recovery."""
SMALLEST = 4096
"""Layers of fewer weights are not timed: starting one takes as long as running it."""
PATTERNS = ("unstructured", "block4x1", "block2x1")
"""In the order in which they are timed."""
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
    """One shape at one number of columns under one pattern. ``over_dense``: against our dense kernel;
    ``over_control``: against the control, None where there is none."""

    curve: Curve
    count: int
    over_dense: Breakeven
    over_control: Breakeven | None

    @property
    def shape(self) -> Shape:
        return Shape(self.curve.outputs, self.curve.inputs, self.curve.columns)

    def to_json(self) -> dict[str, Any]:
        return {
            "outputs": self.curve.outputs,
            "inputs": self.curve.inputs,
            "layers": self.count,
            "columns": self.curve.columns,
            "pattern": self.curve.pattern,
            "dense_s": self.curve.dense_s,
            "ratios": [asdict(point) for point in self.curve.points],
            "over_dense": asdict(self.over_dense),
            "over_control": None if self.over_control is None else asdict(self.over_control),
        }


@dataclass(frozen=True)
class PayMap:
    """``small``: products too small to be timed; ``missing``: what else was not, and why."""

    columns: tuple[int, ...]
    rows: tuple[MapRow, ...]
    controls: Controls
    small: tuple[Use, ...]
    missing: tuple[Skipped, ...]

    def curve(self, shape: Shape, pattern: str) -> Curve | None:
        """For a layer of that shape; its columns are rounded up to a number that was timed."""
        columns = self.timed_columns(shape.columns)
        for row in self.rows:
            if row.curve.pattern == pattern and row.shape == Shape(shape.outputs, shape.inputs, columns):
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
    """A random weight of ``shape`` in which ``round(share * units)`` units of ``pattern`` are zero, anywhere;
    always the same."""
    known = pattern_named(pattern)
    rng = np.random.default_rng(shape)
    dense = rng.standard_normal(shape, dtype=np.float32)
    units = known.unit_shape(shape)
    gone = np.zeros(units[0] * units[1], bool)
    gone[rng.permutation(gone.size)[: round(share * gone.size)]] = True
    return np.where(known.spread(gone, shape), np.float32(0), dense)


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
    rows: list[MapRow] = []
    for use, curve in found:
        control = controls.at(Shape(curve.outputs, curve.inputs, curve.columns))
        other = None if control is None else breakeven(against(curve.points, control.dense_over_control))
        rows.append(MapRow(curve, use.count, breakeven(curve.points), other))
    return tuple(sorted(rows, key=_importance))


def _importance(row: MapRow) -> tuple[int, ...]:
    curve = row.curve
    work = curve.outputs * curve.inputs * row.count
    return -curve.columns, -work, curve.outputs, curve.inputs, PATTERNS.index(curve.pattern)


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

    def pattern(self, name: str) -> None:
        """A curve for every shape, under this pattern."""
        for use in self._large:
            self._curve(use, name)

    def result(self) -> PayMap:
        """All that was timed."""
        control = self._controls.missing
        missing = (*([control] if control else []), *self._missing)
        return PayMap(self._columns, _rows(self._found, self._controls), self._controls, self._small, missing)

    def _curve(self, use: Use, pattern: str) -> None:
        what = f"{use.outputs} x {use.inputs} {pattern}"
        # Slots take as long for a small layer; packing and single calls of a large one take longer.
        guess = self._longest_s * max(1.0, use.weights / max(1, self._largest))
        if self._left() < _SLACK * (guess or _FIRST_S):
            self._missing.append(Skipped(what, NO_TIME))
            return
        self._say(f"timing {what}")
        before = self._left()
        # A pooled layer sees as many columns as there are sequences: few.
        columns = self._columns[:1] if use.pooled else self._columns
        try:
            made = curves(
                lambda share: scattered((use.outputs, use.inputs), share, pattern),
                pattern,
                self._target,
                columns,
            )
        except AerogelError as error:
            self._missing.append(Skipped(what, str(error)))
            return
        self._found += [(use, curve) for curve in made]
        self._longest_s = max(self._longest_s, before - self._left())
        self._largest = max(self._largest, use.weights)
