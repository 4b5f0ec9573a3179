"""A program's weights as its own: who made it may change or drop the module they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aerogel.formats.canonical import Encoded, encode
from aerogel.model.blob import Entry
from aerogel.model.graph import Graph, Weight


def weight_constant(name: str) -> str:
    """What the constants call a weight that is stored in them as it is."""
    return f"weight {name}"


def with_own_weights(graph: Graph, layout: Mapping[str, Entry], constants: NDArray[np.uint8]) -> Graph:
    """``graph`` without an array of its caller: weights are views of the program's constants where those hold
    them as they are; else copies, encoded so that zeros take no room. What is encoded already stays."""
    linear = {op.weight for op in graph.linears()}
    own: dict[str, Weight] = {}
    for name, weight in graph.weights.items():
        entry = layout.get(weight_constant(name))
        if isinstance(weight, Encoded):
            own[name] = weight
        elif entry is not None:
            own[name] = entry.within(constants)
        else:
            own[name] = _copied(weight) if name in linear else weight.copy()
    return replace(graph, weights=own)


def _copied(weight: NDArray[np.float32]) -> Encoded:
    encoded = encode(weight)
    # The values of a dense encoding are the array itself.
    parts = {name: p.copy() if np.shares_memory(p, weight) else p for name, p in encoded.parts.items()}
    return replace(encoded, parts=parts)
