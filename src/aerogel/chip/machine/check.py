"""Whether a netlist and its arrays are what the simulator takes: everything that can be known before a
run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.affine import Affine
from aerogel.chip.machine.memory import segments_of, vector_capacity, writes
from aerogel.chip.machine.netlist import Cell, Netlist, Opcode, Segment
from aerogel.chip.machine.opcodes import FUNCTIONS, OPCODES, OPERATIONS
from aerogel.chip.machine.ports import port_counts
from aerogel.core.errors import ChipError, require

MOST_LATENCY, MOST_CAPACITY, MOST_PORTS, MOST_LEVEL = 4096, 1 << 20, 16, 14
_WORD_LIMIT = 1 << 40
_ROLES = {"pos": ("pos",), "crd": ("crd",), "vals": ("vals",), "bits": ("bits",)}


def check(netlist: Netlist, arrays: Sequence[NDArray[Any] | None], fabric: Fabric) -> tuple[int, ...]:
    """How many words each segment has, or has room for; ChipError for anything a run could stumble over."""
    require(
        len(arrays) == len(netlist.segments),
        ChipError,
        f"{len(arrays)} arrays for {len(netlist.segments)} segments: give one for each, None for a result",
    )
    words = tuple(_words(netlist, number, array) for number, array in enumerate(arrays))
    _check_structure(replace(netlist, segments=tuple(map(_unbound, netlist.segments))), fabric)
    for cell in netlist.cells:
        _check_dense(netlist, cell, words)
    return words


def _unbound(segment: Segment) -> Segment:
    return replace(segment, words=0, base=0)


@lru_cache(maxsize=8)
def _check_structure(netlist: Netlist, fabric: Fabric) -> None:
    """What does not depend on where segments are and how long: the same for every piece of a tensor."""
    for cell in netlist.cells:
        _check_cell(netlist, cell, fabric)
    _check_channels(netlist)


def _words(netlist: Netlist, number: int, array: NDArray[Any] | None) -> int:
    segment = netlist.segments[number]
    what = f"segment {number} ({segment.name})"
    if array is None:
        require(segment.written, ChipError, f"{what} is read, but has no array")
        require(0 <= segment.words < _WORD_LIMIT, ChipError, f"{what} has room for {segment.words} words")
        return segment.words
    require(not segment.written, ChipError, f"{what} is a result: give None for its array")
    require(array.ndim == 1, ChipError, f"{what}: its array has {array.ndim} dimensions: give 1")
    floats = segment.role == "vals"
    require(
        array.dtype.kind in ("fiub" if floats else "iu"),
        ChipError,
        f"{what}: its array is of {array.dtype}: give {'numbers' if floats else 'whole numbers'}",
    )
    if not floats and len(array):
        low, high = int(array.min()), int(array.max())
        bound = 1 << 62 if segment.role != "bits" else 1 << 63
        require(low >= 0 and high < bound, ChipError, f"{what} has words from {low} to {high}")
    return len(array)


def _check_cell(netlist: Netlist, cell: Cell, fabric: Fabric) -> None:
    spec = OPCODES.get(cell.opcode)
    require(spec is not None, ChipError, f"{cell.name}: {cell.opcode} is no opcode")
    assert spec is not None
    wanted = len(spec.parameters)
    require(
        len(cell.params) == wanted,
        ChipError,
        f"{cell.name} ({cell.opcode.name}) has {len(cell.params)} parameters: it takes {wanted}",
    )
    for parameter, value in zip(spec.parameters, cell.params, strict=True):
        most = len(netlist.segments) if parameter.segment else 1 << parameter.bits
        require(0 <= value < most, ChipError, f"{cell.name}: {parameter.name} is {value}, not below {most}")
        if parameter.name == "op":
            names = FUNCTIONS if cell.opcode is Opcode.ALU_FUNCTION else OPERATIONS
            require(value < len(names), ChipError, f"{cell.name}: there is no operation {value}")
    counts = port_counts(cell.opcode, cell.params)
    require(
        (len(cell.inputs), len(cell.outputs)) == counts and max(counts) <= MOST_PORTS,
        ChipError,
        f"{cell.name} ({cell.opcode.name}) has {len(cell.inputs)} inputs and {len(cell.outputs)} outputs: as "
        f"it is set it has {counts[0]} and {counts[1]}",
    )
    _check_segments(netlist, cell)
    _check_workspace(cell, fabric)


def _check_segments(netlist: Netlist, cell: Cell) -> None:
    roles = [p.name for p in OPCODES[cell.opcode].parameters if p.segment]
    for role, number in zip(roles, segments_of(cell), strict=True):
        segment = netlist.segments[number]
        require(
            segment.role == role,
            ChipError,
            f"{cell.name}: its {role} is segment {number} ({segment.name}), which holds {segment.role}",
        )
        require(
            segment.written == writes(cell),
            ChipError,
            f"{cell.name} {'stores' if writes(cell) else 'reads'} segment {number} ({segment.name}), which "
            f"is {'a result' if segment.written else 'an operand'}",
        )


def _check_workspace(cell: Cell, fabric: Fabric) -> None:
    most = vector_capacity(fabric)
    match cell.opcode:
        case Opcode.VECTOR_REDUCE:
            extent = cell.params[1]
        case Opcode.MATRIX_REDUCE:
            extent = cell.params[1] * cell.params[2]
        case Opcode.BUFFER:
            extent, most = cell.params[0], fabric.memory_words
            require(extent > 0, ChipError, f"{cell.name} is a queue of no tokens: give its depth")
        case _:
            return
    require(
        extent <= most,
        ChipError,
        f"{cell.name} needs {extent} words, but a memory tile of {fabric.name} has {most} for it: cut the "
        "operands over this index",
    )


def _check_dense(netlist: Netlist, cell: Cell, words: tuple[int, ...]) -> None:
    match cell.opcode:
        case Opcode.ADDRESS:
            walk, segment = Affine.of(cell.params[1:]), cell.params[0]
            require(
                0 <= walk.low and walk.high < words[segment],
                ChipError,
                f"{cell.name} walks from word {walk.low} to {walk.high} of segment {segment} "
                f"({netlist.segments[segment].name}), which has {words[segment]}",
            )
        case Opcode.MULTIPLY_ADD:
            require(cell.params[0] > 0, ChipError, f"{cell.name} sums no products: its count is 0")
        case _:
            return


def _check_channels(netlist: Netlist) -> None:
    count = len(netlist.channels)
    for ends, what in ((_ends(netlist, out=False), "reader"), (_ends(netlist, out=True), "source")):
        found = np.zeros(count, np.int64)
        for number, name in ends:
            require(0 <= number < count, ChipError, f"{name} names channel {number}, of {count}")
            found[number] += 1
        for number in np.flatnonzero(found != 1).tolist():
            raise ChipError(f"channel {number} has {int(found[number])} {what}s: it needs one")
    for number, channel in enumerate(netlist.channels):
        require(
            1 <= channel.latency <= MOST_LATENCY
            and 1 <= channel.capacity <= MOST_CAPACITY
            and channel.hops >= 0,
            ChipError,
            f"channel {number} has latency {channel.latency}, capacity {channel.capacity} and "
            f"{channel.hops} hops",
        )


def _ends(netlist: Netlist, *, out: bool) -> list[tuple[int, str]]:
    return [
        (number, cell.name)
        for cell in netlist.cells
        for number in (cell.outputs if out else cell.inputs)
        if not (out and number == -1)
    ]
