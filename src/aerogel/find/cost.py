"""What a call computes and moves, counted: per layer and in all, dense and with the zeros skipped.

A multiply-add counts as two operations. Counted are linear layers, 2 x outputs x inputs x columns, and the
two products of attention, 4 x length^2 x features a sequence; biases, norms, softmax and activation functions
are not. Bytes are float32: weights, and activations read and written, each once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.find.subject import Subject, linears
from aerogel.find.weights import WeightReport, WeightZeros
from aerogel.model.graph import Attention, Embedding, Graph, Linear

LENGTHS = (16, 128)
"""Tokens of the one sequence that costs are stated for (rows, where a model takes rows)."""
Shares = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class LayerCost:
    """``flops``: dense; ``effective_flops``: of the weights that are not 0; ``live_flops``: of these, the
    ones that also meet an activation that is not 0, by the sample, None where activations were not looked at.
    ``effective_bytes``: weights in their smallest lossless encoding."""

    name: str
    kind: Literal["linear", "attention", "embedding"]
    shape: tuple[int, ...]
    columns: int
    flops: int
    effective_flops: int
    live_flops: int | None
    bytes: int
    effective_bytes: int


@dataclass(frozen=True)
class Cost:
    """Of one sequence of ``tokens`` tokens, or of so many rows."""

    tokens: int
    layers: tuple[LayerCost, ...]

    def total(self, field: Literal["flops", "effective_flops", "bytes", "effective_bytes"]) -> int:
        return sum(getattr(layer, field) for layer in self.layers)

    @property
    def live_flops(self) -> int | None:
        """None where any linear layer's activations are not known."""
        known = [layer.live_flops for layer in self.layers]
        return None if any(n is None for n in known) else sum(n for n in known if n is not None)

    def to_json(self) -> dict[str, Any]:
        totals = {f: self.total(f) for f in ("flops", "effective_flops", "bytes", "effective_bytes")}
        return {
            "tokens": self.tokens,
            "total": {**totals, "live_flops": self.live_flops},
            "layers": [{**asdict(layer), "shape": list(layer.shape)} for layer in self.layers],
        }


@dataclass(frozen=True)
class CostReport:
    """``unit``: what the columns of a layer are. ``assumed``: what had to be taken for granted."""

    unit: Literal["tokens", "rows"]
    costs: tuple[Cost, ...]
    assumed: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "unit": self.unit,
            "assumed": self.assumed,
            "counted": "linear layers and the products of attention; 2 operations a multiply-add; float32",
            "costs": [cost.to_json() for cost in self.costs],
        }


def count_costs(subject: Subject, weights: WeightReport, live: Shares) -> CostReport:
    """``live``: as in ``ActivationReport``, empty where there is none."""
    known = {row.name: row for row in weights.rows}
    graph = subject.graph
    if graph is None:
        costs = tuple(Cost(n, _of_weights(subject, known, live, n)) for n in LENGTHS)
        return CostReport(
            "tokens", costs, "each linear layer runs once, on every token; attention not counted"
        )
    unit = unit_of(graph)
    return CostReport(unit, tuple(Cost(n, _of_graph(graph, known, live, n)) for n in lengths(graph)), None)


def unit_of(graph: Graph) -> Literal["tokens", "rows"]:
    """What the caller gives it many of."""
    return "rows" if any(i.kind == "features" for i in graph.inputs) else "tokens"


def lengths(graph: Graph | None) -> tuple[int, ...]:
    """LENGTHS, cut to what the model's positions allow; ascending."""
    longest = None if graph is None else graph.max_length
    return tuple(sorted({min(n, longest or n) for n in LENGTHS}))


def _of_graph(
    graph: Graph, known: Mapping[str, WeightZeros], live: Shares, tokens: int
) -> tuple[LayerCost, ...]:
    found: list[LayerCost] = []
    for op in graph.ops:
        # After pooling there is one column per sequence, and the sequence is one.
        n = tokens if op.out.columns == "tokens" or unit_of(graph) == "rows" else 1
        width = op.out.features
        match op:
            case Linear():
                found.append(_linear(known[op.weight], graph.weight(op.weight), live.get(op.weight), n))
            case Attention():
                flops, moved = 4 * n * n * width, 4 * 4 * width * n
                name = op.origin or op.out.name
                shape = (op.heads, width // op.heads)
                found.append(LayerCost(name, "attention", shape, n, flops, flops, flops, moved, moved))
            case Embedding():
                moved = 2 * 4 * width * n
                found.append(
                    LayerCost(op.table, "embedding", known[op.table].shape, n, 0, 0, 0, moved, moved)
                )
            case _:
                pass  # elementwise: not counted
    return tuple(found)


def _of_weights(
    subject: Subject, known: Mapping[str, WeightZeros], live: Shares, tokens: int
) -> tuple[LayerCost, ...]:
    return tuple(
        _linear(known[held.name], held.load(), live.get(held.name), tokens)
        for held in linears(subject)
        if len(held.shape) == 2
    )


def _linear(
    row: WeightZeros, weight: NDArray[np.float32], live: NDArray[np.float32] | None, columns: int
) -> LayerCost:
    outputs, inputs = weight.shape
    nonzeros = row.zeros.count - row.zeros.zeros
    alive = None
    if live is not None and live.shape == (inputs,):
        # Each input's weights that are not 0, as often as the input itself is not.
        per_input = np.count_nonzero(weight, axis=0)
        alive = round(2 * columns * float(per_input @ live.astype(np.float64)))
    moved = 4 * (outputs + inputs) * columns
    return LayerCost(
        row.name,
        "linear",
        (outputs, inputs),
        columns,
        2 * outputs * inputs * columns,
        2 * nonzeros * columns,
        alive,
        moved + 4 * weight.size,
        moved + row.stored_bytes,
    )
