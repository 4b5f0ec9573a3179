"""A dataflow graph: blocks with names, and wires from an output of one to an input of another."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from aerogel.chip.graph.blocks import Block, inputs, outputs
from aerogel.chip.graph.streams import Kind
from aerogel.core.errors import ChipError, require


@dataclass(frozen=True, slots=True)
class Port:
    """Port number ``port`` of block ``block``; numbers as in ``blocks.inputs`` and ``blocks.outputs``."""

    block: int
    port: int


@dataclass(frozen=True, slots=True)
class Wire:
    source: Port
    sink: Port


@dataclass(frozen=True, slots=True)
class Node:
    """``name``: unique in its graph, and the same for the same expression: ``scan_A_j``."""

    name: str
    block: Block


@dataclass(frozen=True, slots=True)
class Graph:
    """``nodes`` in the order they were made, sources first but for cycles through skips.

    Every input has one wire; an output has one, or none where nobody wants it: then its tokens are dropped.
    Where several want it a ``Fork`` stands between.
    """

    nodes: tuple[Node, ...]
    wires: tuple[Wire, ...]

    def into(self, node: int) -> tuple[Port, ...]:
        """What feeds each input of a node."""
        found = {w.sink.port: w.source for w in self.wires if w.sink.block == node}
        return tuple(found[at] for at in range(len(inputs(self.nodes[node].block))))

    def counts(self) -> dict[str, int]:
        """How many blocks of each kind there are."""
        return dict(Counter(type(node.block).__name__ for node in self.nodes))


def verify(graph: Graph) -> Graph:
    """The same graph; ChipError unless every wire fits, every input is fed once, every output read once."""
    names = Counter(node.name for node in graph.nodes)
    twice = [name for name, count in names.items() if count > 1]
    require(not twice, ChipError, f"two blocks are called {', '.join(twice)}")
    sources: set[Port] = set()
    sinks: set[Port] = set()
    for wire in graph.wires:
        made, taken = _kind(graph, wire.source, out=True), _kind(graph, wire.sink, out=False)
        require(
            made[1] is taken[1],
            ChipError,
            f"{made[0]} sends {made[1].name.lower()}s, but {taken[0]} takes {taken[1].name.lower()}s",
        )
        require(wire.source not in sources, ChipError, f"{made[0]} has two readers: put a Fork between")
        require(wire.sink not in sinks, ChipError, f"{taken[0]} is fed twice")
        sources.add(wire.source)
        sinks.add(wire.sink)
    for at, node in enumerate(graph.nodes):
        for port, (name, _) in enumerate(inputs(node.block)):
            require(Port(at, port) in sinks, ChipError, f"{node.name}.{name} is fed by nothing")
    return graph


def is_skip(graph: Graph, wire: Wire) -> bool:
    """Whether a wire only tells a scanner how far to leap: those alone may lead back."""
    return inputs(graph.nodes[wire.sink.block].block)[wire.sink.port][0] == "skip"


def in_order(graph: Graph) -> list[int]:
    """Nodes after those that feed them; ChipError where wires other than skips lead back."""
    feeds: dict[int, set[int]] = {at: set() for at in range(len(graph.nodes))}
    for wire in graph.wires:
        if not is_skip(graph, wire):
            feeds[wire.sink.block].add(wire.source.block)
    order: list[int] = []
    placed: set[int] = set()
    while len(order) < len(feeds):
        ready = [at for at, needs in feeds.items() if at not in placed and needs <= placed]
        require(ready, ChipError, "the graph has a cycle other than through skips")
        order += ready
        placed.update(ready)
    return order


def _kind(graph: Graph, port: Port, *, out: bool) -> tuple[str, Kind]:
    require(0 <= port.block < len(graph.nodes), ChipError, f"a wire names block {port.block}, which is none")
    node = graph.nodes[port.block]
    ports = outputs(node.block) if out else inputs(node.block)
    require(0 <= port.port < len(ports), ChipError, f"{node.name} has no port {port.port}")
    name, kind = ports[port.port]
    return f"{node.name}.{name}", kind
