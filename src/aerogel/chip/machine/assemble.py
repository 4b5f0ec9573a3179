"""A graph and its tensors as an ideal netlist, one hop between any two cells, and what its segments hold."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.fabric.fabric import Fabric
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
    inputs,
    outputs,
)
from aerogel.chip.graph.graph import Graph, Port, verify
from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.netlist import Cell, Channel, Netlist, Opcode, Segment, Values
from aerogel.chip.machine.opcodes import FUNCTIONS, OPERATIONS
from aerogel.core.errors import ChipError, require
from aerogel.formats.storage import Storage

Role = Literal["pos", "crd", "vals", "bits"]


@dataclass(frozen=True, slots=True)
class Assembled:
    """``arrays``: what each segment of ``netlist`` holds, whole numbers or values; None for a result."""

    netlist: Netlist
    arrays: tuple[NDArray[Any] | None, ...]


def assemble(
    graph: Graph,
    tensors: Mapping[str, Storage],
    fabric: Fabric,
    *,
    room: int | None = None,
    values: Values | None = None,
) -> Assembled:
    """The netlist of ``graph`` on ``tensors``, which are stored as the graph takes them.

    ``room``: words that each segment of a result may take; by default as many as references can tell apart
    (``2 ** word_bits``), and one more. ``values``: instead of the fabric's. A channel is of one hop, and
    holds what the fabric has room for on it. ChipError where a tensor is missing or is stored otherwise.
    """
    verify(graph)
    made = _Assembly(tensors, fabric, (1 << fabric.word_bits) + 1 if room is None else room)
    channels: list[Channel] = []
    ends: dict[Port, int] = {}
    for wire in graph.wires:
        kind = outputs(graph.nodes[wire.source.block].block)[wire.source.port][1]
        ends[wire.source] = len(channels)
        into_tile = not isinstance(graph.nodes[wire.sink.block].block, Fork)
        channels.append(Channel(kind, fabric.room(1, into_tile=into_tile)))
    fed = {wire.sink: ends[wire.source] for wire in graph.wires}
    cells: list[Cell] = []
    for at, node in enumerate(graph.nodes):
        opcode, params = made.cell(node.block)
        into = tuple(fed[Port(at, port)] for port in range(len(inputs(node.block))))
        out = tuple(ends.get(Port(at, port), -1) for port in range(len(outputs(node.block))))
        cells.append(Cell(opcode, params, into, out, node.name))
    netlist = Netlist(tuple(cells), tuple(channels), tuple(made.segments), values or fabric.values)
    return Assembled(netlist, tuple(made.arrays))


@dataclass
class _Assembly:
    """Segments as they are asked for: one for each array, whoever names it."""

    tensors: Mapping[str, Storage]
    fabric: Fabric
    room: int
    segments: list[Segment] = field(default_factory=list[Segment])
    arrays: list[NDArray[Any] | None] = field(default_factory=list[NDArray[Any] | None])
    known: dict[str, int] = field(default_factory=dict[str, int])

    def cell(self, block: Block) -> tuple[Opcode, tuple[int, ...]]:  # noqa: C901 (a case per kind)
        """Opcode and parameters of a block."""
        match block:
            case Root():
                return Opcode.ROOT, ()
            case Scan(kind="dense", size=size):
                return Opcode.SCAN_DENSE, (size,)
            case Scan(tensor=tensor, level=level, skip=skip):
                params = self.operand_level(tensor, level)
                return (Opcode.SCAN_SKIP if skip else Opcode.SCAN_COMPRESSED), params
            case BitScan(tensor=tensor, level=level, size=size):
                words = -(-size // self.fabric.word_bits)
                return Opcode.SCAN_BITS, (self.bits(tensor, level, size), words)
            case Repeat():
                return Opcode.REPEAT, ()
            case Merge(op="intersect", left=left, right=right, skip=skip):
                return (Opcode.INTERSECT_SKIP if skip else Opcode.INTERSECT), (left, right)
            case Merge(left=left, right=right):
                return Opcode.UNION, (left, right)
            case BitMerge(op=op):
                return (Opcode.BIT_INTERSECT if op == "intersect" else Opcode.BIT_UNION), ()
            case BitExpand(references=count):
                return Opcode.BIT_EXPAND, (count,)
            case Locate(size=size):
                return Opcode.LOCATE, (size,)
            case Array(tensor=tensor):
                return Opcode.ARRAY, (self.operand(f"{tensor}.vals", "vals", self.stored(tensor).values),)
            case Alu(op=op):
                return Opcode.ALU, (OPERATIONS.index(op),)
            case AluConstant(op=op, value=value, reverse=reverse):
                return Opcode.ALU_CONSTANT, (OPERATIONS.index(op), float_bits(value), int(reverse))
            case AluFunction(op=op):
                return Opcode.ALU_FUNCTION, (FUNCTIONS.index(op),)
            case Reduce(op=op, sparse=sparse):
                return Opcode.REDUCE, (OPERATIONS.index(op), int(sparse))
            case Fill(value=value):
                return Opcode.FILL, (float_bits(value),)
            case VectorReduce(extent=extent, op=op):
                return Opcode.VECTOR_REDUCE, (OPERATIONS.index(op), extent)
            case MatrixReduce(extents=extents, op=op):
                return Opcode.MATRIX_REDUCE, (OPERATIONS.index(op), *extents)
            case Join(size=size):
                return Opcode.JOIN, (size,)
            case Split(size=size):
                return Opcode.SPLIT, (size,)
            case Sift(op=op, levels=levels):
                return (Opcode.SIFT_INTERSECT if op == "intersect" else Opcode.SIFT_UNION), (levels,)
            case Drop(inner=kind):
                return Opcode.DROP, (int(kind is Kind.VALUE),)
            case WriteLevel(tensor=tensor, level=level):
                return Opcode.WRITE_LEVEL, (
                    self.result(f"{tensor}.pos{level}", "pos"),
                    self.result(f"{tensor}.crd{level}", "crd"),
                )
            case WriteValues(tensor=tensor):
                return Opcode.WRITE_VALUES, (self.result(f"{tensor}.vals", "vals"),)
            case Fork(ways=ways):
                return Opcode.FORK, (ways,)
            case Buffer(depth=depth):
                return Opcode.BUFFER, (depth,)
            case Parallelize(ways=ways, level=level):
                return Opcode.PARALLELIZE, (ways, level)
            case Serialize(ways=ways, level=level):
                return Opcode.SERIALIZE, (ways, level)
            case _:
                assert_never(block)

    def stored(self, tensor: str) -> Storage:
        found = self.tensors.get(tensor)
        require(found is not None, ChipError, f"the graph reads {tensor}, of which no tensor was given")
        assert found is not None
        return found

    def level(self, tensor: str, level: int) -> tuple[NDArray[Any], ...]:
        """pos and crd of a compressed level."""
        stored = self.stored(tensor)
        kinds = stored.format.levels
        require(
            level < len(kinds) and kinds[level].name == "compressed",
            ChipError,
            f"the graph scans level {level} of {tensor} as compressed, but {tensor} is {stored.format.short}",
        )
        return stored.levels[level]

    def operand_level(self, tensor: str, level: int) -> tuple[int, int]:
        pos, crd = self.level(tensor, level)
        return (
            self.operand(f"{tensor}.pos{level}", "pos", pos),
            self.operand(f"{tensor}.crd{level}", "crd", crd),
        )

    def operand(self, name: str, role: Role, array: NDArray[Any]) -> int:
        if name not in self.known:
            self._add(Segment(name, role, len(array)), array)
        return self.known[name]

    def result(self, name: str, role: Role) -> int:
        require(name not in self.known, ChipError, f"{name} is written twice, or read and written")
        self._add(Segment(name, role, self.room, written=True), None)
        return self.known[name]

    def bits(self, tensor: str, level: int, size: int) -> int:
        """A level as bit vectors: for each fiber the reference of its first bit, then its words."""
        name = f"{tensor}.bits{level}"
        if name not in self.known:
            pos, crd = self.level(tensor, level)
            array = bit_vectors(pos, crd, size, self.fabric.word_bits)
            self._add(Segment(name, "bits", len(array)), array)
        return self.known[name]

    def _add(self, segment: Segment, array: NDArray[Any] | None) -> None:
        self.known[segment.name] = len(self.segments)
        self.segments.append(segment)
        self.arrays.append(array)


def bit_vectors(pos: NDArray[Any], crd: NDArray[Any], size: int, word_bits: int) -> NDArray[np.int64]:
    """Fibers of a compressed level of ``size`` coordinates as bit vectors, one after the other: the position
    of the fiber's first coordinate, then words of ``word_bits`` bits, the lowest bit first."""
    words = -(-size // word_bits)
    fibers = len(pos) - 1
    table = np.zeros((fibers, words + 1), np.int64)
    table[:, 0] = pos[:-1]
    of = np.repeat(np.arange(fibers), np.diff(pos))
    where = crd.astype(np.int64)
    np.bitwise_or.at(table, (of, 1 + where // word_bits), np.int64(1) << (where % word_bits))
    return table.ravel()


def float_bits(value: float) -> int:
    """The bits of a constant, which is a float32 in the configuration; ChipError where it is none."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    (back,) = struct.unpack("<f", struct.pack("<I", bits))
    require(
        back == value or value != value,  # noqa: PLR0124 (a NaN)
        ChipError,
        f"the constant {value!r} is no float32, which is all a configuration holds: the nearest is {back!r}",
    )
    return int(bits)
