"""Other ways to build the same meeting of two fibers: with skips, or on bit vectors.

Each takes a graph and gives one that means the same. They change what pays: a skip where one fiber is much
longer than the other, bits where both are so full that a word of bits holds several coordinates.
"""

from __future__ import annotations

from dataclasses import replace

from aerogel.chip.graph.blocks import BitExpand, BitMerge, BitScan, Merge, Scan
from aerogel.chip.graph.graph import Graph, Node, Port, Wire, verify


def with_skips(graph: Graph) -> Graph:
    """Scanners whose coordinates go straight into an intersecter are told how far to leap ahead."""
    nodes, wires = list(graph.nodes), list(graph.wires)
    for at, node in enumerate(graph.nodes):
        block = node.block
        if not isinstance(block, Merge) or block.op != "intersect":
            continue
        scans = [
            _scan_into(graph, Port(at, 0), block.left),
            _scan_into(graph, Port(at, 1 + block.left), block.right),
        ]
        if scans == [None, None]:
            continue
        nodes[at] = replace(node, block=replace(block, skip=True))
        first = 1 + block.left + block.right
        for side, scan in enumerate(scans):
            if scan is not None:
                told = nodes[scan].block
                assert isinstance(told, Scan)
                nodes[scan] = replace(nodes[scan], block=replace(told, skip=True))
                wires.append(Wire(Port(at, first + side), Port(scan, 1)))
    return verify(Graph(tuple(nodes), tuple(wires)))


def with_bits(graph: Graph) -> Graph:
    """Where two compressed levels meet, their coordinates come as words of bits."""
    nodes, wires = list(graph.nodes), list(graph.wires)
    for at, node in enumerate(graph.nodes):
        block = node.block
        if not isinstance(block, Merge) or (block.left, block.right) != (1, 1):
            continue
        scans = [_scan_into(graph, Port(at, 0), 1), _scan_into(graph, Port(at, 2), 1)]
        if None in scans:
            continue
        for scan in scans:
            assert scan is not None
            told = nodes[scan].block
            assert isinstance(told, Scan)
            bits = BitScan(told.tensor, told.level, told.size)
            nodes[scan] = replace(nodes[scan], block=bits)
        nodes[at] = Node(f"bits_{node.name}", BitMerge(block.op))
        expand = len(nodes)
        nodes.append(Node(node.name, BitExpand(2)))
        # What the merge sent, its expansion sends now.
        wires = [replace(w, source=Port(expand, w.source.port)) if w.source.block == at else w for w in wires]
        wires += [Wire(Port(at, port), Port(expand, port)) for port in range(3)]
    return verify(Graph(tuple(nodes), tuple(wires)))


def _scan_into(graph: Graph, sink: Port, along: int) -> int | None:
    """The scanner of a compressed level whose two streams, coordinates and references, go into ``sink`` and
    the port after it, and nowhere else; None where something else does."""
    if along != 1:
        return None
    feeds = {wire.sink: wire.source for wire in graph.wires}
    crd, ref = feeds[sink], feeds[Port(sink.block, sink.port + 1)]
    block = graph.nodes[crd.block].block
    plain = isinstance(block, Scan) and block.kind == "compressed" and not block.skip
    return crd.block if plain and (crd.port, ref) == (0, Port(crd.block, 1)) else None
