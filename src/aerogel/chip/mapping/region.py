"""A rectangle of tiles, and how many of each kind it has."""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.netlist import Cell, Opcode
from aerogel.chip.machine.opcodes import OPCODES


@dataclass(frozen=True, slots=True)
class Needs:
    """Tiles, by kind."""

    memory: int
    processing: int

    def within(self, other: Needs) -> bool:
        """Whether these are no more than those."""
        return self.memory <= other.memory and self.processing <= other.processing


@dataclass(frozen=True, slots=True)
class Region:
    """``rows`` x ``columns`` tiles of ``fabric``, the first in row ``row`` and column ``column``."""

    fabric: Fabric
    row: int
    column: int
    rows: int
    columns: int

    def tile_columns(self, *, memory: bool) -> list[int]:
        """Its columns of memories, or of processing tiles."""
        columns = range(self.column, self.column + self.columns)
        return [c for c in columns if self.fabric.is_memory(c) is memory]

    @property
    def has(self) -> Needs:
        memories = len(self.tile_columns(memory=True))
        return Needs(memories * self.rows, (self.columns - memories) * self.rows)


def whole(fabric: Fabric) -> Region:
    """All of a fabric."""
    return Region(fabric, 0, 0, fabric.rows, fabric.columns)


def needs(cells: tuple[Cell, ...]) -> Needs:
    """The tiles that cells take, one each; forks are in the switches and take none."""
    hosts = [OPCODES[cell.opcode].host for cell in cells if cell.opcode is not Opcode.FORK]
    return Needs(hosts.count("memory"), hosts.count("processing"))


def on_memory(cell: Cell) -> bool:
    """Whether a cell takes a memory tile."""
    return OPCODES[cell.opcode].host == "memory"
