"""Graphs as pictures: an SVG drawing in layers, which needs no other program."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from aerogel.chip.graph.blocks import Fork, inputs, outputs
from aerogel.chip.graph.graph import Graph, Node, Wire
from aerogel.chip.graph.layers import Key, Layout, arranged
from aerogel.chip.graph.palette import EDGES, NAMES, fill
from aerogel.chip.graph.printer import label

Point = tuple[float, float]

_LETTER = 6.2
"""Width of a letter, about, in pixels."""
_HIGH, _DOWN, _GAP, _BEND, _DOT = 34.0, 46.0, 22.0, 10.0, 8.0
"""Height of a block; room for wires between layers; space beside blocks; room of a wire; size of a fork."""
_EDGE, _TOP = 16.0, 34.0
"""Around the drawing; and for the key above it."""
_STYLE = """
text { font: 11px sans-serif; fill: #222; text-anchor: middle; }
.name { font-size: 9px; fill: #666; }
.key { text-anchor: start; }
rect { stroke: #555; stroke-width: 1; }
path { fill: none; stroke-width: 1.4; }
"""


def svg(graph: Graph) -> str:
    """The drawing; a block shows its name, a wire the ports it joins, when the pointer rests on it."""
    widths = [_width(node) for node in graph.nodes]
    layout = arranged(graph, widths, _BEND, _GAP)
    kinds = [k for k in EDGES if any(k is _kind(graph, wire) for wire in graph.wires)]
    wide = max((layout.x[at] + widths[at] / 2 for at in range(len(graph.nodes))), default=0.0)
    wide = max(wide, *(layout.x.values()), 0.0, 110.0 * len(kinds)) + 2 * _EDGE
    high = _TOP + len(layout.layers) * (_HIGH + _DOWN) + _EDGE
    size = f'width="{wide:.0f}" height="{high:.0f}" viewBox="0 0 {wide:.0f} {high:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f"<style>{_STYLE}</style>",
        '<rect width="100%" height="100%" style="fill: white; stroke: none"/>',
    ]
    for at, kind in enumerate(kinds):
        x = _EDGE + 110.0 * at
        parts.append(f'<path d="M{x:.0f} 17H{x + 18:.0f}" stroke="{EDGES[kind]}"/>')
        parts.append(f'<text class="key" x="{x + 23:.0f}" y="21">{NAMES[kind]}</text>')
    parts += [_wire(graph, layout, widths, number) for number in range(len(graph.wires))]
    parts += [_block(node, *_middle(layout, at), widths[at]) for at, node in enumerate(graph.nodes)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _width(node: Node) -> float:
    if isinstance(node.block, Fork):
        return _DOT
    return max(len(label(node.block)) * _LETTER, len(node.name) * _LETTER * 0.82) + 14


def _kind(graph: Graph, wire: Wire) -> object:
    return outputs(graph.nodes[wire.source.block].block)[wire.source.port][1]


def _middle(layout: Layout, key: Key) -> Point:
    level = layout.depth[key] if isinstance(key, int) else key[1]
    return layout.x[key] + _EDGE, _TOP + level * (_HIGH + _DOWN) + _HIGH / 2


def _block(node: Node, x: float, y: float, width: float) -> str:
    words, name = escape(label(node.block)), escape(node.name)
    if isinstance(node.block, Fork):
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_DOT / 2}" fill="#555"><title>{name}</title></circle>'
    box = (
        f'<rect x="{x - width / 2:.1f}" y="{y - _HIGH / 2:.1f}" width="{width:.1f}" height="{_HIGH:.0f}" '
        f'rx="5" fill="{fill(node.block)}"/>'
    )
    lines = f'<text x="{x:.1f}" y="{y - 2:.1f}">{words}</text>'
    lines += f'<text class="name" x="{x:.1f}" y="{y + 11:.1f}">{name}</text>'
    return f"<g><title>{name}: {words}</title>{box}{lines}</g>"


def _wire(graph: Graph, layout: Layout, widths: Sequence[float], number: int) -> str:
    wire = graph.wires[number]
    source, sink = graph.nodes[wire.source.block], graph.nodes[wire.sink.block]
    made, taken = outputs(source.block), inputs(sink.block)
    start = _port(layout, wire.source.block, widths, wire.source.port, len(made), down=True)
    end = _port(layout, wire.sink.block, widths, wire.sink.port, len(taken), down=False)
    between = [_middle(layout, key) for key in layout.bends(number, wire)[1:-1]]
    line, dashes = _curve([start, *between, end]), ""
    if layout.depth[wire.source.block] >= layout.depth[wire.sink.block]:
        line, dashes = _back(layout, widths, wire), ' stroke-dasharray="4 3"'
    name, kind = made[wire.source.port]
    title = escape(f"{source.name}.{name} to {sink.name}.{taken[wire.sink.port][0]}: {NAMES[kind]}")
    return f'<path d="{line}" stroke="{EDGES[kind]}"{dashes}><title>{title}</title></path>'


def _port(layout: Layout, block: int, widths: Sequence[float], port: int, count: int, *, down: bool) -> Point:
    """Ports are spread over the lower or the upper side of a block, in order."""
    x, y = _middle(layout, block)
    if widths[block] == _DOT:
        return x, y
    x += widths[block] * ((port + 1) / (count + 1) - 0.5)
    return x, y + (_HIGH / 2 if down else -_HIGH / 2)


def _back(layout: Layout, widths: Sequence[float], wire: Wire) -> str:
    """A wire up again, a skip: around the right side."""
    x, y = _middle(layout, wire.source.block)
    to_x, to_y = _middle(layout, wire.sink.block)
    x, to_x = x + widths[wire.source.block] / 2, to_x + widths[wire.sink.block] / 2
    out = max(x, to_x) + 2 * _GAP
    return f"M{x:.1f} {y:.1f}C{out:.1f} {y:.1f} {out:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"


def _curve(points: Sequence[Point]) -> str:
    """A line that leaves and enters every point upright."""
    x, y = points[0]
    parts = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in points[1:]:
        half = (to_y - y) / 2
        parts.append(f"C{x:.1f} {y + half:.1f} {to_x:.1f} {to_y - half:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return "".join(parts)
