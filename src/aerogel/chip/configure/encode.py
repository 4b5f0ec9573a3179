"""A design as words."""

from __future__ import annotations

from collections.abc import Iterator

from aerogel.chip.configure.design import ROLES, Design, Place, Placed, Source, Tile
from aerogel.chip.configure.layout import (
    FIRST_INPUT,
    MOST_SEGMENTS,
    PORTS,
    SEGMENTS_ROW,
    SLOTS,
    SWITCH,
    TRACKS,
    VALID,
    Address,
    fields,
    kind_bits,
    source_word,
)
from aerogel.chip.configure.words import Pair, framed
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.netlist import Segment
from aerogel.core.errors import ChipError, require


def encode(design: Design, fabric: Fabric) -> tuple[int, ...]:
    """The configuration's words; ChipError for what no register can say."""
    require(
        fabric.rows < SEGMENTS_ROW and fabric.columns <= 256 and fabric.tracks <= TRACKS,
        ChipError,
        f"{fabric.name} is too large for configuration words, which address up to 254 rows, 256 columns and "
        f"{TRACKS} tracks",
    )
    require(
        len(design.segments) <= MOST_SEGMENTS,
        ChipError,
        f"{len(design.segments)} segments, but parameters can name {MOST_SEGMENTS}: use fewer copies",
    )
    pairs = [pair for place, tile in design.tiles for pair in _tile(place, tile)]
    pairs += [_segment(number, segment) for number, segment in enumerate(design.segments)]
    return framed(pairs, fabric)


def _tile(place: Place, tile: Tile) -> Iterator[Pair]:
    for slot, cell in tile.cells:
        require(slot < SLOTS, ChipError, f"tile {place} has a cell in slot {slot}: there are {SLOTS}")
        yield from _cell(place, slot, cell)
    for out, source in tile.switches:
        _check_source(source, f"tile {place}")
        yield _pair(place, SWITCH, out.side * TRACKS + out.track, source_word(source))


def _cell(place: Place, slot: int, cell: Placed) -> Iterator[Pair]:
    where = cell.name or f"slot {slot} of tile {place}"
    yield _pair(place, slot, 0, VALID | cell.opcode)
    wanted = fields(cell.opcode)
    require(
        len(cell.params) == len(wanted),
        ChipError,
        f"{where}: {cell.opcode.name} takes {len(wanted)} parameters, but has {len(cell.params)}",
    )
    registers: dict[int, int] = {}
    for field, value in zip(wanted, cell.params, strict=True):
        require(
            0 <= value < 1 << field.bits,
            ChipError,
            f"{where}: {field.name} is {value}, which {field.bits} bits do not hold",
        )
        registers[field.register] = registers.get(field.register, 0) | field.put(value)
    yield from (_pair(place, slot, register, data) for register, data in registers.items())
    for port, given in enumerate(cell.inputs):
        _check_source(given.source, where)
        yield _pair(place, slot, FIRST_INPUT + port, source_word(given.source) | kind_bits(given.kind))


def _check_source(source: Source, where: str) -> None:
    words = f"{where} takes {source}, which no register can say"
    require(getattr(source, "slot", 0) < SLOTS and getattr(source, "port", 0) < PORTS, ChipError, words)
    require(getattr(source, "track", 0) < TRACKS, ChipError, words)


def _segment(number: int, segment: Segment) -> Pair:
    data = VALID | ROLES.index(segment.role) | segment.written << 2
    return Pair(Address(SEGMENTS_ROW, 0, number, 0).word, data)


def _pair(place: Place, feature: int, register: int, data: int) -> Pair:
    return Pair(Address(place.row, place.column, feature, register).word, data)
