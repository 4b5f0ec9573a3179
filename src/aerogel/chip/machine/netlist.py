"""A netlist: cells set to an opcode and parameters, joined by channels. What the fabric is configured to.

A graph is assembled into an ideal netlist (``assemble.py``: every channel one hop); mapping places and routes
it; configuration words say it, and are decoded into the netlist that the simulator runs. Two netlists with
the same cells and channels behave alike, wherever they came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from aerogel.chip.graph.streams import Kind

Values = Literal["bf16", "int16", "f32", "f64"]
"""What values are, everywhere on the machine: every result of an operation is rounded to it, ties to even;
an int16 that overflows is reported, never wrapped in silence. ``f64`` is no hardware: it is for tests."""


class Opcode(IntEnum):
    """What a cell does; each is one block of ``graph.blocks``; 27 and 28 are of dense mode.

    Numbers are part of the configuration's layout: never renumber one.
    """

    ROOT = 0
    SCAN_COMPRESSED = 1
    SCAN_DENSE = 2
    SCAN_BITS = 3
    REPEAT = 4
    INTERSECT = 5
    UNION = 6
    BIT_INTERSECT = 7
    BIT_UNION = 8
    BIT_EXPAND = 9
    LOCATE = 10
    ARRAY = 11
    ALU = 12
    ALU_CONSTANT = 13
    ALU_FUNCTION = 14
    REDUCE = 15
    VECTOR_REDUCE = 16
    MATRIX_REDUCE = 17
    DROP = 18
    WRITE_LEVEL = 19
    WRITE_VALUES = 20
    FORK = 21
    BUFFER = 22
    PARALLELIZE = 23
    SERIALIZE = 24
    SCAN_SKIP = 25
    INTERSECT_SKIP = 26
    ADDRESS = 27
    MULTIPLY_ADD = 28
    JOIN = 29
    SPLIT = 30
    SIFT_INTERSECT = 31
    SIFT_UNION = 32
    FILL = 33


@dataclass(frozen=True, slots=True)
class Cell:
    """``inputs`` and ``outputs``: numbers of channels in the order of the block's ports; -1: an output that
    nobody reads. ``params``: as ``opcodes.py`` lists them for the opcode. ``name``: in reports."""

    opcode: Opcode
    params: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Channel:
    """A queue from one cell to another. A token put in at cycle t can be taken at ``t + latency`` at the
    earliest (1 or more); ``capacity`` tokens fit, those under way included. ``hops``: between tiles."""

    kind: Kind
    capacity: int = 2
    latency: int = 1
    hops: int = 1


@dataclass(frozen=True, slots=True)
class Segment:
    """An array in the global buffer. ``role``: ``pos`` and ``crd`` are unsigned words, ``vals`` values.

    ``base``: its first word, or None while it has no place. ``words``: how many it holds; of a result, how
    many there is room for, and a run that needs more stops with a report.
    """

    name: str
    role: Literal["pos", "crd", "vals", "bits"]
    words: int
    written: bool = False
    base: int | None = None


@dataclass(frozen=True, slots=True)
class Netlist:
    """``segments``: numbered; cells name them by number in their parameters."""

    cells: tuple[Cell, ...]
    channels: tuple[Channel, ...]
    segments: tuple[Segment, ...]
    values: Values = "bf16"
