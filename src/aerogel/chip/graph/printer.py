"""Graphs as text: a line for each block, what feeds it, and what it sends.

``scan_A_j = scan compressed A.1 (intersect_i.a_0) -> crd, ref``. The same graph, the same text.
"""

from __future__ import annotations

from typing import assert_never

from aerogel.chip.graph.blocks import (
    Alu,
    AluConstant,
    AluFunction,
    Array,
    BitExpand,
    BitMerge,
    BitScan,
    Block,
    Buffer,
    Drop,
    Fill,
    Fork,
    Join,
    Locate,
    MatrixReduce,
    Merge,
    Parallelize,
    Reduce,
    Repeat,
    Root,
    Scan,
    Serialize,
    Sift,
    Split,
    VectorReduce,
    WriteLevel,
    WriteValues,
    outputs,
)
from aerogel.chip.graph.graph import Graph, Port
from aerogel.chip.graph.streams import Kind


def text(graph: Graph) -> str:
    """The graph, a line for each block in the order they were made."""
    lines: list[str] = []
    for at, node in enumerate(graph.nodes):
        feeds = ", ".join(port_name(graph, port) for port in graph.into(at))
        sends = ", ".join(name for name, _ in outputs(node.block))
        line = f"{node.name} = {label(node.block)}"
        lines.append(line + (f" ({feeds})" if feeds else "") + (f" -> {sends}" if sends else ""))
    return "\n".join(lines) + "\n"


def port_name(graph: Graph, port: Port) -> str:
    """An output, as ``scan_A_j.crd``; of a block with one output, the block's name."""
    node = graph.nodes[port.block]
    ports = outputs(node.block)
    return node.name if len(ports) == 1 else f"{node.name}.{ports[port.port][0]}"


def label(block: Block) -> str:  # noqa: C901 (a case per kind)
    """A block in a few words."""
    match block:
        case Root():
            return "root"
        case Scan(tensor=tensor, level=level, kind=kind, skip=skip):
            return f"scan {kind} {tensor}.{level}{' skipping' if skip else ''}"
        case BitScan(tensor=tensor, level=level):
            return f"scan bits {tensor}.{level}"
        case Repeat(kind=kind):
            return "repeat" if kind is Kind.REFERENCE else "repeat values"
        case Merge(op=op, skip=skip):
            return f"{op}{' skipping' if skip else ''}"
        case BitMerge(op=op):
            return f"{op} bits"
        case BitExpand():
            return "expand bits"
        case Locate(tensor=tensor, level=level):
            return f"locate {tensor}.{level}"
        case Array(tensor=tensor):
            return f"array {tensor}"
        case Alu(op=op):
            return op
        case AluConstant(op=op, value=value, reverse=reverse):
            return f"{value:g} {op} _" if reverse else f"_ {op} {value:g}"
        case AluFunction(op=op):
            return op
        case Reduce(op=op):
            return f"reduce {op}"
        case Fill(value=value):
            return f"fill in {value:g}"
        case VectorReduce(extent=extent, op=op):
            return f"reduce vector {op} {extent}"
        case MatrixReduce(extents=(rows, columns), op=op):
            return f"reduce matrix {op} {rows} x {columns}"
        case Join(size=size):
            return f"join levels, inner {size}"
        case Split(size=size):
            return f"split levels, inner {size}"
        case Sift(op=op):
            return f"sift fibers {op}"
        case Drop(inner=kind):
            return "drop zeros" if kind is Kind.VALUE else "drop empty"
        case WriteLevel(tensor=tensor, level=level):
            return f"write {tensor}.{level}"
        case WriteValues(tensor=tensor):
            return f"write {tensor}.values"
        case Fork(ways=ways):
            return f"fork {ways}"
        case Buffer(depth=depth):
            return f"buffer {depth}"
        case Parallelize(ways=ways, level=level):
            return f"deal {ways} level {level}"
        case Serialize(ways=ways, level=level):
            return f"gather {ways} level {level}"
        case _:
            assert_never(block)
