"""A run in machine code, from tables to outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.check import check
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.memory import writes
from aerogel.chip.machine.netlist import Netlist, Opcode
from aerogel.chip.machine.outcome import CellUse, ChannelUse, Event, Run
from aerogel.chip.machine.report import Waiting, faulty, stuck, too_long
from aerogel.chip.machine.sim.layout import ANY, CELL, CHANNEL, DEADLOCK, FOR_ROOM, C, H, S
from aerogel.chip.machine.sim.machine import machine
from aerogel.chip.machine.sim.tables import Tables, events, tables
from aerogel.chip.machine.tally import Tally, Work, finished

_CYCLES = 1 << 22
"""At most so many in one call, so that a run can be interrupted."""


def run(
    netlist: Netlist,
    arrays: Sequence[NDArray[Any] | None],
    fabric: Fabric,
    limit: int,
    trace: tuple[int, int],
) -> Run:
    """As ``step.step``, in machine code."""
    words = check(netlist, arrays, fabric)
    made = tables(netlist, arrays, words, fabric, trace)
    program = machine().bind(*made.arguments())
    state, seen = made.state, list[Event]()
    while state[S.LIVE] and state[S.NOW] < limit:
        state[S.UNTIL] = min(limit, int(state[S.NOW]) + _CYCLES)
        program.run()
        if count := int(state[S.TRACE_COUNT]):
            seen += events(netlist, made.trace, count)
            state[S.TRACE_COUNT] = 0
        _check(netlist, made)
    if state[S.LIVE]:
        too_long(limit)
    return _outcome(netlist, fabric, made, words, tuple(seen))


def _check(netlist: Netlist, made: Tables) -> None:
    """ChipError where the run has stopped for a fault or a deadlock."""
    state = made.state
    fault = int(state[S.FAULT])
    if not fault:
        return
    if fault != DEADLOCK:
        cell = made.records.index(int(state[S.FAULT_CELL]) // CELL)
        faulty(netlist, cell, int(state[S.NOW]), Fault(fault), int(state[S.DETAIL]))
    waiting = [
        Waiting(number, *_needs(record))
        for number, record in enumerate(made.by_cell())
        if not record[C.HALTED]
    ]
    channels = made.channels.reshape(-1, CHANNEL)[1:]
    levels = (channels[:, H.TAIL] - channels[:, H.HEAD]).tolist()
    stuck(netlist, int(state[S.LAST]), waiting, levels)


def _needs(record: NDArray[np.int64]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The inputs and outputs that a cell still waits for."""
    if (left := int(record[C.LEFT])) == ANY:
        return _ports(int(record[C.NEED_IN])), _ports(int(record[C.NEED_OUT]))
    return _ports(left & ((1 << FOR_ROOM) - 1)), _ports(left >> FOR_ROOM)


def _ports(bits: int) -> tuple[int, ...]:
    return tuple(port for port in range(bits.bit_length()) if bits >> port & 1)


def _outcome(
    netlist: Netlist, fabric: Fabric, made: Tables, words: tuple[int, ...], seen: tuple[Event, ...]
) -> Run:
    records = made.by_cell()
    # In every cycle until it is done a cell moves or waits.
    waited = records[:, C.WAITED : C.WAITED + 3]
    busy = records[:, C.HALTED] - waited.sum(axis=1)
    cells = tuple(
        CellUse(cell.name, cell.opcode, int(moved), *map(int, w))
        for cell, moved, w in zip(netlist.cells, busy, waited, strict=True)
    )
    table = made.channels.reshape(-1, CHANNEL)[1:, H.COUNTS : H.COUNTS + 4].tolist()
    channels = tuple(ChannelUse(payloads, stops, empties, dones) for payloads, empties, dones, stops in table)
    written: dict[int, NDArray[Any]] = {}
    back = [0]
    for cell, record, place in zip(netlist.cells, records, made.places, strict=True):
        if not writes(cell):
            continue
        back.append(int(record[C.FREE]))
        ends_at = (record[C.AT],) if cell.opcode is Opcode.WRITE_VALUES else (record[C.END], record[C.AT])
        for segment, count in zip(place.segments, ends_at, strict=True):
            found = made.memory[made.bases[segment] : made.bases[segment] + int(count)].copy()
            written[segment] = found.view(np.float64) if netlist.segments[segment].role == "vals" else found
    tally = Tally(
        end=int(made.state[S.NOW]),
        written=written,
        cells=cells,
        channels=channels,
        work=tuple(Work(int(r[C.READS]), int(r[C.WRITES]), int(r[C.OPERATIONS])) for r in records),
        buffer_reads=int(made.state[S.FETCHED]),
        buffer_writes=int(made.state[S.SENT]),
        busy_until=max(back),
        visits=int(made.state[S.VISITS]),
        events=seen,
    )
    return finished(netlist, fabric, made.places, words, tally)
