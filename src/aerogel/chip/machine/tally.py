"""From what a simulator counted to the outcome of a run: transfers before and after it, sums of actions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.counts import Counts
from aerogel.chip.machine.memory import Place, transfer, writes
from aerogel.chip.machine.netlist import Netlist, Opcode
from aerogel.chip.machine.opcodes import FUNCTIONS, OPCODES, OPERATIONS
from aerogel.chip.machine.outcome import CellUse, ChannelUse, Event, Run


@dataclass(frozen=True, slots=True)
class Work:
    """Of a cell: words of its memory read and written, and operations on values."""

    reads: int
    writes: int
    operations: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What a simulator counted in a run that ended in cycle ``end``.

    ``written``: results by segment; ``buffer_reads``, ``buffer_writes``: words of lines that went between
    windows and the global buffer; ``busy_until``: when the last line of a result is stored.
    """

    end: int
    written: Mapping[int, NDArray[Any]]
    cells: tuple[CellUse, ...]
    channels: tuple[ChannelUse, ...]
    work: tuple[Work, ...]
    buffer_reads: int
    buffer_writes: int
    busy_until: int
    visits: int
    events: tuple[Event, ...]


def finished(
    netlist: Netlist, fabric: Fabric, where: tuple[Place, ...], words: tuple[int, ...], tally: Tally
) -> Run:
    """The outcome of a run, with what went before and comes after it. ``words``: of each segment."""
    fill, drain, rest = _transfers(netlist, fabric, where, words, tally)
    filled = transfer(fill, fabric)
    drained = max(transfer([*drain, rest], fabric), tally.busy_until - tally.end)
    tokens, hops = _moved(netlist, tally)
    steps, idle, operations = _done(netlist, tally)
    counts = Counts(
        cycles=filled + tally.end + drained,
        tokens=tokens,
        hops=hops,
        steps=steps,
        idle=idle,
        operations=operations,
        memory_reads=sum(w.reads for w in tally.work) + sum(drain) + tally.buffer_writes + rest,
        memory_writes=sum(w.writes for w in tally.work) + sum(fill) + tally.buffer_reads,
        buffer_reads=tally.buffer_reads + sum(fill),
        buffer_writes=tally.buffer_writes + sum(drain) + rest,
        processing_tiles=sum(OPCODES[c.opcode].host == "processing" for c in netlist.cells),
        memory_tiles=sum(OPCODES[c.opcode].host == "memory" for c in netlist.cells),
    )
    return Run(
        tally.end,
        filled,
        drained,
        tally.written,
        tally.cells,
        tally.channels,
        counts,
        tally.visits,
        tally.events,
    )


def _transfers(
    netlist: Netlist, fabric: Fabric, where: tuple[Place, ...], words: tuple[int, ...], tally: Tally
) -> tuple[list[int], list[int], int]:
    """Words to load into each memory that holds operands whole, to store from each that holds results, and of
    the last lines of results that were sent line by line."""
    fill, drain, rest = list[int](), list[int](), 0
    for cell, place in zip(netlist.cells, where, strict=True):
        if writes(cell):
            lengths = [len(tally.written[segment]) for segment in place.segments]
            if place.resident:
                drain.append(sum(lengths))
            else:
                rest += sum(length % fabric.line_words for length in lengths)
        elif place.resident and place.segments:
            fill.append(sum(words[segment] for segment in place.segments))
    return fill, drain, rest


def _moved(netlist: Netlist, tally: Tally) -> tuple[Counter[Kind], Counter[Kind]]:
    tokens, hops = Counter[Kind](), Counter[Kind]()
    for channel, use in zip(netlist.channels, tally.channels, strict=True):
        tokens[channel.kind] += use.tokens
        hops[channel.kind] += use.tokens * channel.hops
    return tokens, hops


def _done(netlist: Netlist, tally: Tally) -> tuple[Counter[Opcode], Counter[Opcode], Counter[str]]:
    """Steps, idle cycles and operations."""
    steps, idle, operations = Counter[Opcode](), Counter[Opcode](), Counter[str]()
    for cell, use, work in zip(netlist.cells, tally.cells, tally.work, strict=True):
        steps[cell.opcode] += use.busy
        idle[cell.opcode] += tally.end - use.busy
        if work.operations and cell.opcode is Opcode.MULTIPLY_ADD:
            operations["mul"] += work.operations
            operations["add"] += work.operations
        elif work.operations:
            names = FUNCTIONS if cell.opcode is Opcode.ALU_FUNCTION else OPERATIONS
            operations[names[cell.params[0]]] += work.operations
    return steps, idle, operations
