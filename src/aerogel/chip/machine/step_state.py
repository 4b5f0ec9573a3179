"""What a cell of the slow machine sees and says: the heads of its inputs, and what it does or waits for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from aerogel.chip.graph.streams import Done, Empty, Stop, Token
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.memory import Place
from aerogel.chip.machine.netlist import Cell, Values

MOST_LEVEL = 14
"""Of a stop; what channels hold has four bits for it."""
Reason = Literal["input", "output", "memory"]


class Wait(Exception):  # noqa: N818 (no error)
    """The cell cannot move in this cycle. ``inputs``, ``outputs``: the ports it waits for."""

    def __init__(self, reason: Reason, inputs: tuple[int, ...] = (), outputs: tuple[int, ...] = ()) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.inputs, self.outputs = inputs, outputs


class Faulty(Exception):  # noqa: N818 (reported as a ChipError, with cell and cycle)
    def __init__(self, fault: Fault, detail: int = 0) -> None:
        super().__init__(fault.name)
        self.fault, self.detail = fault, detail


@dataclass(frozen=True, slots=True)
class Act:
    """A move: inputs to take from, tokens to put out by output, and registers that change.

    ``reads``, ``writes``: words of the cell's memory; ``operations``: on values; ``then``: what else changes.
    """

    take: tuple[int, ...] = ()
    give: Mapping[int, Token] = field(default_factory=dict[int, Token])
    state: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reads: int = 0
    writes: int = 0
    operations: int = 0
    then: Callable[[], None] | None = None


class World(Protocol):
    """What a cell can reach outside itself."""

    now: int
    arrays: list[list[Any]]
    words: tuple[int, ...]
    memory: Any
    netlist: Any
    fabric: Any

    def head(self, channel: int) -> Token | None: ...

    def room(self, channel: int) -> bool: ...


class State:
    """A cell with its registers; what they mean is up to the opcode."""

    def __init__(self, number: int, cell: Cell, world: World, place: Place) -> None:
        self.number, self.cell, self.world, self.place = number, cell, world, place
        self.halted = False
        self.phase = "idle"
        # A position and its end, a token that is held, a sum, and a mark.
        self.at = self.end = self.fiber = 0
        self.held: Token | None = None
        self.queue: deque[Token] = deque()
        self.total: float | None = None
        self.mark = 0
        self.store: dict[Any, Any] = {}
        self.lanes: dict[Any, Any] = {}
        # Of a scanner with skips: how far it looks ahead, a position that is not below the skip, and the
        # stops it has sent and got back.
        self.stride, self.high, self.sent, self.seen = 1, -1, 0, 0

    @property
    def values(self) -> Values:
        return self.world.netlist.values

    @property
    def params(self) -> tuple[int, ...]:
        return self.cell.params

    def peek(self, port: int) -> Token | None:
        """The head of an input, or None."""
        return self.world.head(self.cell.inputs[port])

    def heads(self, *ports: int) -> tuple[Token, ...]:
        """The heads of inputs; waits for those that are missing."""
        found = [self.peek(port) for port in ports]
        missing = tuple(port for port, token in zip(ports, found, strict=True) if token is None)
        if missing:
            raise Wait("input", inputs=missing)
        return tuple(token for token in found if token is not None)

    def room(self, port: int) -> bool:
        """Whether output number ``port`` has room for a token."""
        return self.world.room(self.cell.outputs[port])

    def everywhere(self, token: Token) -> dict[int, Token]:
        """The token for every output."""
        return dict.fromkeys(range(len(self.cell.outputs)), token)

    def read(self, port: int, *words: int) -> tuple[Any, ...]:
        """Words of segment number ``port`` of the cell; waits for those the tile does not have yet."""
        segment = self.place.segments[port]
        array = self.world.arrays[segment]
        ready = [self.world.memory.ready(self.number, port, w, len(array), self.world.now) for w in words]
        if max(ready) > self.world.now:
            raise Wait("memory")
        return tuple(array[w] for w in words)

    def size(self, port: int) -> int:
        """How many words segment number ``port`` of the cell has, or has room for."""
        return self.world.words[self.place.segments[port]]


def is_stop(token: Token) -> bool:
    return isinstance(token, Stop)


def is_payload(token: Token) -> bool:
    """A payload, not empty."""
    return not isinstance(token, Stop | Empty | Done)


def deeper(stop: Token) -> Stop:
    """The stop of a stream one level deeper, where nothing is open."""
    assert isinstance(stop, Stop)
    return Stop(below(stop), stop.inner + 1)


def below(stop: Stop) -> int:
    """The level of a stop, counted from one level further in; Faulty where there are too many."""
    if stop.level >= MOST_LEVEL:
        raise Faulty(Fault.DEPTH)
    return stop.level + 1


def shallower(stop: Token) -> Stop:
    """The stop of a stream one level less deep; level -1 is none."""
    assert isinstance(stop, Stop)
    return Stop(stop.level - 1, max(stop.inner - 1, 0))


def whole(token: Token) -> int:
    assert is_payload(token)
    return int(token)  # type: ignore[arg-type]


def number(token: Token) -> float:
    return 0.0 if isinstance(token, Empty) else float(token)  # type: ignore[arg-type]


HALT = {"halted": True}
"""What changes as a cell is done."""
