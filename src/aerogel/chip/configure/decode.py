"""Words back to the design they say; what they cannot mean is refused, naming the word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Never

from aerogel.chip.configure.design import (
    ROLES,
    Design,
    FromCell,
    Input,
    Out,
    Place,
    Placed,
    Side,
    Source,
    Tile,
)
from aerogel.chip.configure.layout import (
    FIRST_INPUT,
    LAST_INPUT,
    SEGMENTS_ROW,
    SLOTS,
    SWITCH,
    TRACKS,
    VALID,
    Address,
    fields,
    kind_of,
    source_of,
)
from aerogel.chip.configure.words import Pair, unframed
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.netlist import Opcode, Segment
from aerogel.chip.machine.opcodes import FUNCTIONS, OPCODES, OPERATIONS
from aerogel.chip.machine.ports import port_counts
from aerogel.core.errors import ChipError, refuse

Names = Mapping[tuple[Place, int], str]
"""What cells are called, by tile and slot."""


@dataclass
class _Registers:
    """What was read of a tile so far."""

    cells: dict[int, dict[int, Pair]] = field(default_factory=dict[int, dict[int, Pair]])
    switches: dict[Out, Source] = field(default_factory=dict[Out, Source])


def decode(words: Sequence[int], fabric: Fabric, names: Names | None = None) -> Design:
    """The design; ChipError, saying which word, for anything that is not exactly one."""
    tiles: dict[Place, _Registers] = {}
    segments: list[Segment] = []
    for pair in unframed(words, fabric):
        address = Address.of(pair.address)
        if address.row == SEGMENTS_ROW:
            segments.append(_segment(pair, address, len(segments)))
            continue
        place = Place(address.row, address.column)
        if not (place.row < fabric.rows and place.column < fabric.columns):
            _wrong(
                pair, f"there is no tile {place} on {fabric.name}, which has {fabric.rows} x {fabric.columns}"
            )
        registers = tiles.setdefault(place, _Registers())
        if address.feature == SWITCH:
            out = _out(pair, address, place, fabric)
            registers.switches[out] = _source(pair, fabric, kinds=False)
        elif address.feature < SLOTS:
            registers.cells.setdefault(address.feature, {})[address.register] = pair
        else:
            _wrong(pair, f"a tile has no feature {address.feature:#x}")
    reader = _Reader(fabric, tuple(segments), {} if names is None else names)
    return Design(tuple((p, reader.tile(p, tiles[p])) for p in sorted(tiles)), tuple(segments), fabric.values)


@dataclass(frozen=True, slots=True)
class _Reader:
    fabric: Fabric
    segments: tuple[Segment, ...]
    names: Names

    def tile(self, place: Place, registers: _Registers) -> Tile:
        cells = [(s, self.cell(place, s, registers.cells[s])) for s in sorted(registers.cells)]
        return Tile(tuple(cells), tuple(sorted(registers.switches.items())))

    def cell(self, place: Place, slot: int, registers: dict[int, Pair]) -> Placed:
        first = registers.get(0)
        if first is None:
            _wrong(next(iter(registers.values())), f"slot {slot} of tile {place} has no opcode")
        opcode = _opcode(first)
        host = OPCODES[opcode].host
        if host != ("memory" if self.fabric.is_memory(place.column) else "processing"):
            _wrong(first, f"{opcode.name} needs a {host} tile, which {place} is not")
        params = self.params(opcode, registers, first)
        inputs = self.inputs(registers, port_counts(opcode, params)[0], first)
        known = {0, *(field.register for field in fields(opcode))}
        for register, pair in registers.items():
            if register not in known and not FIRST_INPUT <= register <= LAST_INPUT:
                _wrong(pair, f"{opcode.name} has no register {register}")
        name = self.names.get((place, slot), f"{opcode.name.lower()}@{place.row}.{place.column}.{slot}")
        return Placed(opcode, params, inputs, name)

    def params(self, opcode: Opcode, registers: dict[int, Pair], first: Pair) -> tuple[int, ...]:
        found: list[int] = []
        used: dict[int, int] = {}
        for spec, where in zip(OPCODES[opcode].parameters, fields(opcode), strict=True):
            pair = registers.get(where.register)
            if pair is None:
                _wrong(
                    first, f"register {where.register}, the {where.name} of this {opcode.name}, is not set"
                )
            value = where.get(pair.data)
            if spec.segment and value >= len(self.segments):
                _wrong(pair, f"the {where.name} is segment {value}, but {len(self.segments)} are declared")
            if spec.name == "op" and value >= _operations(opcode):
                _wrong(pair, f"{value} is no operation of {opcode.name}")
            found.append(value)
            used[where.register] = used.get(where.register, 0) | where.put((1 << where.bits) - 1)
        for register, bits in used.items():
            if registers[register].data & ~bits:
                _wrong(
                    registers[register], f"{opcode.name} has no parameter in bits {~bits & 0xFFFFFFFF:#010x}"
                )
        return tuple(found)

    def inputs(self, registers: dict[int, Pair], count: int, first: Pair) -> tuple[Input, ...]:
        given = {r - FIRST_INPUT: p for r, p in registers.items() if FIRST_INPUT <= r <= LAST_INPUT}
        for port, pair in given.items():
            if port >= count:
                _wrong(pair, f"input {port} of a cell that has {count}")
        for port in range(count):
            if port not in given:
                _wrong(first, f"input {port} of this cell is connected to nothing")
        return tuple(
            Input(_source(given[port], self.fabric, kinds=True), _kind(given[port])) for port in range(count)
        )


def _operations(opcode: Opcode) -> int:
    return len(FUNCTIONS if opcode is Opcode.ALU_FUNCTION else OPERATIONS)


def _opcode(pair: Pair) -> Opcode:
    number = pair.data & 0xFF
    if pair.data & ~0xFF != VALID or number not in set(Opcode):
        _wrong(pair, "this is no opcode")
    opcode = Opcode(number)
    if OPCODES[opcode].host == "switch":
        _wrong(pair, f"{opcode.name} lives in switches, not on a tile")
    return opcode


def _kind(pair: Pair) -> Kind:
    try:
        return kind_of(pair.data)
    except ChipError as error:
        _wrong(pair, str(error))


def _source(pair: Pair, fabric: Fabric, *, kinds: bool) -> Source:
    try:
        source = source_of(pair.data)
    except ChipError:
        _wrong(pair, "this is no source of a stream")
    unused = 0 if kinds else 0x7000
    if pair.data & unused:
        _wrong(pair, "a switch does not know the kind of a stream")
    if not isinstance(source, FromCell) and source.track >= fabric.tracks:
        _wrong(pair, f"track {source.track}: {fabric.name} has {fabric.tracks} each way")
    return source


def _out(pair: Pair, address: Address, place: Place, fabric: Fabric) -> Out:
    side, track = divmod(address.register, TRACKS)
    out = Out(Side(side), track)
    if track >= fabric.tracks:
        _wrong(pair, f"track {track}: {fabric.name} has {fabric.tracks} each way")
    beside = place.beside(out.side)
    if not (0 <= beside.row < fabric.rows and 0 <= beside.column < fabric.columns):
        _wrong(pair, f"tile {place} has no neighbour to the {out.side.name.lower()}")
    return out


def _segment(pair: Pair, address: Address, number: int) -> Segment:
    if (address.column, address.feature, address.register) != (0, number, 0):
        _wrong(pair, f"segment {number} should be declared here")
    if pair.data & ~(VALID | 7) or not pair.data & VALID:
        _wrong(pair, "this declares no segment")
    return Segment(f"segment {number}", ROLES[pair.data & 3], 0, bool(pair.data & 4))


def _wrong(pair: Pair, what: str) -> Never:
    refuse(ChipError, f"configuration word {pair.at}, {pair.address:#010x} <- {pair.data:#010x}: {what}")


def named(design: Design, segments: Sequence[str]) -> Design:
    """The design with names for its segments."""
    pairs = zip(design.segments, segments, strict=True)
    return replace(design, segments=tuple(replace(segment, name=name) for segment, name in pairs))
