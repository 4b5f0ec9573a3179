"""The machine, cycle by cycle, in plain Python: slow, and the definition that the native simulator is held
to.

In a cycle every cell looks at the heads of its input channels, as they were when the cycle began, and either
moves (takes at most one token from each input, and puts at most one into each output) or waits. What it needs
to move is in ``step_cells``; that each output it puts something into has room is asked here. A token put in
at cycle t is seen from ``t + latency`` on; a place taken free at t can be used at t + 1. So the order in
which cells are looked at changes nothing, but for who gets a line of the global buffer first: cells in their
order.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.streams import EMPTY, Done, Empty, Stop, Token
from aerogel.chip.machine.check import check
from aerogel.chip.machine.memory import Place, places
from aerogel.chip.machine.netlist import Channel, Netlist
from aerogel.chip.machine.outcome import CellUse, ChannelUse, Event, Run
from aerogel.chip.machine.report import Waiting, faulty, stuck, too_long
from aerogel.chip.machine.step_cells import CELLS
from aerogel.chip.machine.step_dense import DENSE
from aerogel.chip.machine.step_more import MORE
from aerogel.chip.machine.step_rows import ROWS
from aerogel.chip.machine.step_sift import SIFTS
from aerogel.chip.machine.step_state import Act, Faulty, State, Wait
from aerogel.chip.machine.step_values import VALUES
from aerogel.chip.machine.tally import Tally, Work, finished

Arrays = Sequence[NDArray[Any] | None]
"""What each segment holds, whole numbers or values; None for a result."""
LIMIT = 10**9
_CELLS = CELLS | VALUES | MORE | ROWS | SIFTS | DENSE


def step(
    netlist: Netlist, arrays: Arrays, fabric: Fabric, *, limit: int = LIMIT, trace: tuple[int, int] = (0, 0)
) -> Run:
    """Runs ``netlist`` until every cell is done; ``trace``: from which cycle to before which one events are
    kept.

    ChipError, as ``simulate``: for a deadlock, a fault in the data, or more than ``limit`` cycles.
    """
    words = check(netlist, arrays, fabric)
    stepper = _Stepper(netlist, arrays, words, fabric, trace)
    while not all(state.halted for state in stepper.states):
        if stepper.now >= limit:
            too_long(limit)
        stepper.cycle()
    return stepper.run()


class _Queue:
    """A channel with tokens in it and the cycle from which each can be seen."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.tokens: deque[tuple[int, Token]] = deque()
        self.counts: Counter[type] = Counter()
        self.head: Token | None = None
        self.room = True

    def look(self, now: int) -> None:
        """How things stand as a cycle begins."""
        self.head = self.tokens[0][1] if self.tokens and self.tokens[0][0] <= now else None
        self.room = len(self.tokens) < self.channel.capacity


class _Stepper:
    def __init__(
        self, netlist: Netlist, arrays: Arrays, words: tuple[int, ...], fabric: Fabric, trace: tuple[int, int]
    ) -> None:
        self.netlist, self.fabric, self.trace = netlist, fabric, trace
        self.words = words
        self.now = 0
        self.queues = [_Queue(channel) for channel in netlist.channels]
        self.places = places(netlist, words, fabric)
        self.memory = Memory(self.places, fabric)
        self.states = [
            State(number, cell, self, self.places[number]) for number, cell in enumerate(netlist.cells)
        ]
        self.turns = sorted(self.states, key=lambda state: (state.cell.opcode, state.number))
        self.arrays: list[list[Any]] = [[] if a is None else a.tolist() for a in arrays]
        self.use = [Counter[str]() for _ in netlist.cells]
        self.events: list[Event] = []
        self.visits = 0

    def head(self, channel: int) -> Token | None:
        """The token that can be taken from a channel, or None."""
        return self.queues[channel].head

    def room(self, channel: int) -> bool:
        """Whether a token can be put into a channel (-1: it is dropped)."""
        return channel < 0 or self.queues[channel].room

    def cycle(self) -> None:
        """Every cell once."""
        for queue in self.queues:
            queue.look(self.now)
        moved, later = False, False
        waiting: list[Waiting] = []
        for state in self.turns:
            if state.halted:
                continue
            self.visits += 1
            try:
                act = _CELLS[state.cell.opcode](state)
                self._need_room(state, act)
            except Wait as wait:
                self.use[state.number][wait.reason] += 1
                later |= wait.reason == "memory"
                waiting.append(Waiting(state.number, wait.inputs, wait.outputs))
            except Faulty as error:
                faulty(self.netlist, state.number, self.now, error.fault, error.detail)
            else:
                self._apply(state, act)
                moved = True
        under_way = any(token[0] > self.now for queue in self.queues for token in queue.tokens)
        if not (moved or later or under_way or all(state.halted for state in self.states)):
            levels = [len(queue.tokens) for queue in self.queues]
            stuck(self.netlist, self.now, sorted(waiting, key=lambda cell: cell.cell), levels)
        self.now += 1

    def _need_room(self, state: State, act: Act) -> None:
        full = [port for port in act.give if not self.room(state.cell.outputs[port])]
        if full:
            raise Wait("output", outputs=tuple(full))

    def _apply(self, state: State, act: Act) -> None:
        for port in act.take:
            self.queues[state.cell.inputs[port]].tokens.popleft()
        for port, token in act.give.items():
            number = state.cell.outputs[port]
            if number < 0:
                continue
            queue = self.queues[number]
            queue.tokens.append((self.now + queue.channel.latency, token))
            queue.counts[_what(token)] += 1
            if self.trace[0] <= self.now < self.trace[1]:
                self.events.append(Event(self.now, number, token))
        for name, value in act.state.items():
            setattr(state, name, value)
        if act.then is not None:
            act.then()
        use = self.use[state.number]
        use["busy"] += 1
        use["reads"] += act.reads
        use["writes"] += act.writes
        use["operations"] += act.operations

    def run(self) -> Run:
        cells = tuple(
            CellUse(c.name, c.opcode, u["busy"], u["input"], u["output"], u["memory"])
            for c, u in zip(self.netlist.cells, self.use, strict=True)
        )
        channels = tuple(
            ChannelUse(q.counts[float], q.counts[Stop], q.counts[Empty], q.counts[Done]) for q in self.queues
        )
        written: dict[int, NDArray[Any]] = {}
        for number, segment in enumerate(self.netlist.segments):
            if segment.written:
                kind = np.float64 if segment.role == "vals" else np.int64
                written[number] = np.array(self.arrays[number], dtype=kind)
        tally = Tally(
            end=self.now,
            written=written,
            cells=cells,
            channels=channels,
            work=tuple(Work(u["reads"], u["writes"], u["operations"]) for u in self.use),
            buffer_reads=self.memory.fetched,
            buffer_writes=self.memory.sent,
            busy_until=max([*self.memory.back_free, 0]),
            visits=self.visits,
            events=tuple(self.events),
        )
        return finished(self.netlist, self.fabric, self.places, self.words, tally)


def _what(token: Token) -> type:
    return type(token) if isinstance(token, Stop | Done) or token is EMPTY else float


class Memory:
    """The windows of all cells, and the links they share. Times in cycles, link time in words."""

    def __init__(self, where: tuple[Place, ...], fabric: Fabric) -> None:
        self.where, self.fabric = where, fabric
        self.tags: list[list[dict[int, tuple[int, int]]]] = [[{} for _ in p.segments] for p in where]
        self.last = [[-2 for _ in p.segments] for p in where]
        self.free, self.back_free = [0] * len(where), [0] * len(where)
        self.links = self.back_links = 0
        self.fetched = self.sent = 0

    def ready(self, cell: int, port: int, word: int, words: int, now: int) -> int:
        """From which cycle on a word of the array of ``words`` words can be read; asks for its line."""
        place = self.where[cell]
        if place.resident:
            return now
        size, tags = self.fabric.line_words, self.tags[cell][port]
        line = word // size
        self._fetch(cell, tags, line, place.lines, now)
        if line != self.last[cell][port]:
            if line == self.last[cell][port] + 1 and (line + 1) * size < words:
                self._fetch(cell, tags, line + 1, place.lines, now)
            self.last[cell][port] = line
        return tags[line % place.lines][1] + word % size

    def _fetch(self, cell: int, tags: dict[int, tuple[int, int]], line: int, lines: int, now: int) -> None:
        if tags.get(line % lines, (-1, 0))[0] == line:
            return
        size = self.fabric.line_words
        shared = max(self.links, now * self.fabric.links)
        self.links = shared + size
        start = max(now, self.free[cell], shared // self.fabric.links)
        self.free[cell] = start + size
        tags[line % lines] = (line, start + self.fabric.buffer_latency)
        self.fetched += size

    def writable(self, cell: int, word: int, now: int) -> int:
        """From which cycle on word number ``word`` of a result can be stored."""
        size = self.fabric.line_words
        if self.where[cell].resident or word % size:
            return now
        return max(now, self.back_free[cell] - size)

    def written(self, cell: int, word: int, now: int) -> None:
        """A word was stored; a full line is sent."""
        size = self.fabric.line_words
        if self.where[cell].resident or word % size != size - 1:
            return
        shared = max(self.back_links, now * self.fabric.links)
        self.back_links = shared + size
        self.back_free[cell] = max(now + 1, self.back_free[cell], shared // self.fabric.links) + size
        self.sent += size
