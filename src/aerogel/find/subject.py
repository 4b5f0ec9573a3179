"""The model that is inspected: its weights, its graph where compile would take it, and what it can be fed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.find.checkpoint import stored_weights
from aerogel.find.held import Held, Role
from aerogel.find.history import UNKNOWN, History, folder_history, recorded_history, require_dense_layout
from aerogel.model import artefact
from aerogel.model.from_torch import from_torch
from aerogel.model.graph import Embedding, Graph, Linear, Op, weight_names
from aerogel.model.loaded import Source
from aerogel.model.source import load_model
from aerogel.model.texts import Texts

if TYPE_CHECKING:
    import torch

ARTEFACT = ".aero"
Kind = Literal["directory", "factory", "artefact", "module"]


@dataclass(frozen=True)
class Subject:
    """``graph`` is None, and ``refusal`` says why, where compile would refuse the model; then ``module`` is
    the torch module, if there is one. ``example``: inputs it can be called with. ``texts``: its tokenizer.
    ``history``: how it was made sparse, as its files say."""

    name: str
    kind: Kind
    weights: tuple[Held, ...]
    graph: Graph | None = None
    refusal: str | None = None
    module: torch.nn.Module | None = field(default=None, repr=False)
    example: Any = field(default=None, repr=False)
    texts: Texts | None = field(default=None, repr=False)
    history: History = UNKNOWN


def open_subject(
    model: str | Path | torch.nn.Module, example_inputs: Any, progress: Callable[[str], None]
) -> Subject:
    """``model``: a Hugging Face directory, ``FILE.py:FUNCTION``, an .aero file, or a torch module, which
    needs ``example_inputs``. InputError where it is none of these, has unusable weights or no linear
    layer."""
    if not isinstance(model, str | Path):
        found = _from_module(model, example_inputs)
    else:
        require(example_inputs is None, InputError, "example_inputs go with a torch module, not with a path")
        spec = str(model)
        if spec.endswith(ARTEFACT):
            found = _from_artefact(Path(spec))
        else:
            progress("loading the model")
            found = _from_source(spec, progress)
    linear = any(held.role == "linear" and prod(held.shape) for held in found.weights)
    require(linear, InputError, f"{found.name} has no linear layer: there is nothing that zeros could save")
    return found


def _from_module(model: Any, example_inputs: Any) -> Subject:
    what = f"model is a {type(model).__name__}: give a path, or a torch.nn.Module"
    require(callable(getattr(model, "named_parameters", None)), InputError, what)
    require(example_inputs is not None, InputError, "a torch module needs example_inputs to be inspected")
    return _imported(Source(model, example_inputs, None, None, type(model).__name__), "module")


def _from_artefact(path: Path) -> Subject:
    read = artefact.load(path)
    texts = None if read.tokenizer is None else Texts(read.tokenizer, read.max_tokens)
    history = recorded_history(read.provenance)
    return Subject(path.name, "artefact", weights_of(read.graph), read.graph, texts=texts, history=history)


def _from_source(spec: str, progress: Callable[[str], None]) -> Subject:
    folder = Path(spec)
    if not folder.is_dir():
        return _loaded(spec, progress)
    history = folder_history(folder)
    require_dense_layout(folder, history)
    return replace(_loaded(spec, progress), history=history)


def _loaded(spec: str, progress: Callable[[str], None]) -> Subject:
    try:
        source = load_model(spec)
    except UnsupportedError as error:
        folder = Path(spec)
        if not folder.is_dir():
            raise
        return Subject(folder.resolve().name, "directory", stored_weights(folder), refusal=str(error))
    progress("tracing what it computes")
    return _imported(source, "factory" if ".py:" in spec else "directory")


def _imported(source: Source, kind: Kind) -> Subject:
    try:
        graph = from_torch(source.module, source.example_inputs)
    except UnsupportedError as error:
        from aerogel.find.torch_module import module_weights  # imports torch, as the module's maker did

        weights = module_weights(source.module)
        return Subject(
            source.name, kind, weights, None, str(error), source.module, source.example_inputs, source.texts()
        )
    example = _arrays(source) if source.tokenizer_path is None else None
    return Subject(source.name, kind, weights_of(graph), graph, None, source.module, example, source.texts())


def _arrays(source: Source) -> dict[str, NDArray[Any]]:
    from aerogel.find.torch_module import named_arrays

    return named_arrays(source.module, source.example_inputs)


def weights_of(graph: Graph) -> tuple[Held, ...]:
    """The weights that the graph's operations read, each once, in order."""
    readers: dict[str, list[Op]] = {}
    for op in graph.ops:
        for name in weight_names(op):
            readers.setdefault(name, []).append(op)
    return tuple(
        Held(
            name, _role(name, ops), graph.weights[name].shape, tuple(map(_reader, ops)), _loader(graph, name)
        )
        for name, ops in readers.items()
    )


def _role(name: str, readers: Sequence[Op]) -> Role:
    if any(isinstance(op, Linear) and op.weight == name for op in readers):
        return "linear"
    return "embedding" if any(isinstance(op, Embedding) for op in readers) else "other"


def _reader(op: Op) -> str:
    return op.origin or op.out.name


def _loader(graph: Graph, name: str) -> Callable[[], NDArray[np.float32]]:
    return lambda: graph.weight(name)


def linears(subject: Subject) -> Iterator[Held]:
    """Its linear layers' weights."""
    return (held for held in subject.weights if held.role == "linear")
