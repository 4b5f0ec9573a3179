"""Graphs for Graphviz: boxes in the colours of ``palette.py``, lines in those of the streams they carry."""

from __future__ import annotations

from aerogel.chip.graph.blocks import Fork, outputs
from aerogel.chip.graph.graph import Graph
from aerogel.chip.graph.palette import EDGES, fill
from aerogel.chip.graph.printer import label


def dot(graph: Graph) -> str:
    """The graph in Graphviz's language; ``dot -Tsvg`` draws it."""
    lines = ["digraph {", '  node [shape=box style="filled,rounded" fontname="sans-serif" fontsize=10]']
    lines.append('  edge [fontname="sans-serif" fontsize=8]')
    for node in graph.nodes:
        name = _quoted(node.name)
        if isinstance(node.block, Fork):
            lines.append(f"  {name} [shape=point]")
        else:
            words = _quoted(f"{label(node.block)}\n{node.name}")
            lines.append(f'  {name} [label={words} fillcolor="{fill(node.block)}"]')
    for wire in graph.wires:
        source, sink = graph.nodes[wire.source.block], graph.nodes[wire.sink.block]
        port, kind = outputs(source.block)[wire.source.port]
        ends = f"{_quoted(source.name)} -> {_quoted(sink.name)}"
        lines.append(f'  {ends} [color="{EDGES[kind]}" label={_quoted("" if port == "out" else port)}]')
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
