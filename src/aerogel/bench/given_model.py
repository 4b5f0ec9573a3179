"""A model as it is given, whatever the importer takes: read once, and written as ONNX for other runtimes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aerogel.bench.arrays import ArraySubject, Fed, Signature
from aerogel.bench.hugging_face import ModelFolder
from aerogel.bench.native_program import SUFFIX, with_hidden_states
from aerogel.bench.onnx_export import quantise
from aerogel.bench.onnx_graph import given_inputs, onnx_model
from aerogel.bench.onnx_runtime import OnnxRuntime
from aerogel.bench.variant import Precision
from aerogel.core.errors import MeasureError, require
from aerogel.core.files import replace_file
from aerogel.model import artefact as artefacts
from aerogel.model.graph import Graph, in_integers
from aerogel.model.reference import evaluate

# Relative to the largest value: far above rounding, far below a wrong graph.
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Given:
    """``onnx``: by precision, the files written; ``zeros``: the share of zeros in its linear layers;
    ``precision``: what the model as given computes them in."""

    signature: Signature
    onnx: dict[str, Path]
    zeros: float
    precision: Precision


def is_given(model: str | Path) -> bool:
    """Is it compared as it is, with all its outputs, rather than as the encoder of a directory?"""
    file, _, _ = str(model).rpartition(":")
    return str(model).endswith((SUFFIX, ".py")) or file.endswith(".py")


def read_given(
    model: str, precisions: Sequence[str], folder: Path, tell: Callable[[str, float], None]
) -> Given:
    """Reads ``model`` and writes it to ``folder`` as ONNX in each of ``precisions``. Imports torch, unless
    the model is an .aero file: so it is called in a process of its own."""
    tell(f"reading {model}", 0.0)
    graph = _graph(model)
    integers = any(in_integers(graph.weights[op.weight]) for op in graph.linears())
    # Other runtimes get the numbers that 8-bit weights stand for, and compute with them in their own way.
    graph = replace(graph, weights={name: graph.weight(name) for name in graph.weights})
    files: dict[str, Path] = {}
    if precisions:
        tell("writing it as ONNX for other runtimes", 0.3)
        files["fp32"] = _written(graph, folder / "model.onnx")
        tell("checking the ONNX file against the model", 0.5)
        _check(files["fp32"], graph)
    if "int8" in precisions:
        tell("making an int8 ONNX file", 0.8)
        files["int8"] = folder / "model-int8.onnx"
        quantise(files["fp32"], files["int8"])
    return Given(signature_of(graph), files, zeros_of(graph), "int8" if integers else "fp32")


def _graph(model: str) -> Graph:
    if model.endswith(SUFFIX):
        return artefacts.load(Path(model)).graph
    from aerogel.model.from_torch import from_torch

    if is_given(model):
        from aerogel.model.source import load_model

        source = load_model(model)
        return from_torch(source.module, source.example_inputs)
    graph, _ = with_hidden_states(from_torch(ModelFolder.open(model).torch_module()))
    return graph


def _written(graph: Graph, path: Path) -> Path:
    data = onnx_model(graph)
    replace_file(path, lambda file: _all(file.write(data), len(data)))
    return path


def _check(path: Path, graph: Graph) -> None:
    """MeasureError where the file computes anything else than the graph, on a few tokens."""
    if importlib.util.find_spec("onnxruntime") is None:
        return  # the rows that need the file are compared with ours in any case
    told = signature_of(graph)
    lengths = [5, 3, 1] if told.padded else [5, 5]
    case = {"lengths": [min(length, told.longest or length) for length in lengths]}
    arrays = told.arrays(case)
    subject = ArraySubject(told, OnnxRuntime(path, 1))
    subject.prepare(case)
    found, wanted = subject.result(), evaluate(graph, arrays)[told.output]
    alike = found.shape == wanted.shape
    told_shapes = f"{path.name} gives {found.shape} where the model gives {wanted.shape}"
    require(alike, MeasureError, told_shapes)
    error = float(np.abs(found - wanted).max() / max(float(np.abs(wanted).max()), 1e-30))
    told_error = f"the ONNX file of the model differs from it by {error:.1e} of the largest value"
    require(error <= _TOLERANCE, MeasureError, told_error)


def _all(written: int, wanted: int) -> None:
    require(written == wanted, MeasureError, f"only {written} of {wanted} bytes were written")


def signature_of(graph: Graph) -> Signature:
    """What a model with this graph is called with, and the first of what it returns."""
    first = graph.outputs[0]
    fed = tuple(Fed(i.name, i.kind, i.limit) for i in given_inputs(graph))
    made = {op.out.name: op.out.columns for op in graph.ops}
    return Signature(fed, first.name, made.get(first.value) == "tokens", graph.max_length)


def zeros_of(graph: Graph) -> float:
    """The share of zeros in the weights of linear layers; 0 where there are none."""
    matrices = {op.weight for op in graph.linears()}
    weights = [graph.weight(name) for name in sorted(matrices)]
    count = sum(weight.size for weight in weights)
    return sum(int((weight == 0).sum()) for weight in weights) / count if count else 0.0
