"""The device alone: its registers, its transfers, its time, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import aerogel as ag
from aerogel.chip.configure.words import checksum
from aerogel.chip.entry import CompiledChip
from aerogel.chip.fabric.read import load
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
from aerogel.chip.firmware.device import Device, transfer_cycles
from aerogel.chip.firmware.image import packed, unpacked
from aerogel.chip.firmware.registers import ELEMENTS, IDENTITY, WRITTEN, Register, Status, segment
from aerogel.chip.machine.step import step
from aerogel.core.errors import ChipError

FABRIC = replace(load("onyx-large"), name="test", values="f64")
MATRIX = np.asarray([[0.0, 2, 0], [3, 0, 4]])
VECTOR = np.asarray([1.0, 10, 100])
ROOM = 1024


@pytest.fixture(scope="module")
def chip() -> CompiledChip:
    return ag.chip.compile(
        "y(i) = A(i,j) * x(j)", fabric=FABRIC, copies=1, A=ag.tensor(MATRIX, "csr"), x=VECTOR
    )


@pytest.fixture
def device() -> Device:
    return Device(FABRIC, step)


def _do(device: Device, *commands: Command) -> None:
    execute(encode(commands), device)


def _configuration(device: Device, words: Sequence[int]) -> list[Command]:
    raw = np.asarray(words, "<u4").tobytes()
    return [Load(*split(device.keep(raw)), 0, len(raw)), Wait(1), Configure(0, len(words))]


def _operands(device: Device, chip: CompiledChip) -> tuple[list[Command], list[Command]]:
    """Loads of every operand, and where all segments are."""
    arrays = {
        "A.pos1": np.asarray([0, 1, 3]),
        "A.crd1": np.asarray([1, 0, 2]),
        "A.vals": np.asarray([2.0, 3, 4]),
        "x.vals": VECTOR,
    }
    loads: list[Command] = []
    binds: list[Command] = []
    first = 1 << 16
    for number, part in enumerate(chip.program.segments):
        if part.written:
            binds.append(Bind(number, first, 2))
        else:
            raw = packed(arrays[part.name], part.role, FABRIC, part.name)
            loads.append(Load(*split(device.keep(raw)), first, len(raw)))
            binds.append(Bind(number, first, len(arrays[part.name])))
        first += ROOM
    return loads, binds


def test_a_product_by_hand(device: Device, chip: CompiledChip) -> None:
    """The whole protocol, command by command."""
    assert device.read(Register.IDENTITY) == IDENTITY
    _do(device, *_configuration(device, chip.configuration()))
    assert device.read(Register.STATUS) == Status.CONFIGURED
    loads, binds = _operands(device, chip)
    _do(device, *loads, Wait(1 + len(loads)), *binds, Start())
    assert device.read(Register.STATUS) & Status.BUSY
    _do(device, Poll())
    assert device.read(Register.STATUS) == Status.CONFIGURED | Status.DONE
    number = next(n for n, part in enumerate(chip.program.segments) if part.written)
    assert device.read(segment(number, WRITTEN)) == 2
    address = device.keep(bytes(16))
    bind = next(b for b in binds if isinstance(b, Bind) and b.segment == number)
    _do(device, Store(bind.buffer, *split(address), 16), Wait(2 + len(loads)))
    np.testing.assert_array_equal(unpacked(device.kept(address, 16), "vals", FABRIC), MATRIX @ VECTOR)
    assert device.now == device.read(Register.CYCLES_LOW) >= device.array_busy > 0


def test_time_of_a_transfer(device: Device) -> None:
    """DRAM's latency once, then its bandwidth; what follows at once does not wait again."""
    address = device.keep(bytes(4096))
    latency = round(FABRIC.dram.latency_seconds * FABRIC.clock_hertz)
    _do(device, Load(*split(address), 0, 4096), Load(*split(address), 4096, 4096))
    assert device.read(Register.TRANSFERS) == 0
    _do(device, Wait(2))
    assert device.read(Register.TRANSFERS) == 2
    assert device.now == latency + 2 * transfer_cycles(4096, FABRIC)
    seconds = 4096 / FABRIC.dram.bytes_per_second
    assert transfer_cycles(4096, FABRIC) == pytest.approx(seconds * FABRIC.clock_hertz, abs=1)


def test_what_is_not_ready_is_an_error(device: Device, chip: CompiledChip) -> None:
    with pytest.raises(ChipError, match="started before it is configured"):
        _do(device, Start())
    load, wait, configure = _configuration(device, chip.configuration())
    with pytest.raises(ChipError, match="the configuration is used before its transfer is done"):
        _do(device, load, configure)
    _do(device, wait, configure)
    loads, binds = _operands(device, chip)
    with pytest.raises(ChipError, match=r"used before its transfer is done"):
        _do(device, *loads, *binds, Start())
    _do(device, Wait(1 + len(loads)), Start())
    with pytest.raises(ChipError, match="started while it runs"):
        _do(device, Start())
    with pytest.raises(ChipError, match="overwrites what the running array uses"):
        _do(device, loads[0])
    with pytest.raises(ChipError, match="it would never end"):
        _do(device, Wait(99))


def test_a_wrong_configuration_is_refused(device: Device, chip: CompiledChip) -> None:
    words = list(chip.configuration())
    for wrong, said in (
        (words[:-3], "truncated"),
        ([*words[:20], words[20] ^ 4, *words[21:]], "checksum"),
        (_fingerprint_of(words), "made for another fabric"),
    ):
        fresh = Device(FABRIC, step)
        with pytest.raises(ChipError, match=said):
            _do(fresh, *_configuration(fresh, wrong))
        assert not fresh.read(Register.STATUS) & Status.CONFIGURED
    _do(device, *_configuration(device, words))


def _fingerprint_of(words: list[int]) -> list[int]:
    other = [*words[:3], words[3] ^ 1, *words[4:-1]]
    return [*other, checksum(other)]


def test_a_fault_of_the_array_comes_with_the_poll(device: Device, chip: CompiledChip) -> None:
    """A result that has no room: the fault register says so, and no result is kept."""
    _do(device, *_configuration(device, chip.configuration()))
    loads, binds = _operands(device, chip)
    small = [replace(b, elements=1) if isinstance(b, Bind) and b.elements == 2 else b for b in binds]
    _do(device, *loads, Wait(1 + len(loads)), *small, Start())
    assert device.read(Register.STATUS) & Status.FAULT
    with pytest.raises(ChipError, match="needs more than the 1 words there is room for"):
        _do(device, Poll())


def test_registers_that_are_none(device: Device) -> None:
    for address in (0x44, 0x2, segment(256, 0), segment(0, 0xC)):
        with pytest.raises(ChipError, match="has no register"):
            device.read(address)
    for address in (Register.STATUS, segment(0, WRITTEN)):
        with pytest.raises(ChipError, match="is read only"):
            device.write(address, 0)
    with pytest.raises(ChipError, match="takes 32 bits"):
        device.write(segment(0, ELEMENTS), 1 << 32)
    with pytest.raises(ChipError, match="is no command of it"):
        device.write(Register.CONTROL, 3)
    with pytest.raises(ChipError, match="global buffer of"):
        _do(device, Load(0, 0, len(device.buffer) - 1, 2))
    with pytest.raises(ChipError, match="a DRAM of"):
        _do(device, Load(0, 0, 0, 2))


def test_a_reset_forgets_all_but_memories(device: Device) -> None:
    address = device.keep(b"abcd")
    _do(device, Load(*split(address), 0, 4), Wait(1))
    device.write(Register.CONTROL, 4)
    facts: tuple[Any, ...] = (device.now, device.transfers, device.netlist, bytes(device.buffer[:4]))
    assert facts == (0, [], None, b"abcd")
