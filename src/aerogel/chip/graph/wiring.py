"""Putting a graph together: blocks are added with what feeds them, and forks come by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod

from aerogel.chip.graph.blocks import Block, Buffer, Fork, outputs
from aerogel.chip.graph.graph import Graph, Node, Port, Wire, verify
from aerogel.chip.graph.streams import Kind

SLACK = 2
"""Tokens in a buffer beside a fiber's payloads."""


def room(sizes: Sequence[int]) -> int:
    """Tokens of a fiber over indices of these extents, outermost first, beside its own stop: payloads, and a
    stop for each fiber in it."""
    *outer, inner = sizes
    return prod(outer) * (inner + (1 if outer else 0))


class Wiring:
    """A graph under construction. An output may be read any number of times; ``graph`` puts forks there."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._wires: list[Wire] = []
        self._taken: Counter[str] = Counter()

    def add(self, block: Block, name: str, *sources: Port | None) -> tuple[Port, ...]:
        """A block fed by ``sources`` (None: by a wire that ``connect`` adds later); its outputs.

        A name that is taken gets a number.
        """
        at = len(self.nodes)
        self.nodes.append(Node(self._unique(name), block))
        for port, source in enumerate(sources):
            if source is not None:
                self._wires.append(Wire(source, Port(at, port)))
        return tuple(Port(at, port) for port in range(len(outputs(block))))

    def fiber(self, stream: Port, kind: Kind, extent: int) -> Port:
        """The stream through a buffer that a whole fiber fits in, with its stop and the first of the next."""
        return self.add(Buffer(extent + SLACK, kind), f"buffer_{kind.value}", stream)[0]

    def connect(self, source: Port, sink: Port) -> None:
        self._wires.append(Wire(source, sink))

    def graph(self) -> Graph:
        """The graph so far, without blocks that nothing written depends on, checked."""
        nodes, made = self._needed()
        wires: list[Wire] = []
        readers: dict[Port, list[Port]] = {}
        for wire in made:
            readers.setdefault(wire.source, []).append(wire.sink)
        for source, sinks in readers.items():
            if len(sinks) == 1:
                wires.append(Wire(source, sinks[0]))
                continue
            node = nodes[source.block]
            port, kind = outputs(node.block)[source.port]
            at = len(nodes)
            nodes.append(Node(self._unique(f"fork_{node.name}_{port}"), Fork(len(sinks), kind)))
            wires.append(Wire(source, Port(at, 0)))
            wires.extend(Wire(Port(at, way), sink) for way, sink in enumerate(sinks))
        return verify(Graph(tuple(nodes), tuple(wires)))

    def _needed(self) -> tuple[list[Node], list[Wire]]:
        wanted = [at for at, node in enumerate(self.nodes) if not outputs(node.block)]
        needed = set(wanted)
        while wanted:
            at = wanted.pop()
            feeds = {wire.source.block for wire in self._wires if wire.sink.block == at} - needed
            needed |= feeds
            wanted += sorted(feeds)
        number = {old: new for new, old in enumerate(sorted(needed))}
        wires = [
            Wire(
                Port(number[wire.source.block], wire.source.port),
                Port(number[wire.sink.block], wire.sink.port),
            )
            for wire in self._wires
            if wire.sink.block in needed
        ]
        return [self.nodes[at] for at in sorted(needed)], wires

    def _unique(self, name: str) -> str:
        self._taken[name] += 1
        count = self._taken[name]
        return name if count == 1 else self._unique(f"{name}_{count}")
