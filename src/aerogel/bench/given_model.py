"""A model as it is given, whatever the importer takes: read once, and written as ONNX for other runtimes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aerogel.bench.arrays import Fed, Signature
from aerogel.bench.hugging_face import ModelFolder
from aerogel.bench.native_program import SUFFIX, with_hidden_states
from aerogel.bench.onnx_graph import given_inputs, onnx_model
from aerogel.core.errors import MeasureError, require
from aerogel.core.files import replace_file
from aerogel.model import artefact as artefacts
from aerogel.model.graph import Graph


@dataclass(frozen=True, slots=True)
class Given:
    """``onnx``: by precision, the files written; ``zeros``: the share of zeros in its linear layers."""

    signature: Signature
    onnx: dict[str, Path]
    zeros: float


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
    files: dict[str, Path] = {}
    if precisions:
        tell("writing it as ONNX for other runtimes", 0.5)
        files["fp32"] = _written(graph, folder / "model.onnx")
    if "int8" in precisions:
        from onnxruntime.quantization import quantize_dynamic

        files["int8"] = folder / "model-int8.onnx"
        quantize_dynamic(files["fp32"], files["int8"], per_channel=True)
    return Given(_signature(graph), files, zeros_of(graph))


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


def _all(written: int, wanted: int) -> None:
    require(written == wanted, MeasureError, f"only {written} of {wanted} bytes were written")


def _signature(graph: Graph) -> Signature:
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
