"""Small netlists that tests make wrong, stuck or slow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.netlist import Cell, Channel, Netlist, Opcode, Segment, Values
from aerogel.chip.machine.opcodes import OPERATIONS

Arrays = tuple[NDArray[Any] | None, ...]
_REF, _CRD, _VAL = Kind.REFERENCE, Kind.COORDINATE, Kind.VALUE


def vector(
    pos: list[int], crd: list[int], vals: list[float], *, room: int = 64, values: Values = "f64"
) -> tuple[Netlist, Arrays]:
    """Root, a scanner, an array, writers of coordinates and values: a sparse vector copied."""
    segments = (
        Segment("A.pos0", "pos", len(pos)),
        Segment("A.crd0", "crd", len(crd)),
        Segment("A.vals", "vals", len(vals)),
        Segment("X.pos0", "pos", room, written=True),
        Segment("X.crd0", "crd", room, written=True),
        Segment("X.vals", "vals", room, written=True),
    )
    cells = (
        Cell(Opcode.ROOT, (), (), (0,), "root"),
        Cell(Opcode.SCAN_COMPRESSED, (0, 1), (0,), (1, 2), "scan"),
        Cell(Opcode.ARRAY, (2,), (2,), (3,), "array"),
        Cell(Opcode.WRITE_LEVEL, (3, 4), (1,), (), "write_crd"),
        Cell(Opcode.WRITE_VALUES, (5,), (3,), (), "write_val"),
    )
    channels = tuple(Channel(kind) for kind in (_REF, _CRD, _REF, _VAL))
    arrays = (np.array(pos, np.int64), np.array(crd, np.int64), np.array(vals, np.float64), None, None, None)
    return Netlist(cells, channels, segments, values), arrays


def shares(count: int, *, buffer: int = 0) -> tuple[Netlist, Arrays]:
    """Values divided by their sum: they wait for it in a queue of ``buffer`` tokens, or in a channel."""
    segments = (Segment("A.vals", "vals", count), Segment("X.vals", "vals", 64, written=True))
    straight = 4 if not buffer else 10
    cells = [
        Cell(Opcode.ROOT, (), (), (0,), "root"),
        Cell(Opcode.SCAN_DENSE, (count,), (0,), (1, 2), "scan"),
        Cell(Opcode.ARRAY, (0,), (2,), (3,), "array"),
        Cell(Opcode.FORK, (2,), (3,), (4, 5), "fork"),
        Cell(Opcode.REDUCE, (0, 0), (5,), (6,), "sum"),
        Cell(Opcode.REPEAT, (), (9, 6), (7,), "repeat"),
        Cell(Opcode.ALU, (OPERATIONS.index("div"),), (straight, 7), (8,), "share"),
        Cell(Opcode.WRITE_VALUES, (1,), (8,), (), "write"),
        # Coordinates wait for the sum as well, in a queue long enough.
        Cell(Opcode.BUFFER, (64,), (1,), (9,), "buffer_crd"),
    ]
    kinds = [_REF, _CRD, _REF, _VAL, _VAL, _VAL, _VAL, _VAL, _VAL, _CRD]
    if buffer:
        cells.append(Cell(Opcode.BUFFER, (buffer,), (4,), (10,), "buffer"))
        kinds.append(_VAL)
    array = np.arange(1.0, count + 1)
    return Netlist(tuple(cells), tuple(map(Channel, kinds)), segments, "f64"), (array, None)
