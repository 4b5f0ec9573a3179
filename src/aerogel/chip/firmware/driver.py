"""The driver: brings pieces of tensors to the device, starts it, and gathers what it made.

It speaks to the device in commands and registers alone. The next pieces' operands are moved while the array
is at work on these; what is still in the global buffer from an earlier piece is not moved again; pieces in
which the result vanishes are not run at all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.firmware.buffer import Space
from aerogel.chip.firmware.commands import (
    Bind,
    Command,
    Configure,
    Load,
    Poll,
    Start,
    Store,
    Wait,
    encode,
    split,
)
from aerogel.chip.firmware.controller import execute
from aerogel.chip.firmware.cuts import Numbers, Pieces
from aerogel.chip.firmware.device import Device, Span
from aerogel.chip.firmware.gather import Gathered
from aerogel.chip.firmware.image import element_bytes, packed, unpacked
from aerogel.chip.firmware.linear import vanishes
from aerogel.chip.firmware.program import Program
from aerogel.chip.firmware.registers import WRITTEN, segment
from aerogel.chip.machine.assemble import bit_vectors
from aerogel.chip.machine.netlist import Segment
from aerogel.core.errors import ChipError
from aerogel.formats.storage import Storage

Progress = Callable[[int, int], None]
"""Told how many pieces are done, of how many."""


Batch = tuple[Numbers | None, ...]
"""Pieces that run side by side, one for each copy of the graph; None: this copy has nothing to do."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A batch whose operands are on their way. ``spans``: of each segment; ``elements``: in each, of a result
    the room; ``keys``: under which each stands in the buffer; ``transfers``: how many must be done first."""

    batch: Batch
    spans: tuple[Span, ...]
    elements: tuple[int, ...]
    keys: tuple[Hashable, ...]
    transfers: int


@dataclass
class Work:
    """What the driver did. ``reused``: operand arrays that were in the buffer still; ``waits``: how often the
    next pieces had no room beside those that ran, and came after them."""

    run: int = 0
    skipped: int = 0
    batches: int = 0
    reused: int = 0
    waits: int = 0
    commands: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, at.name) + getattr(other, at.name) for at in fields(Work)))


class Driver:
    """Runs ``program`` on ``device``."""

    def __init__(self, program: Program, device: Device) -> None:
        self.program, self.device = program, device
        self.work = Work()
        self._space = Space(program.fabric.buffer_bytes)
        self._pieces = {
            name: Pieces(storage, program.indices(name), program.cuts)
            for name, storage in program.tensors.items()
        }
        self._in_dram: dict[Hashable, tuple[int, int, int]] = {}
        self._transfers = 0

    def run(self, gathered: Gathered, progress: Progress | None = None) -> None:
        """Configures the device and runs every piece; results go to ``gathered``."""
        self._configure()
        batches = self._batches()
        batch = next(batches, None)
        ready = None if batch is None else self._prepared(batch, frozenset()) or _too_large(batch)
        while ready is not None:
            self._send([Wait(ready.transfers), *_binding(ready), Start()])
            batch = next(batches, None)
            following = None if batch is None else self._prepared(batch, frozenset(ready.keys))
            self._send([Poll()])
            self._gather(ready, gathered)
            if batch is not None and following is None:
                self.work.waits += 1
                following = self._prepared(batch, frozenset()) or self._afresh(batch)
            ready = following
            if progress is not None:
                progress(self.work.run + self.work.skipped, self.program.cuts.pieces)
        self._send([Wait(self._transfers)])

    def _send(self, commands: Sequence[Command]) -> None:
        self.work.commands += len(commands)
        self._transfers += sum(isinstance(command, Load | Store) for command in commands)
        execute(encode(commands), self.device)

    def _configure(self) -> None:
        words = self.program.words
        raw = np.asarray(words, "<u4").tobytes()
        room = self.program.fabric.buffer_bytes
        if len(raw) > room:
            raise ChipError(
                f"the configuration has {len(raw)} bytes, for which the global buffer has {room}: a larger "
                "buffer_bytes, or fewer copies"
            )
        address = self.device.keep(raw)
        self._send([Load(*split(address), 0, len(raw)), Wait(1), Configure(0, len(words))])

    # --- which pieces ---------------------------------------------------------------------------------

    def _batches(self) -> Iterator[Batch]:
        """Pieces as many at a time as there are copies, without those in which the result vanishes."""
        wanted = self._wanted()
        while some := tuple(islice(wanted, self.program.copies)):
            self.work.run += len(some)
            self.work.batches += 1
            yield (*some, *(None,) * (self.program.copies - len(some)))

    def _wanted(self) -> Iterator[Numbers]:
        expr = self.program.plan.assignment.expr
        # A row of zeros has a softmax, and 0 times an infinite value is a NaN: there only what is not stored
        # makes the result vanish.
        finite = all(np.isfinite(storage.values).all() for storage in self.program.tensors.values())
        zeros_do = finite and not self.program.plan.options.softmax
        for numbers in self.program.cuts.numbers():
            absent = {name for name, pieces in self._pieces.items() if pieces.absent(numbers)}
            empty = {name for name, pieces in self._pieces.items() if pieces.empty(numbers)}
            if self.program.cuts.pieces > 1 and vanishes(expr, empty if zeros_do else absent, absent):
                self.work.skipped += 1
            else:
                yield numbers

    def _afresh(self, batch: Batch) -> Ready:
        """As ``_prepared``, in an empty buffer: what is left of earlier pieces may split the room."""
        self._space.clear()
        return self._prepared(batch, frozenset()) or _too_large(batch)

    # --- operands to the buffer -----------------------------------------------------------------------

    def _prepared(self, batch: Batch, pinned: frozenset[Hashable]) -> Ready | None:
        """Loads what a batch needs and makes room for results; None, with nothing done, for want of room."""
        keys: list[Hashable] = []
        spans: list[Span] = []
        elements: list[int] = []
        loads: list[Command] = []
        fresh: list[Hashable] = []
        for copy, numbers in enumerate(batch):
            for part in self.program.segments:
                key = (
                    ("result", copy, part.name, self.work.batches)
                    if part.written
                    else self._key(part, numbers)
                )
                count, size = self._size(part, numbers, key)
                span = self._space.find(key)
                if span is None:
                    span = self._space.take(key, size, pinned | set(keys))
                    if span is None:
                        for taken in fresh:
                            self._space.release(taken)
                        return None
                    fresh.append(key)
                    if not part.written and size:
                        loads.append(Load(*split(self._in_dram[key][0]), span.first, size))
                elif not part.written:
                    self.work.reused += 1
                keys.append(key)
                spans.append(span)
                elements.append(count)
        self._send(loads)
        return Ready(batch, tuple(spans), tuple(elements), tuple(keys), self._transfers)

    def _key(self, part: Segment, numbers: Numbers | None) -> Hashable:
        name = part.name.partition(".")[0]
        return (part.name, None if numbers is None else self._pieces[name].key(numbers))

    def _size(self, part: Segment, numbers: Numbers | None, key: Hashable) -> tuple[int, int]:
        """Elements and bytes of a segment; an operand's bytes are in DRAM from now on."""
        if part.written:
            count = self.program.room[part.name.partition(".")[2]]
            return count, count * element_bytes(part.role, self.program.fabric)
        if key not in self._in_dram:
            name, _, what = part.name.partition(".")
            pieces = self._pieces[name]
            array = self._array(pieces.nothing() if numbers is None else pieces.piece(numbers), what)
            raw = packed(array, part.role, self.program.fabric, f"{what} of {name}")
            self._in_dram[key] = self.device.keep(raw), len(array), len(raw)
        _, count, size = self._in_dram[key]
        return count, size

    def _array(self, storage: Storage, what: str) -> NDArray[Any]:
        """The array that a segment of that name holds: ``vals``, ``pos1``, ``crd1`` or ``bits1``."""
        if what == "vals":
            return storage.values
        kind, level = what[:-1], int(what[-1])
        pos, crd = storage.levels[level]
        if kind == "bits":
            size = storage.shape[storage.format.order[level]]
            return bit_vectors(pos, crd, size, self.program.fabric.word_bits)
        return pos if kind == "pos" else crd

    # --- results --------------------------------------------------------------------------------------

    def _gather(self, ready: Ready, gathered: Gathered) -> None:
        """Stores a batch's results, reads them and gives their room back."""
        fabric, segments = self.program.fabric, self.program.segments
        stores: list[Command] = []
        where: list[tuple[int, int, Segment]] = []
        for number, (key, span) in enumerate(zip(ready.keys, ready.spans, strict=True)):
            part = segments[number % len(segments)]
            if part.written:
                size = self.device.read(segment(number, WRITTEN)) * element_bytes(part.role, fabric)
                address = self.device.keep(bytes(size))
                if size and ready.batch[number // len(segments)] is not None:
                    stores.append(Store(span.first, *split(address), size))
                where.append((address, size, part))
                self._space.release(key)
        self._send(stores)
        each = len(where) // len(ready.batch)
        for copy, numbers in enumerate(ready.batch):
            if numbers is not None:
                found = {
                    part.name.partition(".")[2]: unpacked(self.device.kept(address, size), part.role, fabric)
                    for address, size, part in where[copy * each : (copy + 1) * each]
                }
                gathered.add(found, numbers)


def _binding(ready: Ready) -> list[Command]:
    return [
        Bind(number, span.first, count)
        for number, (span, count) in enumerate(zip(ready.spans, ready.elements, strict=True))
    ]


def _too_large(batch: Batch) -> Never:
    raise ChipError(f"pieces {list(batch)} do not fit the global buffer: cut them smaller")
