"""A design: what every tile of a fabric is set to, without bits. Between a mapping and its words.

A wire of the fabric is named by the switch that drives it: the tile, the side it leaves by, and its track.
What leaves a tile by a side comes in at the neighbour there, on the same track.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.netlist import Opcode, Segment, Values

KINDS = (Kind.COORDINATE, Kind.REFERENCE, Kind.VALUE, Kind.REPEAT, Kind.BITS)
ROLES = ("pos", "crd", "vals", "bits")
VALUES: tuple[Values, ...] = ("bf16", "int16", "f32", "f64")
"""Words name these by their place: append, never reorder."""


class Side(IntEnum):
    NORTH = 0
    EAST = 1
    SOUTH = 2
    WEST = 3

    @property
    def step(self) -> tuple[int, int]:
        """Rows and columns to the neighbour on this side; row 0 is the northernmost."""
        return ((-1, 0), (0, 1), (1, 0), (0, -1))[self]

    @property
    def opposite(self) -> Side:
        return Side((self + 2) % 4)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    row: int
    column: int

    def beside(self, side: Side) -> Place:
        rows, columns = side.step
        return Place(self.row + rows, self.column + columns)

    def __str__(self) -> str:
        return f"({self.row}, {self.column})"


@dataclass(frozen=True, slots=True, order=True)
class FromTrack:
    """What comes in from a side."""

    side: Side
    track: int

    def __str__(self) -> str:
        return f"what comes in from the {self.side.name.lower()} on track {self.track}"


@dataclass(frozen=True, slots=True, order=True)
class FromCell:
    """An output of a cell on the same tile."""

    slot: int
    port: int

    def __str__(self) -> str:
        return f"output {self.port} of the cell in slot {self.slot}"


Source = FromTrack | FromCell


@dataclass(frozen=True, slots=True)
class Input:
    """``kind``: what the payloads of the stream are."""

    source: Source
    kind: Kind


@dataclass(frozen=True, slots=True)
class Placed:
    """A cell of a tile. ``name``: for reports; words do not carry it."""

    opcode: Opcode
    params: tuple[int, ...]
    inputs: tuple[Input, ...]
    name: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Out:
    """A track that leaves a tile."""

    side: Side
    track: int


@dataclass(frozen=True, slots=True)
class Tile:
    """``cells``: by slot, ascending; ``switches``: what drives each track that leaves, ascending."""

    cells: tuple[tuple[int, Placed], ...] = ()
    switches: tuple[tuple[Out, Source], ...] = ()


@dataclass(frozen=True, slots=True)
class Design:
    """``tiles``: those in use, ascending by place. Segments have no base: commands give it, per run."""

    tiles: tuple[tuple[Place, Tile], ...]
    segments: tuple[Segment, ...]
    values: Values

    def cells(self) -> Iterable[tuple[Place, int, Placed]]:
        """Every cell with its tile and slot."""
        return ((place, slot, cell) for place, tile in self.tiles for slot, cell in tile.cells)
