"""What a run gave: results, cycles, and what every cell and channel did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from aerogel.chip.graph.streams import Token
from aerogel.chip.machine.counts import Counts
from aerogel.chip.machine.netlist import Opcode


@dataclass(frozen=True, slots=True)
class CellUse:
    """Cycles of a cell: ``busy`` ones moved a token or read a memory; the others waited for input, for room
    in an output, or for a line of the global buffer. What is left to the run's end came after it was done."""

    name: str
    opcode: Opcode
    busy: int
    waiting_input: int
    waiting_output: int
    waiting_memory: int


@dataclass(frozen=True, slots=True)
class ChannelUse:
    """Tokens that were put in, by what they are."""

    payloads: int
    stops: int
    empties: int
    dones: int

    @property
    def tokens(self) -> int:
        return self.payloads + self.stops + self.empties + self.dones


@dataclass(frozen=True, slots=True)
class Event:
    """A token put into a channel."""

    cycle: int
    channel: int
    token: Token


@dataclass(frozen=True, slots=True)
class Run:
    """A run from start to done.

    ``array_cycles``: while cells ran; ``fill_cycles`` before it, to load the memories that hold operands
    whole, ``drain_cycles`` after it, to store the results that stayed in memories. ``results``: by segment
    number, as many words as were written. ``visits``: block-steps, cells looked at awake in a cycle (what a
    simulator's speed is counted in). ``events``: where a trace was asked for.
    """

    array_cycles: int
    fill_cycles: int
    drain_cycles: int
    results: Mapping[int, NDArray[Any]]
    cells: tuple[CellUse, ...]
    channels: tuple[ChannelUse, ...]
    counts: Counts
    visits: int
    events: tuple[Event, ...] = ()

    @property
    def cycles(self) -> int:
        return self.fill_cycles + self.array_cycles + self.drain_cycles
