"""Which arrays a memory tile holds whole, and what the others cost: the memory model. See ADR 0027.

- A cell whose segments fit its tile together (``Fabric.memory_words``) holds them: they are loaded before the
  start, or stored after the end, and every access takes no time of its own.
- Otherwise the tile is a window: for each segment a direct-mapped store of lines of ``line_words`` words. A
  line comes over the tile's own link, one word a cycle, after ``buffer_latency`` cycles; all tiles together
  get ``links`` words a cycle, in the order they ask (in one cycle: cells in their order). Where a walk goes
  from a line to the next, the one after it is asked for as well. Word w of a line can be read w cycles after
  its first.
- A result that does not fit is sent line by line, over a link of its own at the same pace; two lines may
  wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.netlist import Cell, Netlist, Opcode
from aerogel.chip.machine.opcodes import OPCODES
from aerogel.core.errors import ChipError, require

_LEAST_LINES = 4
"""Of a segment's window: two that are read together, and the one that each asks for."""
_OCCUPANCY = 9
"""A word in a reducer's memory has one more bit, whether it is in use; memories have one for each byte."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the segments of a cell are. ``lines``: of each segment's window, 0 where the tile holds them
    whole."""

    segments: tuple[int, ...]
    resident: bool
    lines: int


def vector_capacity(fabric: Fabric) -> int:
    """The largest extent a ``VECTOR_REDUCE`` can have, and the largest product of a ``MATRIX_REDUCE``'s."""
    return fabric.memory_words * (_OCCUPANCY - 1) // _OCCUPANCY


def segments_of(cell: Cell) -> tuple[int, ...]:
    """The segments a cell names, in the order of its parameters."""
    pairs = zip(OPCODES[cell.opcode].parameters, cell.params, strict=True)
    return tuple(value for parameter, value in pairs if parameter.segment)


def writes(cell: Cell) -> bool:
    """Whether its segments are results."""
    return cell.opcode in (Opcode.WRITE_LEVEL, Opcode.WRITE_VALUES)


def places(netlist: Netlist, words: tuple[int, ...], fabric: Fabric) -> tuple[Place, ...]:
    """The place of each cell's segments; ``words``: of each segment, of a result the room there is."""
    found: list[Place] = []
    for cell in netlist.cells:
        segments = segments_of(cell)
        resident = sum(words[s] for s in segments) <= fabric.memory_words
        lines = 0
        if segments and not resident:
            lines = fabric.memory_words // (len(segments) * fabric.line_words)
            require(
                lines >= _LEAST_LINES,
                ChipError,
                f"{cell.name} needs windows on {len(segments)} arrays, but {fabric.memory_words} "
                f"words of memory hold {lines} lines of {fabric.line_words} words for each: "
                f"give {_LEAST_LINES} or more",
            )
        found.append(Place(segments, resident, lines))
    return tuple(found)


def transfer(words: list[int], fabric: Fabric) -> int:
    """Cycles to move so many words between the global buffer and each of some tiles, all at once."""
    total = sum(words)
    if not total:
        return 0
    return fabric.buffer_latency + max(*words, -(-total // fabric.links))
