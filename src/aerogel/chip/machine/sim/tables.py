"""A netlist as the tables that the simulator's machine code runs, and what it leaves in them as an
outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.streams import DONE as DONE_TOKEN
from aerogel.chip.graph.streams import EMPTY as EMPTY_TOKEN
from aerogel.chip.graph.streams import Kind, Stop, Token
from aerogel.chip.machine.affine import LOOPS, Affine
from aerogel.chip.machine.arithmetic import filled, identity
from aerogel.chip.machine.memory import Place, places
from aerogel.chip.machine.netlist import Cell, Channel, Netlist, Opcode, Values
from aerogel.chip.machine.opcodes import OPERATIONS
from aerogel.chip.machine.outcome import Event
from aerogel.chip.machine.sim.codes import ATTENTIVE
from aerogel.chip.machine.sim.layout import (
    ANY,
    CELL,
    CHANNEL,
    DONE,
    EMPTY,
    EVENT,
    FOR_ROOM,
    LEVEL,
    PORT,
    SLOT,
    STATE,
    STOP,
    VALUES,
    C,
    H,
    S,
)
from aerogel.chip.machine.step_values import float_of

Words = NDArray[np.int64]
_ENDLESS = 1 << 60
_PARAMETERS = 3
_TRACE_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of ``layout``, in the order the machine code takes them, where segments begin, and which of
    the records of cells is whose."""

    state: Words
    cells: Words
    channels: Words
    ring: Words
    due: Words
    groups: Words
    memory: Words
    windows: Words
    work: Words
    trace: Words
    bases: tuple[int, ...]
    places: tuple[Place, ...]
    records: tuple[int, ...]

    def by_cell(self) -> Words:
        """The records of cells, in the netlist's order."""
        return self.cells.reshape(-1, CELL)[list(self.records)]

    def arguments(self) -> tuple[Words, ...]:
        return (
            self.state,
            self.cells,
            self.channels,
            self.ring,
            self.due,
            self.groups,
            self.memory,
            self.windows,
            self.work,
            self.trace,
        )


def tables(
    netlist: Netlist,
    arrays: Sequence[NDArray[Any] | None],
    words: tuple[int, ...],
    fabric: Fabric,
    trace: tuple[int, int],
) -> Tables:
    """Of a netlist and arrays that ``check`` has passed; ``words``: of each segment."""
    where = places(netlist, words, fabric)
    memory, bases = _memory(netlist, arrays, words)
    kept = _structure(netlist.cells, netlist.channels, netlist.values)
    cells = kept.cells.copy()
    windows = _segments(cells, kept.records, where, words, bases)
    span, groups = kept.due.shape
    outputs = sum(len(cell.outputs) for cell in netlist.cells)
    room = max(_TRACE_BYTES // (8 * EVENT), outputs) if trace[1] > trace[0] else 0
    state = np.zeros(STATE, np.int64)
    for at, value in (
        (S.LIVE, len(netlist.cells)),
        (S.VALUES, VALUES.index(netlist.values)),
        (S.LINE, fabric.line_words),
        (S.LINKS, fabric.links),
        (S.LATENCY, fabric.buffer_latency),
        (S.WORD_BITS, fabric.word_bits),
        (S.MASK, span - 1),
        (S.GROUPS, groups),
        (S.TRACE_FROM, trace[0]),
        (S.TRACE_TO, trace[1]),
        (S.TRACE_ROOM, room),
    ):
        state[at] = value
    return Tables(
        state,
        cells.ravel(),
        kept.channels.copy(),
        np.zeros(kept.ring, np.int64),
        kept.due.flatten(),
        kept.groups.copy(),
        memory,
        windows,
        kept.work.copy(),
        np.zeros((room + outputs + 1) * EVENT if room else EVENT, np.int64),
        bases,
        where,
        kept.records,
    )


@dataclass(frozen=True, slots=True)
class _Structure:
    """Of a netlist, what is the same for all arrays. ``ring``: words for the tokens under way; ``records``:
    which of the records of cells is whose."""

    cells: Words
    channels: Words
    ring: int
    due: Words
    groups: Words
    work: Words
    records: tuple[int, ...]


@lru_cache(maxsize=8)
def _structure(cells: tuple[Cell, ...], channels: tuple[Channel, ...], values: Values) -> _Structure:
    netlist = Netlist(cells, channels, (), values)
    table = np.zeros((len(cells), CELL), np.int64)
    groups = _grouped(cells)
    order = [number for group in groups for number in group]
    records = tuple(np.argsort(order).tolist())
    work = 1
    for number, cell in enumerate(cells):
        record = table[records[number]]
        _cell(record, cell, netlist)
        record[C.WORK] = work
        work += _workspace(cell)
    started = np.zeros(work, np.int64)
    for number, cell in enumerate(cells):
        _start(started[table[records[number], C.WORK] :], cell)
    span = 1 << (max([1, *(channel.latency for channel in channels)]) + 1).bit_length()
    due = np.zeros((span, len(groups)), np.int64)
    shown = np.zeros((len(groups), 2), np.int64)
    for at, group in enumerate(groups):
        first = records[group[0]]
        shown[at] = int(cells[group[0]].opcode), first * CELL
        bits = np.left_shift(np.int64(1), np.arange(len(group)))
        table[first : first + len(group), C.GROUP] = at
        table[first : first + len(group), C.BIT] = bits
        due[0, at] = np.bitwise_or.reduce(bits)
    return _Structure(table, *_channels(netlist, records), due, shown.ravel(), started, records)


def _grouped(cells: tuple[Cell, ...]) -> list[list[int]]:
    """Cells by number, in the order they are looked at: by opcode, up to 64 in a word of ``due``."""
    of: dict[Opcode, list[int]] = {}
    for number, cell in enumerate(cells):
        of.setdefault(cell.opcode, []).append(number)
    return [numbers[at : at + 64] for _, numbers in sorted(of.items()) for at in range(0, len(numbers), 64)]


def _memory(
    netlist: Netlist, arrays: Sequence[NDArray[Any] | None], words: tuple[int, ...]
) -> tuple[Words, tuple[int, ...]]:
    bases = (0, *np.cumsum(words).tolist())
    memory = np.zeros(max(bases[-1], 1), np.int64)
    for base, segment, array in zip(bases, netlist.segments, arrays, strict=False):
        if array is not None:
            whole = array.astype(np.float64).view(np.int64) if segment.role == "vals" else array
            memory[base : base + len(array)] = whole
    return memory, bases[:-1]


def _channels(netlist: Netlist, records: tuple[int, ...]) -> tuple[Words, int]:
    """The channels, one that takes what nobody reads before them, and words for their tokens."""
    table = np.zeros((len(netlist.channels) + 1, CHANNEL), np.int64)
    table[0, [H.CAPACITY, H.LATENCY, H.READER, H.SOURCE, H.POPPED]] = _ENDLESS, 1, -1, -1, -1
    base = SLOT
    for number, channel in enumerate(netlist.channels):
        places_of = 1 << (channel.capacity - 1).bit_length()
        record = table[number + 1]
        record[H.CAPACITY], record[H.LATENCY] = channel.capacity, channel.latency
        record[H.POPPED], record[H.BASE] = -1, base
        record[H.MASK], record[H.NUMBER] = places_of - 1, number
        base += places_of * SLOT
    for cell, at in zip(netlist.cells, records, strict=True):
        for port, number in enumerate(cell.inputs):
            table[number + 1, [H.READER, H.READER_PORT]] = at * CELL, 1 << port
        for port, number in enumerate(cell.outputs):
            if number >= 0:
                table[number + 1, [H.SOURCE, H.SOURCE_PORT]] = at * CELL, 1 << (port + FOR_ROOM)
    return table.ravel(), base


def _cell(record: Words, cell: Cell, netlist: Netlist) -> None:
    """Of an address generator's parameters, the loops are in its workspace."""
    record[C.OUTS], record[C.LEFT] = len(cell.outputs), ANY if cell.opcode in ATTENTIVE else 0
    for at, value in enumerate(cell.params[:_PARAMETERS]):
        record[C.P0 + at] = value
    if cell.opcode is Opcode.ADDRESS:
        record[C.AT] = Affine.of(cell.params[1:]).base
    if cell.opcode is Opcode.ALU_CONSTANT:
        record[C.P1] = _bits(float_of(cell.params[1]))
    if cell.opcode is Opcode.FILL:
        record[C.P0] = _bits(filled(float_of(cell.params[0]), netlist.values))
    if cell.opcode is Opcode.REDUCE:
        record[C.IDENTITY] = _bits(identity(OPERATIONS[cell.params[0]], netlist.values))
    for port, channel in enumerate(cell.inputs):
        record[C.IN + PORT * port] = (channel + 1) * CHANNEL
    for port, channel in enumerate(cell.outputs):
        record[C.OUT + PORT * port] = (channel + 1) * CHANNEL


def _segments(
    cells: Words,
    records: tuple[int, ...],
    where: tuple[Place, ...],
    words: tuple[int, ...],
    bases: tuple[int, ...],
) -> Words:
    """Says in the cells' records where their segments are; the windows on those that no tile holds."""
    windows: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
    room = 1
    for at, place in zip(records, where, strict=True):
        record = cells[at]
        record[C.RESIDENT] = int(place.resident)
        for port, segment in enumerate(place.segments):
            step = port * (C.BASE1 - C.BASE0)
            record[C.BASE0 + step], record[C.SIZE0 + step] = bases[segment], words[segment]
            if not place.resident:
                record[C.WINDOW0 + step] = room
                window = np.full(2 + 2 * place.lines, -1, np.int64)
                window[0], window[1] = -2, place.lines
                windows.append(window)
                room += len(window)
    return np.concatenate(windows)


def _start(work: Words, cell: Cell) -> None:
    """What a cell's workspace holds before the start: of an address generator, extents, strides, counts."""
    if cell.opcode is Opcode.ADDRESS:
        loops = Affine.of(cell.params[1:]).loops
        work[:LOOPS], work[LOOPS : 2 * LOOPS] = zip(*loops, strict=True)


def _workspace(cell: Cell) -> int:
    """Words of ``work`` that a cell needs: values and 64 bits in use to a word, or two a token."""
    match cell.opcode:
        case Opcode.VECTOR_REDUCE:
            extent = cell.params[1]
        case Opcode.MATRIX_REDUCE:
            extent = cell.params[1] * cell.params[2]
        case Opcode.BUFFER:
            return 2 * cell.params[0]
        case Opcode.ADDRESS:
            return 3 * LOOPS
        case _:
            return 0
    return extent + -(-extent // 64)


def _bits(value: float) -> int:
    return int(np.float64(value).view(np.int64))


def token(kind: int, payload: int, carries: Kind) -> Token:
    """A token as streams have it; ``carries``: what its channel's payloads are."""
    if kind >= STOP:
        level, inner = divmod(kind - STOP, LEVEL)
        return Stop(level, inner)
    if kind == DONE:
        return DONE_TOKEN
    if kind == EMPTY:
        return EMPTY_TOKEN
    return float(np.int64(payload).view(np.float64)) if carries is Kind.VALUE else payload


def events(netlist: Netlist, trace: Words, count: int) -> list[Event]:
    """The first ``count`` tokens of a trace."""
    found: list[Event] = []
    for cycle, number, kind, payload in trace[: count * EVENT].reshape(count, EVENT).tolist():
        carries = netlist.channels[number].kind
        found.append(Event(cycle, number, token(kind, payload, carries)))
    return found
