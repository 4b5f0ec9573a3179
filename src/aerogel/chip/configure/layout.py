"""Which bits say what: the registers of a tile, made from the table of opcodes.

A configuration is a list of (address, data) pairs of 32 bits. An address is ``row << 24 | column << 16 |
feature << 8 | register``. Features 0 to 15 of a tile are its cells, by slot; feature 0x80 its switches. Row
0xFF is no tile: there the segments are declared.

    cell, register 0        opcode in bits 0-7, bit 31 set
    cell, registers 1-15    the parameters in their order, each in the lowest free bits that hold it whole
    cell, registers 64-127  where input ``register - 64`` comes from: a source, with its kind in bits 12-14
    switch, register n      what drives the track that leaves by side ``n // 64``, track ``n % 64``: a source
    row 0xFF, column 0, feature s, register 0
                            segment s: its role in bits 0-1, bit 2 where it is written, bit 31 set

A source: bits 0-1 say which. 1: what comes in from side (bits 2-3) on a track (bits 4-11). 2: output port
(bits 6-11) of the cell in slot (bits 2-5) of the same tile. Bit 31 is set. All other bits are 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from aerogel.chip.configure.design import KINDS, FromCell, FromTrack, Side, Source
from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.machine.opcodes import OPCODES
from aerogel.core.errors import ChipError, require

WORD = 32
VALID = 1 << 31
SWITCH, SEGMENTS_ROW = 0x80, 0xFF
FIRST_PARAMETER, FIRST_INPUT, LAST_INPUT = 1, 64, 127
SLOTS, TRACKS, PORTS, MOST_SEGMENTS = 16, 64, 64, 256
_TRACK, _CELL = 1, 2


@dataclass(frozen=True, slots=True)
class Field:
    """``bits`` bits of a register, from bit ``low`` on."""

    name: str
    register: int
    low: int
    bits: int

    def put(self, value: int) -> int:
        return value << self.low

    def get(self, word: int) -> int:
        return word >> self.low & ((1 << self.bits) - 1)


@cache
def fields(opcode: Opcode) -> tuple[Field, ...]:
    """Where each parameter of an opcode is."""
    found: list[Field] = []
    register, low = FIRST_PARAMETER, 0
    for parameter in OPCODES[opcode].parameters:
        if low + parameter.bits > WORD:
            register, low = register + 1, 0
        found.append(Field(parameter.name, register, low, parameter.bits))
        low += parameter.bits
    return tuple(found)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    row: int
    column: int
    feature: int
    register: int

    @property
    def word(self) -> int:
        return self.row << 24 | self.column << 16 | self.feature << 8 | self.register

    @staticmethod
    def of(word: int) -> Address:
        return Address(word >> 24, word >> 16 & 0xFF, word >> 8 & 0xFF, word & 0xFF)


def source_word(source: Source) -> int:
    match source:
        case FromTrack(side, track):
            return VALID | _TRACK | side << 2 | track << 4
        case FromCell(slot, port):
            return VALID | _CELL | slot << 2 | port << 6


def source_of(word: int) -> Source:
    """ChipError for bits that are no source; those of the kind of a stream are not looked at."""
    which = word & 3
    require(
        word & VALID and which in (_TRACK, _CELL) and not word & ~(VALID | 0x7FFF), ChipError, "no source"
    )
    if which == _TRACK:
        return FromTrack(Side(word >> 2 & 3), word >> 4 & 0xFF)
    return FromCell(word >> 2 & 0xF, word >> 6 & 0x3F)


def kind_bits(kind: Kind) -> int:
    return KINDS.index(kind) << 12


def kind_of(word: int) -> Kind:
    """ChipError where bits 12-14 number no kind of stream."""
    number = word >> 12 & 7
    require(number < len(KINDS), ChipError, f"{number} is no kind of stream")
    return KINDS[number]


def table() -> str:
    """The registers of every opcode, a line for each parameter: the layout, for people."""
    lines = ["opcode              number  parameter   register  bits"]
    for opcode in OPCODES:
        lines.append(f"{opcode.name:<20}{opcode.value:>6}")
        for field in fields(opcode):
            span = f"{field.low}-{field.low + field.bits - 1}"
            lines.append(f"{'':<28}{field.name:<12}{field.register:>8}  {span}")
    return "\n".join(lines)
