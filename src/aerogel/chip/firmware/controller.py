"""Commands carried out: each is a few writes of registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from aerogel.chip.firmware.commands import Bind, Command, Configure, Load, Poll, Start, Store, Wait, decode
from aerogel.chip.firmware.device import Device
from aerogel.chip.firmware.registers import BASE, ELEMENTS, Control, Direction, Register, segment


def execute(words: Sequence[int], device: Device) -> None:
    """Carries out the commands in ``words``; ChipError, with nothing done, where these are none."""
    for command in decode(words):
        _carry_out(command, device)


def _carry_out(command: Command, device: Device) -> None:
    match command:
        case Load(low, high, buffer, size):
            _move(device, low, high, buffer, size, Direction.LOAD)
        case Store(buffer, low, high, size):
            _move(device, low, high, buffer, size, Direction.STORE)
        case Wait(transfers):
            device.wait_transfers(transfers)
        case Configure(buffer, words):
            device.write(Register.CONFIGURATION, buffer)
            device.write(Register.CONFIGURATION_WORDS, words)
            device.write(Register.CONTROL, Control.CONFIGURE)
        case Bind(number, buffer, elements):
            device.write(segment(number, BASE), buffer)
            device.write(segment(number, ELEMENTS), elements)
        case Start():
            device.write(Register.CONTROL, Control.START)
        case Poll():
            device.wait_array()
        case _:
            assert_never(command)


def _move(device: Device, low: int, high: int, buffer: int, size: int, direction: Direction) -> None:
    device.write(Register.DRAM_LOW, low)
    device.write(Register.DRAM_HIGH, high)
    device.write(Register.BUFFER, buffer)
    device.write(Register.SIZE, size)
    device.write(Register.TRANSFER, direction)
