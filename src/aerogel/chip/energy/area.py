"""How large a fabric is: the parts of a tile, of a bank of the buffer, of the whole, by the table.

Derived, not laid out: registers, multiplexers and arithmetic are counted from the fabric's numbers (tracks,
queues, widths), what a datapath needs besides is stated here. Good for comparing fabrics; a factor of two
from any one chip. What surrounds the array (host, pads, I/O) is outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from aerogel.chip.energy.table import Table
from aerogel.chip.fabric.fabric import Fabric

_SIDES = 4
_FILE_BYTES = 64
"""Of a processing tile's register file, as Onyx has it."""
_CONFIGURATION_BITS = 512
"""Of a tile: 16 registers of 32 bits."""
_SIGNIFICAND = {"bf16": 8, "int16": 16, "f32": 24, "f64": 53}
_TILE_PORTS = 3
"""Streams that a tile takes, and as many that it sends."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One tile or bank. ``gates_um2``: of logic, at the chip's node, packed; ``memory_um2``: of its array;
    ``clocked_bits``: registers that a cycle clocks while it is in use."""

    gates_um2: float
    memory_um2: float
    memory_bits: int
    clocked_bits: int
    filled: float

    @property
    def um2(self) -> float:
        return self.gates_um2 / self.filled + self.memory_um2


@dataclass(frozen=True, slots=True)
class Area:
    """``processing``, ``memory``, ``bank``: one each; how many there are stands in the fabric."""

    fabric: Fabric
    node: float
    processing: Unit
    memory: Unit
    bank: Unit

    @property
    def _units(self) -> tuple[tuple[Unit, int], ...]:
        fabric = self.fabric
        counts = (fabric.processing_tiles, fabric.memory_tiles, fabric.buffer_banks)
        return tuple(zip((self.processing, self.memory, self.bank), counts, strict=True))

    @property
    def gates_mm2(self) -> float:
        """Of logic alone, packed: what leaks."""
        return sum(unit.gates_um2 * count for unit, count in self._units) / 1e6

    @property
    def memory_bits(self) -> int:
        return sum(unit.memory_bits * count for unit, count in self._units)

    @property
    def mm2(self) -> float:
        """Of tiles and buffer."""
        return sum(unit.um2 * count for unit, count in self._units) / 1e6

    @property
    def pitch_mm(self) -> float:
        """From a tile to its neighbour, tiles being squares of one size."""
        array = self._units[:2]
        return sqrt(sum(unit.um2 * count for unit, count in array) / sum(count for _, count in array)) / 1e3

    @property
    def height_mm(self) -> float:
        """Of the array."""
        return self.pitch_mm * self.fabric.rows

    @property
    def bank_side_mm(self) -> float:
        return sqrt(self.bank.um2) / 1e3

    def rows(self) -> tuple[tuple[str, int, float, float], ...]:
        """For a table: what, how many, mm2 each, mm2 together."""
        names = ("processing tile", "memory tile", "buffer bank")
        return tuple(
            (name, count, unit.um2 / 1e6, unit.um2 * count / 1e6)
            for name, (unit, count) in zip(names, self._units, strict=True)
        )


def area(fabric: Fabric, table: Table) -> Area:
    """Of a fabric, at the table's node."""
    bank_bits = fabric.buffer_bytes * 8 // fabric.buffer_banks
    return Area(
        fabric,
        table.node,
        _tile(fabric, table, "processing"),
        _tile(fabric, table, "memory"),
        # Ports, an address and a row of 64 bits, each way.
        _unit(table, registers=2 * (64 + 32), muxes=2 * 64, bits=bank_bits),
    )


def _tile(fabric: Fabric, table: Table, kind: Literal["processing", "memory"]) -> Unit:
    word = fabric.word_bits
    token = word + 1
    outputs = fabric.tracks * _SIDES
    # A hop's queue is split between the two switches at its ends; each output chooses among the other three
    # sides and the tile's own streams, each of these among all tracks.
    switch = outputs * token * fabric.fifo_depth // 2
    muxes = outputs * token * (_SIDES - 1 + _TILE_PORTS) + _TILE_PORTS * token * outputs
    queues = _TILE_PORTS * token * (fabric.fifo_depth + fabric.input_queue)
    # Which place of an input's own queue is its head.
    muxes += _TILE_PORTS * token * fabric.input_queue
    if kind == "processing":
        still = _FILE_BYTES * 8 + _CONFIGURATION_BITS
        datapath, bits = 3 * word, 0
        extra = _datapath(fabric, table)
    else:
        # Two address counters with their bounds, and a row of four words each way.
        still, bits = _CONFIGURATION_BITS, fabric.memory_words * word
        datapath = (4 + 2 * 4) * word
        extra = (2 * table.at("area/adder", 1.0) + 4 * table.at("area/comparator", 1.0)) * word
    clocked = switch + queues + datapath
    return _unit(table, registers=clocked, still=still, muxes=muxes, extra=extra, bits=bits)


def _datapath(fabric: Fabric, table: Table) -> float:
    """um2 of a multiplier, adders and comparators for values and for words; aligning and normalising a float
    is taken as two adders."""
    word, significand = fabric.word_bits, _SIGNIFICAND[fabric.values]
    multiplier = max(word, significand)
    return (
        table.at("area/multiplier", 1.0) * multiplier**2
        + table.at("area/adder", 1.0) * (2 * word + 3 * significand)
        + table.at("area/comparator", 1.0) * 2 * word
    )


def _unit(table: Table, *, registers: int, muxes: int, bits: int, still: int = 0, extra: float = 0.0) -> Unit:
    gates = table.at("area/register", 1.0) * (registers + still) + table.at("area/multiplexer", 1.0) * muxes
    return Unit(
        gates + extra, table.at("area/memory", 1.0) * bits, bits, registers, table.at("area/filled", 1.0)
    )
