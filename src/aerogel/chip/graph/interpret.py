"""What a graph means, without time: every stream in full. The oracle of the machine.

What each block makes of streams is in ``meaning.py``; here they are run one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.graph.blocks import WriteLevel, WriteValues, outputs
from aerogel.chip.graph.graph import Graph, Port, in_order
from aerogel.chip.graph.meaning import Stream, UnevenError, World, run_block
from aerogel.core.errors import ChipError
from aerogel.formats.storage import Storage


@dataclass(frozen=True, slots=True)
class Traces:
    """What ran over every output of a graph, and what was written.

    ``levels``: pos and crd by (tensor, level); ``values``: by tensor.
    """

    streams: Mapping[Port, Stream]
    levels: Mapping[tuple[str, int], tuple[NDArray[np.int64], NDArray[np.int64]]]
    values: Mapping[str, NDArray[np.float64]]


def interpret(graph: Graph, tensors: Mapping[str, Storage], *, word_bits: int = 16) -> Traces:
    """Runs ``graph`` on ``tensors``, stored as the graph takes them; ChipError where streams do not fit.

    ``word_bits``: of words of bit vectors, which no other stream depends on.
    """
    world = World(tensors, word_bits)
    streams: dict[Port, Stream] = {}
    levels: dict[tuple[str, int], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
    values: dict[str, NDArray[np.float64]] = {}
    for at in in_order(graph):
        node = graph.nodes[at]
        sources = graph.into(at)
        taken = [streams[p] for p in sources if p in streams]
        match node.block:
            case WriteLevel(tensor=tensor, level=level):
                levels[tensor, level] = _written(taken[0])
            case WriteValues(tensor=tensor):
                values[tensor] = np.array(_payloads(taken[0]), dtype=np.float64)
            case block:
                try:
                    made = run_block(block, taken, world)
                except (UnevenError, TypeError, IndexError, ValueError) as error:
                    raise ChipError(f"{node.name}: its streams do not belong together ({error})") from error
                for port, stream in enumerate(made):
                    streams[Port(at, port)] = stream
    return Traces(streams, levels, values)


def _payloads(stream: Stream) -> list[Any]:
    found = [stream.nested] if stream.depth == 0 else stream.nested
    for _ in range(stream.depth - 1):
        found = [item for part in found for item in part]
    return [0 if item is None else item for item in found]


def _written(stream: Stream) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    fibers = [stream.nested]
    for _ in range(stream.depth - 1):
        fibers = [item for part in fibers for item in part]
    pos = np.cumsum([0, *(len(fiber) for fiber in fibers)], dtype=np.int64)
    return pos, np.array([crd for fiber in fibers for crd in fiber], dtype=np.int64)


def ports(graph: Graph) -> list[tuple[str, Port]]:
    """Every output, by the name of its block and port, in order: for reports."""
    return [
        (f"{node.name}.{name}", Port(at, port))
        for at, node in enumerate(graph.nodes)
        for port, (name, _) in enumerate(outputs(node.block))
    ]
