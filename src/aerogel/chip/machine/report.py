"""What is said of a run: how it ended, well or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Never

from numpy.typing import NDArray

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.counts import Counts
from aerogel.chip.machine.faults import MEANINGS, Fault
from aerogel.chip.machine.memory import Place, transfer, writes
from aerogel.chip.machine.netlist import Netlist, Opcode
from aerogel.chip.machine.opcodes import FUNCTIONS, OPCODES, OPERATIONS
from aerogel.chip.machine.outcome import CellUse, ChannelUse, Event, Run
from aerogel.core.errors import ChipError

_MOST_LISTED = 12


@dataclass(frozen=True, slots=True)
class Waiting:
    """A cell that cannot move: the inputs it lacks tokens in, or the outputs that have no room."""

    cell: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class DeadlockError(ChipError):
    """Nothing moves, nothing is under way, and not every cell is done. ``waiting``: who, and for what;
    ``ring``: cells of which each waits for the next, and the last for the first; empty where there is none."""

    def __init__(self, message: str, waiting: tuple[Waiting, ...], ring: tuple[int, ...]) -> None:
        super().__init__(message)
        self.waiting, self.ring = waiting, ring


class FaultError(ChipError):
    """A cell stopped. ``fault``: why; ``cell``: its number."""

    def __init__(self, message: str, fault: Fault, cell: int) -> None:
        super().__init__(message)
        self.fault, self.cell = fault, cell


def faulty(netlist: Netlist, cell: int, cycle: int, fault: Fault, detail: int) -> Never:
    """FaultError for a fault that a cell found."""
    found = netlist.cells[cell]
    raise FaultError(
        f"cycle {cycle}: {found.name} ({found.opcode.name}) stops: {MEANINGS[fault].format(detail=detail)}",
        fault,
        cell,
    )


def too_long(limit: int) -> Never:
    raise ChipError(f"not done after {limit} cycles, and still moving: give a higher limit")


def stuck(netlist: Netlist, cycle: int, waiting: Sequence[Waiting], levels: Sequence[int]) -> Never:
    """DeadlockError: every blocked cell and what it waits for, full and empty channels, and a ring of waits.

    ``levels``: tokens in each channel.
    """
    readers, sources = ends(netlist)
    name = [cell.name for cell in netlist.cells]
    wants: dict[int, list[int]] = {}
    lines: list[str] = []
    for one in waiting:
        cell = netlist.cells[one.cell]
        parts: list[str] = []
        for port in one.inputs:
            channel = cell.inputs[port]
            wants.setdefault(one.cell, []).append(sources[channel])
            parts.append(f"a token from {name[sources[channel]]} (channel {channel}, empty)")
        for port in one.outputs:
            channel = cell.outputs[port]
            wants.setdefault(one.cell, []).append(readers[channel])
            held = f"{levels[channel]} of {netlist.channels[channel].capacity}"
            parts.append(f"room towards {name[readers[channel]]} (channel {channel}, full: {held})")
        lines.append(f"  {cell.name} ({cell.opcode.name}) waits for {' and '.join(parts)}")
    ring = _ring(wants)
    full = [c for c, level in enumerate(levels) if level >= netlist.channels[c].capacity]
    text = [
        f"deadlock in cycle {cycle}: {len(waiting)} of {len(netlist.cells)} cells are blocked and nothing moves",
        *lines[:_MOST_LISTED],
    ]
    if len(lines) > _MOST_LISTED:
        text.append(f"  and {len(lines) - _MOST_LISTED} more")
    text.append(
        f"full channels: {_listed(full)}; empty: {_listed([c for c, n in enumerate(levels) if not n])}"
    )
    if ring:
        text.append("in a ring: " + " -> ".join(name[c] for c in (*ring, ring[0])))
        text.append("give a channel on it more room (a Buffer of a fiber's length, say)")
    raise DeadlockError("\n".join(text), tuple(waiting), ring)


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_MOST_LISTED]))
    return (shown or "none") + (" ..." if len(numbers) > _MOST_LISTED else "")


def ends(netlist: Netlist) -> tuple[list[int], list[int]]:
    """The cells that read and that feed each channel."""
    readers, sources = [-1] * len(netlist.channels), [-1] * len(netlist.channels)
    for number, cell in enumerate(netlist.cells):
        for channel in cell.inputs:
            readers[channel] = number
        for channel in cell.outputs:
            if channel >= 0:
                sources[channel] = number
    return readers, sources


def _ring(wants: Mapping[int, Sequence[int]]) -> tuple[int, ...]:
    """Cells of which each waits for the next: the first ring that a walk from the lowest number finds."""
    done: set[int] = set()
    for start in sorted(wants):
        path: list[int] = []
        choices = [iter([start])]
        while choices:
            here = next(choices[-1], None)
            if here is None:
                choices.pop()
                if path:
                    done.add(path.pop())
            elif here in path:
                return tuple(path[path.index(here) :])
            elif here not in done and here in wants:
                path.append(here)
                choices.append(iter(wants[here]))
    return ()


def finished(
    netlist: Netlist,
    fabric: Fabric,
    where: tuple[Place, ...],
    words: tuple[int, ...],
    *,
    end: int,
    written: Mapping[int, NDArray[Any]],
    cells: tuple[CellUse, ...],
    channels: tuple[ChannelUse, ...],
    work: Sequence[tuple[int, int, int]],
    buffer_reads: int,
    buffer_writes: int,
    busy_until: int,
    visits: int,
    events: tuple[Event, ...],
) -> Run:
    """The outcome of a run that ended in cycle ``end``. ``work``: of each cell, words of memory read and
    written, and operations; ``buffer_reads``, ``buffer_writes``: words of full lines; ``busy_until``: when the
    last of them is stored."""
    fill, drain, rest = [], [], 0
    for cell, place in zip(netlist.cells, where, strict=True):
        if writes(cell):
            lengths = [len(written[s]) for s in place.segments]
            if place.resident:
                drain.append(sum(lengths))
            else:
                rest += sum(length % fabric.line_words for length in lengths)
        elif place.resident and place.segments:
            fill.append(sum(words[s] for s in place.segments))
    drain_cycles = max(transfer([*drain, rest], fabric), busy_until - end)
    counts = _counts(netlist, cells, channels, work, end)
    counts = Counts(
        cycles=end + transfer(fill, fabric) + drain_cycles,
        tokens=counts.tokens,
        hops=counts.hops,
        steps=counts.steps,
        idle=counts.idle,
        operations=counts.operations,
        memory_reads=sum(w[0] for w in work) + sum(drain) + buffer_writes + rest,
        memory_writes=sum(w[1] for w in work) + sum(fill) + buffer_reads,
        buffer_reads=buffer_reads + sum(fill),
        buffer_writes=buffer_writes + sum(drain) + rest,
        processing_tiles=sum(OPCODES[c.opcode].host == "processing" for c in netlist.cells),
        memory_tiles=sum(OPCODES[c.opcode].host == "memory" for c in netlist.cells),
    )
    fills = transfer(fill, fabric)
    return Run(end, fills, drain_cycles, written, cells, channels, counts, visits, events)


def _counts(
    netlist: Netlist,
    cells: tuple[CellUse, ...],
    channels: tuple[ChannelUse, ...],
    work: Sequence[tuple[int, int, int]],
    end: int,
) -> Counts:
    tokens, hops = Counter[Kind](), Counter[Kind]()
    for channel, use in zip(netlist.channels, channels, strict=True):
        tokens[channel.kind] += use.tokens
        hops[channel.kind] += use.tokens * channel.hops
    steps, idle = Counter[Opcode](), Counter[Opcode]()
    operations = Counter[str]()
    for cell, use, (_, _, done) in zip(netlist.cells, cells, work, strict=True):
        steps[cell.opcode] += use.busy
        idle[cell.opcode] += end - use.busy
        if done and cell.opcode is Opcode.MULTIPLY_ADD:
            operations["mul"] += done
            operations["add"] += done
        elif done:
            names = FUNCTIONS if cell.opcode is Opcode.ALU_FUNCTION else OPERATIONS
            operations[names[cell.params[0]]] += done
    return Counts(tokens=tokens, hops=hops, steps=steps, idle=idle, operations=operations)
