"""The whole model in another runtime: onnxruntime, in fp32 and in int8, beside our dense program; each in a
process of its own, in alternating blocks, on one thread."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.cases import lengths_case
from aerogel.bench.encoder import OURS_GIVEN, relative_error
from aerogel.bench.given_model import signature_of
from aerogel.bench.int8_layer import NEEDS
from aerogel.bench.onnx_graph import onnx_model
from aerogel.core.errors import AerogelError, MeasureError, require
from aerogel.find.blocks import Blocks
from aerogel.find.cost import lengths
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.measure import Case, Contender, Json, Progress, Settings, compare
from aerogel.model import artefact as artefacts
from aerogel.model.graph import Graph
from aerogel.tune.breakeven import Bounds

OURS, FP32, INT8 = "our dense program", "onnxruntime fp32", "onnxruntime int8"
WHAT = "the whole model in onnxruntime"
_SETTINGS = Settings(rounds=6, block_s=0.05, warm_s=0.01, load_timeout_s=120, call_timeout_s=60)
# What loading all of them takes at least; with less time it is not begun.
_LEAST_S = 6.0
# Far above rounding, far below a wrong graph; relative to the largest output.
_TOLERANCE = 1e-3
# In place of a zero, so that our program skips none: what is timed is a dense model.
_FILLED = np.float32(1e-3)

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class WholeControl:
    """At ``tokens`` columns: ``dense_s``: seconds of a call of our dense float32 program;
    ``dense_over_control``: its time over that of onnxruntime in fp32. ``int8_speedup``: its fp32 time over
    that of its int8; ``int8_error``: of the int8 output, relative to the largest value."""

    tokens: int
    dense_s: float
    dense_over_control: Bounds
    int8_speedup: Bounds
    int8_error: float

    @property
    def dense_over_int8(self) -> Bounds:
        """The time of our dense float32 program over that of onnxruntime in int8."""
        return self.dense_over_control.times(self.int8_speedup)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class OtherRuntime:
    """``controls``: by number of columns, ascending; ``missing``: why there are none, or not all."""

    controls: tuple[WholeControl, ...] = ()
    missing: Skipped | None = None


def measure_other_runtime(
    graph: Graph, left: Callable[[], float], say: Callable[[str], None]
) -> OtherRuntime:
    """``graph``: of the model, its linear weights in float32. What goes wrong is said in ``missing``."""
    if any(importlib.util.find_spec(name) is None for name in NEEDS):
        return OtherRuntime(missing=Skipped(WHAT, "onnxruntime and onnx are not installed"))
    if left() < _LEAST_S:
        return OtherRuntime(missing=Skipped(WHAT, NO_TIME))
    tokens = lengths(graph)
    blocks, why, outputs = Blocks(_SETTINGS, left, say, _said), NO_TIME, dict[str, Arrays]()
    try:
        with tempfile.TemporaryDirectory(prefix="aerogel-inspect-") as folder:
            contenders = _contenders(_filled(graph), Path(folder))
            found = compare(contenders, [_case(n) for n in reversed(tokens)], _SETTINGS, progress=blocks.tell)
        outputs = {case.name: case.outputs for case in found.cases}
    except (AerogelError, OSError) as error:  # there may be no room for the files
        why = str(error).splitlines()[0]
    try:
        done = tuple(_control(n, blocks, outputs[_name(n)]) for n in tokens if _name(n) in outputs)
    except MeasureError as error:
        return OtherRuntime(missing=Skipped(WHAT, str(error)))
    return OtherRuntime(done, None if done else Skipped(WHAT, why))


def _filled(graph: Graph) -> Graph:
    """The graph with a number in place of every zero of its linear layers."""
    names = {op.weight for op in graph.linears()}
    full = {name: np.asarray(graph.weight(name), np.float32) for name in names}
    full = {name: np.where(weight == 0, _FILLED, weight) for name, weight in full.items()}
    return replace(graph, weights={**graph.weights, **full})


def _contenders(graph: Graph, folder: Path) -> list[Contender]:
    program, onnx = folder / "model.aero", folder / "model.onnx"
    artefacts.save(program, artefacts.Artefact(graph), embeddings="fp32")
    onnx.write_bytes(onnx_model(graph))
    told: dict[str, Json] = {"signature": signature_of(graph).to_json(), "threads": 1}
    runtime = "aerogel.bench.onnx_runtime"
    return [
        Contender(OURS, OURS_GIVEN, {"model": str(program), **told}),
        Contender(FP32, f"{runtime}:make_given", {"onnx": str(onnx), **told}),
        Contender(INT8, f"{runtime}:make_quantised", {"onnx": str(onnx), **told}),
    ]


def _name(tokens: int) -> str:
    return f"{tokens} columns"


def _case(tokens: int) -> Case:
    return lengths_case(_name(tokens), [tokens], output=True)


def _said(step: Progress) -> str:
    if not step.case:
        return f"loading the whole model in {step.contender}" if step.contender != OURS else f"loading {OURS}"
    return f"timing the whole model on {step.case}: our dense program beside onnxruntime"


def _control(tokens: int, blocks: Blocks, outputs: Arrays) -> WholeControl:
    case = _name(tokens)
    error = relative_error(outputs[FP32], outputs[OURS])
    told = f"onnxruntime computes something else than our program: off by {error:.1e} of the largest output"
    require(error <= _TOLERANCE, MeasureError, told)
    return WholeControl(
        tokens,
        blocks.seconds(case, OURS),
        blocks.ratio(case, OURS, FP32),
        blocks.ratio(case, FP32, INT8),
        relative_error(outputs[INT8], outputs[FP32]),
    )
