"""The device's registers: byte addresses of 32-bit words, as the host sees them."""

from __future__ import annotations

from enum import IntEnum, IntFlag

IDENTITY = int.from_bytes(b"AERD", "big")
VERSION = 1


class Register(IntEnum):
    """``IDENTITY`` to ``CYCLES_HIGH`` are read, all others written as well."""

    IDENTITY = 0x00
    VERSION = 0x04
    STATUS = 0x08
    CYCLES_LOW = 0x0C
    CYCLES_HIGH = 0x10
    TRANSFERS = 0x14
    CONTROL = 0x20
    CONFIGURATION = 0x24
    CONFIGURATION_WORDS = 0x28
    DRAM_LOW = 0x30
    DRAM_HIGH = 0x34
    BUFFER = 0x38
    SIZE = 0x3C
    TRANSFER = 0x40


class Status(IntFlag):
    CONFIGURED = 1
    BUSY = 2
    DONE = 4
    FAULT = 8


class Control(IntEnum):
    """What a write of this number to ``CONTROL`` does."""

    CONFIGURE = 1
    START = 2
    RESET = 4


class Direction(IntEnum):
    """What a write of this number to ``TRANSFER`` does with DRAM_LOW/HIGH, BUFFER and SIZE."""

    LOAD = 1
    STORE = 2


SEGMENTS = 0x1000
SEGMENT_STRIDE = 0x10
"""Registers of segment s begin at SEGMENTS + s * SEGMENT_STRIDE: its base, a byte of the buffer; elements,
of a result the room for them; and, to be read, the elements that the last run wrote."""
BASE, ELEMENTS, WRITTEN = 0x0, 0x4, 0x8


def segment(number: int, which: int) -> int:
    """The address of one of a segment's registers."""
    return SEGMENTS + number * SEGMENT_STRIDE + which
