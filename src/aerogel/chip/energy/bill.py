"""What a run is charged for: its counts as amounts of table entries. Nothing that was counted is left out.

The boundary is the chip (tiles, network, buffer, clock, leakage) and its DRAM; the host is outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Literal

from aerogel.chip.energy.area import Area, area
from aerogel.chip.energy.blocks import BLOCKS, OPERATION_CLASS
from aerogel.chip.energy.table import Table
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.counts import Counts
from aerogel.chip.machine.netlist import Values
from aerogel.core.errors import ChipError, require

Group = Literal[
    "arithmetic",
    "blocks",
    "network",
    "memory tiles",
    "global buffer",
    "configuration",
    "clock",
    "leakage",
    "DRAM",
]
VALUE_BITS: dict[Values, int] = {"bf16": 16, "int16": 16, "f32": 32, "f64": 64}
_PICO = 1e-12
_REFERENCE_BITS = 8 * 1024 * 8
"""Of the memory that the entry ``memory/bit`` is for."""


@dataclass(frozen=True, slots=True)
class Charge:
    """``amount`` actions of ``joules`` each; ``name`` says which."""

    group: Group
    name: str
    amount: float
    joules_each: float

    @property
    def joules(self) -> float:
        return self.amount * self.joules_each


@dataclass(frozen=True, slots=True)
class Machine:
    """A fabric at its voltage with the table that prices it."""

    fabric: Fabric
    table: Table
    values: Values
    area: Area

    def cost(self, key: str) -> float:
        """An entry at this machine's node and voltage, in its unit."""
        return self.table.at(key, self.fabric.volts)

    def token_bits(self, kind: Kind) -> int:
        """Of a token on a wire: its payload, and one that says whether it is one."""
        payload = VALUE_BITS[self.values] if kind is Kind.VALUE else self.fabric.word_bits
        return 1 + (0 if kind is Kind.REPEAT else payload)

    def memory_bit(self, bits: float) -> float:
        """pJ for a bit read from or written to a memory of so many bits: grows with the root of its size."""
        return self.cost("memory/bit") * sqrt(bits / _REFERENCE_BITS)


def machine_of(fabric: Fabric, table: Table, values: Values | None = None) -> Machine:
    """``values``: what was computed in, where that is not the fabric's usual."""
    return Machine(fabric, table, values or fabric.values, area(fabric, table))


def bill(counts: Counts, machine: Machine, seconds: float) -> tuple[Charge, ...]:
    """All that a run of ``seconds`` is charged for, before calibration."""
    least = counts.cycles / machine.fabric.clock_hertz
    told = (
        f"{counts.cycles} cycles take {least:g} s on {machine.fabric.name}, more than the {seconds:g} s given"
    )
    require(seconds >= least * (1 - 1e-9), ChipError, told)
    return (
        *_arithmetic(counts, machine),
        *_blocks(counts, machine),
        *_network(counts, machine),
        *_memories(counts, machine),
        *_standing(counts, machine, seconds),
    )


def _arithmetic(counts: Counts, machine: Machine) -> Iterator[Charge]:
    for name, amount in counts.operations.items():
        told = f"operation {name!r} was counted, but energy/blocks.py does not say what it costs: add a line"
        require(name in OPERATION_CLASS, ChipError, told)
        key = f"arithmetic/{machine.values}/{OPERATION_CLASS[name]}"
        yield Charge("arithmetic", f"{name}, {machine.values}", amount, machine.cost(key) * _PICO)


def _blocks(counts: Counts, machine: Machine) -> Iterator[Charge]:
    word, value = machine.fabric.word_bits, VALUE_BITS[machine.values]
    for opcode, amount in counts.steps.items():
        told = (
            f"steps of {opcode.name} were counted, but energy/blocks.py does not say what one costs: add it"
        )
        require(opcode in BLOCKS, ChipError, told)
        parts = BLOCKS[opcode]
        each = machine.cost("logic/register") * (parts.registers * word + parts.value_registers * value)
        each += machine.cost("logic/adder") * parts.adders * word
        each += machine.cost("logic/comparator") * parts.comparators * word
        each += machine.cost("logic/multiplier") * parts.multipliers * word**2
        yield Charge("blocks", opcode.name.lower().replace("_", " "), amount, each * _PICO)


def _network(counts: Counts, machine: Machine) -> Iterator[Charge]:
    hop = machine.cost("network/switch") + machine.cost("network/wire") * machine.area.pitch_mm
    for kind, amount in counts.hops.items():
        yield Charge("network", f"hops, {kind.value}", amount, hop * machine.token_bits(kind) * _PICO)
    # A token is put into a queue at its reader even where that is next to its sender.
    queue = machine.cost("logic/register") * 2
    for kind, amount in counts.tokens.items():
        yield Charge("network", f"queues, {kind.value}", amount, queue * machine.token_bits(kind) * _PICO)
    if machine.fabric.input_queue:
        # Written to and read from its reader's own queue as well: an upper bound, for forks have none.
        for kind, amount in counts.tokens.items():
            each = queue * machine.token_bits(kind) * _PICO
            yield Charge("network", f"queues of inputs, {kind.value}", amount, each)


def _memories(counts: Counts, machine: Machine) -> Iterator[Charge]:
    fabric = machine.fabric
    word, tile_bits = fabric.word_bits, fabric.memory_words * fabric.word_bits
    tile = machine.memory_bit(tile_bits) * word * _PICO
    yield Charge("memory tiles", "words read", counts.memory_reads, tile)
    yield Charge("memory tiles", "words written", counts.memory_writes, tile)
    # From a bank to the edge of the array, then on average halfway down it.
    way = machine.cost("network/wire") * (machine.area.bank_side_mm + machine.area.height_mm / 2)
    bank = machine.memory_bit(fabric.buffer_bytes * 8 / fabric.buffer_banks)
    each = (bank + way) * word * _PICO
    yield Charge("global buffer", "words read", counts.buffer_reads, each)
    yield Charge("global buffer", "words written", counts.buffer_writes, each)
    setting = 64 * machine.cost("network/wire") * machine.area.height_mm + 32 * machine.cost("logic/register")
    yield Charge("configuration", "words written", counts.configuration_words, setting * _PICO)
    dram = machine.cost(f"dram/{fabric.dram.kind}") * 8 * _PICO
    yield Charge("DRAM", f"bytes read, {fabric.dram.kind}", counts.dram_read_bytes, dram)
    yield Charge("DRAM", f"bytes written, {fabric.dram.kind}", counts.dram_written_bytes, dram)


def _standing(counts: Counts, machine: Machine, seconds: float) -> Iterator[Charge]:
    fabric, at = machine.fabric, machine.area
    tick, gated = machine.cost("clock/bit") * _PICO, machine.cost("clock/gated")
    # While the array waits for DRAM, nothing of it is in use.
    waiting = max(0.0, seconds * fabric.clock_hertz - counts.cycles)
    for name, used, there, bits in (
        ("processing tiles", counts.processing_tiles, fabric.processing_tiles, at.processing.clocked_bits),
        ("memory tiles", counts.memory_tiles, fabric.memory_tiles, at.memory.clocked_bits),
        ("buffer banks", fabric.buffer_banks, fabric.buffer_banks, at.bank.clocked_bits),
    ):
        told = f"{used} {name} were in use, of the {there} that {fabric.name} has"
        require(used <= there, ChipError, told)
        yield Charge("clock", f"cycles of {name} in use", counts.cycles * used, tick * bits)
        rest = counts.cycles * (there - used) + waiting * there
        yield Charge("clock", f"cycles of {name} not in use", rest, tick * bits * gated)
    logic = machine.cost("leakage/logic") * at.gates_mm2
    yield Charge("leakage", "seconds of logic", seconds, logic)
    yield Charge("leakage", "seconds of memories", seconds, machine.cost("leakage/memory") * at.memory_bits)
