"""The emulated device: registers, transfers between DRAM and the global buffer, and the array.

What is in its memories are bytes; what the array does is what the configuration in the buffer says, decoded
word by word. Time is counted in cycles of the array's clock on two lines, one for transfers and one for the
array, which run side by side. Where the driver relies on what is not done yet (starts before operands
are there, overwrites what a run reads), that is an error here, as it would be a wrong result on a chip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.configure.decode import Names, decode
from aerogel.chip.configure.elaborate import elaborate
from aerogel.chip.configure.layout import MOST_SEGMENTS
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.firmware.image import element_bytes, packed, unpacked
from aerogel.chip.firmware.registers import (
    BASE,
    ELEMENTS,
    IDENTITY,
    SEGMENT_STRIDE,
    SEGMENTS,
    VERSION,
    WRITTEN,
    Control,
    Direction,
    Register,
    Status,
    segment,
)
from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.machine.outcome import Run
from aerogel.core.errors import ChipError, refuse, require

Simulate = Callable[[Netlist, Sequence[NDArray[Any] | None], Fabric], Run]
CONFIGURATION_BYTES = 4


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes ``first`` to ``last`` - 1 of the global buffer."""

    first: int
    last: int

    def meets(self, other: Span) -> bool:
        return self.first < other.last and other.first < self.last


@dataclass(frozen=True, slots=True)
class Transfer:
    """``done``: the cycle in which it ends."""

    direction: Direction
    span: Span
    done: int


@dataclass(frozen=True, slots=True)
class Symbols:
    """What reports call cells and segments: nothing that the device depends on."""

    cells: Names
    segments: tuple[str, ...]


@dataclass
class Traffic:
    """What moved outside of the array."""

    loaded_bytes: int = 0
    stored_bytes: int = 0
    configuration_words: int = 0


_REGISTERS = frozenset(map(int, Register))
_READ_ONLY = frozenset(
    map(
        int,
        (
            Register.IDENTITY,
            Register.VERSION,
            Register.STATUS,
            Register.CYCLES_LOW,
            Register.CYCLES_HIGH,
        ),
    )
)


class Device:
    """One chip with its DRAM. ``now``: the cycle as the host sees it; ``runs``: what the array did so far."""

    def __init__(self, fabric: Fabric, simulate: Simulate, symbols: Symbols | None = None) -> None:
        self.fabric = fabric
        self.buffer = bytearray(fabric.buffer_bytes)
        self.dram = bytearray()
        self.symbols = symbols
        self._simulate = simulate
        self.reset()

    def reset(self) -> None:
        """As it is when power comes: nothing configured, no time passed. Memories keep their bytes."""
        self.now = 0
        self.array_free = 0
        self.array_busy = 0
        self.transfer_busy = 0
        self.transfers: list[Transfer] = []
        self.traffic = Traffic()
        self.runs: list[Run] = []
        self.fault: ChipError | None = None
        self._registers: dict[int, int] = {}
        self._netlist: Netlist | None = None
        self._in_use: tuple[Span, ...] = ()

    @property
    def netlist(self) -> Netlist | None:
        """What the array is configured to; None before it is."""
        return self._netlist

    # --- the host's memory ----------------------------------------------------------------------------

    def keep(self, raw: bytes) -> int:
        """Puts bytes into DRAM, where the host has them; their address."""
        self.dram.extend(raw)
        return len(self.dram) - len(raw)

    def kept(self, address: int, size: int) -> bytes:
        """Bytes of DRAM."""
        return bytes(self.dram[address : address + size])

    # --- registers ------------------------------------------------------------------------------------

    def read(self, address: int) -> int:
        """What a register holds; ChipError where there is none."""
        _check_address(address)
        match address:
            case Register.IDENTITY:
                return IDENTITY
            case Register.VERSION:
                return VERSION
            case Register.STATUS:
                return int(self._status())
            case Register.CYCLES_LOW:
                return self.now & 0xFFFFFFFF
            case Register.CYCLES_HIGH:
                return self.now >> 32
            case Register.TRANSFERS:
                return sum(transfer.done <= self.now for transfer in self.transfers)
            case _:
                return self._registers.get(address, 0)

    def write(self, address: int, value: int) -> None:
        """Sets a register, and does what it sets off. ChipError where that cannot be."""
        _check_address(address)
        if not 0 <= value < 1 << 32:
            refuse(ChipError, f"register {address:#x} takes 32 bits, not {value}")
        read_only = address in _READ_ONLY or (
            address >= SEGMENTS and (address - SEGMENTS) % SEGMENT_STRIDE == WRITTEN
        )
        if read_only:
            refuse(ChipError, f"register {address:#x} is read only")
        match address:
            case Register.CONTROL:
                self._control(value)
            case Register.TRANSFER:
                self._transfer(value)
            case _:
                self._registers[address] = value

    def _status(self) -> Status:
        found = Status(0)
        if self._netlist is not None:
            found |= Status.CONFIGURED
        if self.fault is not None:
            found |= Status.FAULT
        if self.array_free > self.now:
            return found | Status.BUSY
        return found | Status.DONE if self.runs else found

    def _control(self, value: int) -> None:
        match value:
            case Control.CONFIGURE:
                self._configure()
            case Control.START:
                self._start()
            case Control.RESET:
                self.reset()
            case _:
                refuse(ChipError, f"{value} written to the control register is no command of it")

    # --- time -----------------------------------------------------------------------------------------

    def wait_transfers(self, count: int) -> None:
        """Until ``count`` transfers since the reset are done."""
        require(
            count <= len(self.transfers),
            ChipError,
            f"waiting for {count} transfers, but {len(self.transfers)} were asked for: it would never end",
        )
        if count:
            self.now = max(self.now, self.transfers[count - 1].done)

    def wait_array(self) -> None:
        """Until the array is done; ChipError where it stopped with a fault."""
        self.now = max(self.now, self.array_free)
        self._in_use = ()
        if self.fault is not None:
            raise self.fault

    # --- transfers ------------------------------------------------------------------------------------

    def _transfer(self, value: int) -> None:
        where = self._registers.get(Register.DRAM_LOW, 0) | self._registers.get(Register.DRAM_HIGH, 0) << 32
        size = self._registers.get(Register.SIZE, 0)
        first = self._registers.get(Register.BUFFER, 0)
        span = Span(first, first + size)
        require(value in tuple(Direction), ChipError, f"{value} is no direction of a transfer")
        require(
            span.last <= len(self.buffer),
            ChipError,
            f"a transfer to bytes {span.first} to {span.last} of a global buffer of {len(self.buffer)}",
        )
        require(
            where + size <= len(self.dram),
            ChipError,
            f"a transfer at byte {where} + {size} of a DRAM of {len(self.dram)} bytes",
        )
        if value == Direction.LOAD:
            busy = self.array_free > self.now and any(span.meets(used) for used in self._in_use)
            require(
                not busy, ChipError, f"a load to byte {span.first} overwrites what the running array uses"
            )
            self.buffer[span.first : span.last] = self.dram[where : where + size]
            self.traffic.loaded_bytes += size
        else:
            self.dram[where : where + size] = self.buffer[span.first : span.last]
            self.traffic.stored_bytes += size
        took = transfer_cycles(size, self.fabric)
        # Requests follow each other without a pause: only the first waits for the DRAM's latency.
        latency = math.ceil(self.fabric.dram.latency_seconds * self.fabric.clock_hertz)
        begins = max(self.now + latency, self.transfers[-1].done if self.transfers else 0)
        self.transfer_busy += took
        self.transfers.append(Transfer(Direction(value), span, begins + took))

    def _check_there(self, span: Span, what: str, pending: Sequence[Transfer]) -> None:
        """Everything that is to be read has come, and what is to be overwritten has gone."""
        if any(transfer.span.meets(span) for transfer in pending):
            refuse(ChipError, f"{what} is used before its transfer is done: wait for it")

    def _pending(self) -> list[Transfer]:
        """What is not done yet: transfers end in the order they were asked for."""
        return list(takewhile(lambda transfer: transfer.done > self.now, reversed(self.transfers)))

    # --- the array ------------------------------------------------------------------------------------

    def _configure(self) -> None:
        first = self._registers.get(Register.CONFIGURATION, 0)
        count = self._registers.get(Register.CONFIGURATION_WORDS, 0)
        span = Span(first, first + CONFIGURATION_BYTES * count)
        require(
            span.last <= len(self.buffer), ChipError, "the configuration lies outside of the global buffer"
        )
        self._check_there(span, "the configuration", self._pending())
        require(self.array_free <= self.now, ChipError, "the array is configured while it runs")
        words = np.frombuffer(self.buffer, "<u4", count, span.first).tolist()
        names = None if self.symbols is None else self.symbols.cells
        netlist = elaborate(decode(words, self.fabric, names), self.fabric)
        if self.symbols is not None and len(self.symbols.segments) == len(netlist.segments):
            named = zip(netlist.segments, self.symbols.segments, strict=True)
            netlist = replace(netlist, segments=tuple(replace(s, name=name) for s, name in named))
        self._netlist = netlist
        self.traffic.configuration_words += count
        # One register of the array a cycle, once the first word has come.
        self.now += self.fabric.buffer_latency + count // 2

    def _start(self) -> None:
        require(self._netlist is not None, ChipError, "the array is started before it is configured")
        require(self.array_free <= self.now, ChipError, "the array is started while it runs")
        assert self._netlist is not None
        netlist = self._bound(self._netlist)
        spans = self._spans(netlist)
        if pending := self._pending():
            for span, part in zip(spans, netlist.segments, strict=True):
                self._check_there(span, part.name, pending)
        arrays = [
            None
            if part.written
            else unpacked(bytes(self.buffer[span.first : span.last]), part.role, self.fabric)
            for span, part in zip(spans, netlist.segments, strict=True)
        ]
        try:
            run = self._simulate(netlist, arrays, self.fabric)
        except ChipError as error:
            self.fault = error
            return
        self.fault = None
        self._keep(netlist, run.results, spans)
        self.runs.append(run)
        self.array_busy += run.cycles
        self.array_free = self.now + run.cycles
        self._in_use = tuple(spans)

    def _bound(self, netlist: Netlist) -> Netlist:
        """The netlist with its segments where the registers say."""
        size = max(1, self.fabric.word_bits // 8)
        segments = tuple(
            replace(part, words=self._segment(at, ELEMENTS), base=self._segment(at, BASE) // size)
            for at, part in enumerate(netlist.segments)
        )
        return replace(netlist, segments=segments)

    def _segment(self, number: int, which: int) -> int:
        return self._registers.get(segment(number, which), 0)

    def _spans(self, netlist: Netlist) -> list[Span]:
        found: list[Span] = []
        for at, part in enumerate(netlist.segments):
            first = self._segment(at, BASE)
            span = Span(first, first + part.words * element_bytes(part.role, self.fabric))
            require(
                span.last <= len(self.buffer),
                ChipError,
                f"{part.name} is bound to bytes {span.first} to {span.last}, but the global buffer has "
                f"{len(self.buffer)}",
            )
            found.append(span)
        return found

    def _keep(self, netlist: Netlist, results: Mapping[int, NDArray[Any]], spans: Sequence[Span]) -> None:
        """Writes results to the buffer, and how many elements they have to their registers."""
        for number, array in results.items():
            part = netlist.segments[number]
            raw = packed(array, part.role, self.fabric, part.name)
            span = spans[number]
            require(
                len(raw) <= span.last - span.first,
                ChipError,
                f"{part.name} has {len(array)} elements, but there is room for {part.words}",
            )
            self.buffer[span.first : span.first + len(raw)] = raw
            self._registers[segment(number, WRITTEN)] = len(array)


def transfer_cycles(size: int, fabric: Fabric) -> int:
    """Cycles in which DRAM moves ``size`` bytes, once it has begun."""
    return math.ceil(size / fabric.dram.bytes_per_second * fabric.clock_hertz)


def _check_address(address: int) -> None:
    if address in _REGISTERS:
        return
    at = address - SEGMENTS
    number, which = divmod(at, SEGMENT_STRIDE)
    sound = at >= 0 and number < MOST_SEGMENTS and which in (BASE, ELEMENTS, WRITTEN)
    require(sound, ChipError, f"the device has no register {address:#x}")
