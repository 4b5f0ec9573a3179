"""How many activations are zero, or nearly so: at the input of each linear layer and after each activation
function, over real tokens only. Computed by the graph's slow interpreter in float32, without torch; by the
torch module where compile refuses the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.find.samples import Arrays, Sample, sample
from aerogel.find.subject import Subject
from aerogel.find.zeros import DEFINITION, Zeros, count_zeros, together
from aerogel.model.graph import Activation, Graph, Output
from aerogel.model.reference import evaluate

Matrices = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class ActivationZeros:
    """One activation. ``place``: the ``input`` of the linear layers ``names``, or ``after`` an activation
    function ``fn``, where ``names`` says which. ``columns``: the tokens (or rows) counted."""

    place: Literal["input", "after"]
    fn: str | None
    names: tuple[str, ...]
    features: int
    columns: int
    zeros: Zeros

    def to_json(self) -> dict[str, Any]:
        return {
            "place": self.place,
            "fn": self.fn,
            "names": list(self.names),
            "features": self.features,
            "columns": self.columns,
            **self.zeros.to_json(),
        }


@dataclass(frozen=True)
class ActivationReport:
    """``about``: what the model was fed; ``tokens``: real ones, or rows. ``live``: by the name of a linear
    layer's weight, the share of tokens at which each input is not 0."""

    about: str
    texts: int | None
    tokens: int
    rows: tuple[ActivationZeros, ...]
    live: Matrices = field(repr=False, compare=False)

    def total(self, place: Literal["input", "after"]) -> Zeros:
        return together(row.zeros for row in self.rows if row.place == place)

    def to_json(self) -> dict[str, Any]:
        return {
            "about": self.about,
            "texts": self.texts,
            "tokens": self.tokens,
            "definition": DEFINITION,
            "rows": [row.to_json() for row in self.rows],
            "inputs": self.total("input").to_json(),
            "after": self.total("after").to_json() if any(r.place == "after" for r in self.rows) else None,
        }


def measure_activations(subject: Subject, data: Any) -> ActivationReport:
    """``data`` as for ``samples.sample``, whose errors it raises."""
    fed = sample(subject, data)
    if subject.graph is not None:
        return _of_graph(subject.graph, fed)
    from aerogel.find.torch_module import linear_inputs

    inputs = linear_inputs(subject.module, fed.batches, subject.example) if subject.module else {}  # pyright: ignore[reportArgumentType]
    rows = [_row("input", None, (name,), matrix) for name, matrix in inputs.items()]
    tokens = max((row.columns for row in rows), default=0)
    return ActivationReport(fed.about, fed.texts, tokens, tuple(rows), _live(inputs))


def _of_graph(graph: Graph, fed: Sample) -> ActivationReport:
    assert fed.batches is not None, "a graph takes arrays"
    readers: dict[str, list[str]] = {}
    for op in graph.linears():
        readers.setdefault(op.x, []).append(op.weight)
    after = {op.out.name: op for op in graph.ops if isinstance(op, Activation)}
    values = _values(graph, fed.batches, tuple(dict.fromkeys([*readers, *after])))
    rows: list[ActivationZeros] = []
    for name, matrix in values.items():
        if name in after:
            op = after[name]
            rows.append(_row("after", op.fn, (op.origin or name,), matrix))
        if name in readers:
            rows.append(_row("input", None, tuple(dict.fromkeys(readers[name])), matrix))
    by_weight = {weight: values[x] for x, weights in readers.items() for weight in weights}
    return ActivationReport(fed.about, fed.texts, _tokens(graph, fed.batches), tuple(rows), _live(by_weight))


def _row(
    place: Literal["input", "after"], fn: str | None, names: tuple[str, ...], matrix: NDArray[np.float32]
) -> ActivationZeros:
    zeros = count_zeros(matrix, f"the activation {'of' if place == 'after' else 'fed to'} {names[0]}")
    return ActivationZeros(place, fn, names, matrix.shape[1], matrix.shape[0], zeros)


def _live(matrices: Matrices) -> dict[str, NDArray[np.float32]]:
    return {name: (matrix != 0).mean(axis=0, dtype=np.float32) for name, matrix in matrices.items()}


def _values(graph: Graph, batches: Sequence[Arrays], names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """The named activations, [columns, features], padding left out."""
    # Every activation becomes an output: then the interpreter hands it out, cleared of padding.
    open_graph = replace(graph, outputs=tuple(Output(name, name) for name in names))
    parts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for batch in batches:
        mask = _mask(graph, batch)
        known = {i.name: batch[i.name] for i in graph.inputs if i.name in batch}
        for name, array in evaluate(open_graph, known, np.float32).items():
            tokens = mask is not None and array.shape[:-1] == mask.shape and _of_tokens(graph, name)
            kept = array[mask] if tokens else array.reshape(-1, array.shape[-1])
            parts[name].append(np.asarray(kept, np.float32))
    return {name: np.concatenate(found) for name, found in parts.items()}


def _of_tokens(graph: Graph, name: str) -> bool:
    return any(op.out.name == name and op.out.columns == "tokens" for op in graph.ops)


def _mask(graph: Graph, batch: Arrays) -> NDArray[np.bool_] | None:
    """Which positions are real; None for a model of rows."""
    kinds = {i.kind: i.name for i in graph.inputs if i.name in batch}
    if "mask" in kinds:
        return np.asarray(batch[kinds["mask"]]).astype(bool)
    return np.ones(np.asarray(batch[kinds["ids"]]).shape, bool) if "ids" in kinds else None


def _tokens(graph: Graph, batches: Sequence[Arrays]) -> int:
    masks = [_mask(graph, batch) for batch in batches]
    if all(mask is not None for mask in masks):
        return sum(int(mask.sum()) for mask in masks if mask is not None)
    return sum(int(np.prod(np.shape(next(iter(batch.values())))[:-1])) for batch in batches)
