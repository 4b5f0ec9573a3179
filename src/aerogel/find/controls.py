"""The strongest dense control there is here, at the shapes of a model's layers, and its int8: each contender
in a process of its own, in alternating blocks, one thread."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from aerogel.bench.encoder import relative_error
from aerogel.bench.int8_layer import NEEDS
from aerogel.core.errors import AerogelError
from aerogel.find.blocks import Blocks
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.measure import Case, Contender, Progress, Settings, compare
from aerogel.tune.breakeven import Bounds

OURS, INT8 = "our dense kernel", "onnxruntime int8"
_ONNX, _TORCH = "onnxruntime fp32", "torch fp32"
_SETTINGS = Settings(rounds=6, block_s=0.04, warm_s=0.01, load_timeout_s=60, call_timeout_s=60)
# What a comparison costs: to load all, and per contender and case besides running; and the operations a
# second that are taken for granted.
_LOAD_S, _EACH_S, _FLOPS = 2.0, 0.15, 3e10

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, order=True)
class Shape:
    """A layer [outputs, inputs] on so many columns."""

    outputs: int
    inputs: int
    columns: int

    def __str__(self) -> str:
        return f"{self.outputs} x {self.inputs}"


@dataclass(frozen=True, slots=True)
class Control:
    """``dense_over_control``: our dense time over the control's. ``int8_speedup``: the control's fp32 time
    over that of its int8; ``int8_error``: of the int8 output, relative to the largest value. None: not
    measured."""

    shape: Shape
    dense_over_control: Bounds
    int8_speedup: Bounds | None
    int8_error: float | None

    @property
    def dense_over_int8(self) -> Bounds | None:
        """Our dense float32 time over the time of the control's int8."""
        return None if self.int8_speedup is None else self.dense_over_control.times(self.int8_speedup)


@dataclass(frozen=True)
class Controls:
    """``name``: what the control is, None where there is none, and then ``missing`` says why. ``missing``
    also names what there was no time for."""

    name: str | None
    layers: tuple[Control, ...] = ()
    missing: Skipped | None = None

    def at(self, shape: Shape) -> Control | None:
        return next((layer for layer in self.layers if layer.shape == shape), None)


def installed() -> str | None:
    """The strongest control whose libraries are there."""
    if all(importlib.util.find_spec(name) is not None for name in NEEDS):
        return _ONNX
    return _TORCH if importlib.util.find_spec("torch") is not None else None


def measure_controls(
    shapes: Sequence[Shape], left: Callable[[], float], progress: Callable[[str], None]
) -> Controls:
    """Time the control at ``shapes``, the most important first, as far as there is time. What goes wrong is
    said in ``missing``: what was timed before, and the rest of an inspection, stand without."""
    name = installed()
    if name is None:
        why = "neither onnxruntime nor torch is installed"
        return Controls(None, missing=Skipped("another runtime", why))
    contenders = _contenders(name)
    chosen = _affordable(shapes, len(contenders), left())
    blocks, why, outputs = Blocks(_SETTINGS, left, progress, _said), NO_TIME, dict[str, Arrays]()
    if chosen:
        try:
            cases = [_case(shape) for shape in chosen]
            found = compare(contenders, cases, _SETTINGS, progress=blocks.tell)
            outputs = {case.name: case.outputs for case in found.cases}
        except AerogelError as error:
            why = str(error).splitlines()[0]
    # A case that was timed in full counts, even if the comparison was given up later.
    done = [shape for shape in chosen if blocks.whole(_name(shape), len(contenders))]
    layers = tuple(_control(name, shape, blocks, outputs.get(_name(shape), {})) for shape in done)
    late = len(shapes) - len(done)
    missing = (
        Skipped(name if not done else f"{name} at {late} of {len(shapes)} shapes", why) if late else None
    )
    return Controls(name if done else None, layers, missing)


def _contenders(name: str) -> list[Contender]:
    ours = Contender(OURS, "aerogel.bench.layers:aerogel_layer", {"sparsity": 0.0, "pattern": "unstructured"})
    if name == _TORCH:
        return [ours, Contender(_TORCH, "aerogel.bench.layers:torch_layer")]
    factory = "aerogel.bench.int8_layer:onnx_layer"
    return [
        ours,
        Contender(_ONNX, factory, {"precision": "fp32"}),
        Contender(INT8, factory, {"precision": "int8"}),
    ]


def _affordable(shapes: Sequence[Shape], contenders: int, seconds: float) -> list[Shape]:
    """As many as a machine with nothing else to do has time for."""
    chosen: list[Shape] = []
    spent = _LOAD_S
    for shape in shapes:
        run_s = 2 * shape.outputs * shape.inputs * shape.columns / _FLOPS
        block = max(_SETTINGS.block_s + _SETTINGS.warm_s, (_SETTINGS.min_runs + 1) * run_s)
        spent += contenders * (_EACH_S + _SETTINGS.rounds * block)
        if spent > seconds:
            break
        chosen.append(shape)
    return chosen


def _name(shape: Shape) -> str:
    return f"{shape} on {shape.columns} columns"


def _case(shape: Shape) -> Case:
    sizes = {"outputs": shape.outputs, "inputs": shape.inputs, "columns": shape.columns}
    return Case(_name(shape), sizes, output=True)


def _said(step: Progress) -> str:
    if not step.case:
        return f"loading {step.contender}"
    return f"timing {step.case}: our dense kernel beside others"


def _control(name: str, shape: Shape, blocks: Blocks, outputs: Arrays) -> Control:
    case = _name(shape)
    dense = blocks.ratio(case, OURS, name)
    if name != _ONNX:
        return Control(shape, dense, None, None)
    error = relative_error(outputs[INT8], outputs[name]) if INT8 in outputs else None
    return Control(shape, dense, blocks.ratio(case, name, INT8), error)
