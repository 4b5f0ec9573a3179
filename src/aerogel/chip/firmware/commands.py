"""Commands to the device: what the driver sends, as versioned words with a checksum.

    word 0   the magic number, "AERC" in ASCII
    word 1   the version of this format
    word 2   the number of commands
    then     the commands: the code in bits 16-31, the number of argument words in bits 0-15; the arguments
    last     CRC-32 of all words before it

Addresses are bytes; those in DRAM are two words, low one first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from aerogel.chip.configure.words import checksum
from aerogel.core.errors import ChipError, refuse, require

MAGIC = int.from_bytes(b"AERC", "big")
VERSION = 1
_HEADER = 3


@dataclass(frozen=True, slots=True)
class Load:
    """Moves bytes from DRAM to the global buffer; goes on while later commands run."""

    code: ClassVar[int] = 1
    dram_low: int
    dram_high: int
    buffer: int
    size: int


@dataclass(frozen=True, slots=True)
class Store:
    """Moves bytes from the global buffer to DRAM; goes on while later commands run."""

    code: ClassVar[int] = 2
    buffer: int
    dram_low: int
    dram_high: int
    size: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Until as many transfers as this, counted from the device's reset, are done."""

    code: ClassVar[int] = 3
    transfers: int


@dataclass(frozen=True, slots=True)
class Configure:
    """Sets tiles and switches to the configuration at ``buffer``, ``words`` words long."""

    code: ClassVar[int] = 4
    buffer: int
    words: int


@dataclass(frozen=True, slots=True)
class Bind:
    """Says where segment ``segment`` is: at ``buffer``, with ``elements`` elements, or room for them."""

    code: ClassVar[int] = 5
    segment: int
    buffer: int
    elements: int


@dataclass(frozen=True, slots=True)
class Start:
    """Runs the array; goes on while later commands run."""

    code: ClassVar[int] = 6


@dataclass(frozen=True, slots=True)
class Poll:
    """Until the array is done."""

    code: ClassVar[int] = 7


Command = Load | Store | Wait | Configure | Bind | Start | Poll
COMMANDS: dict[int, type[Command]] = {
    kind.code: kind for kind in (Load, Store, Wait, Configure, Bind, Start, Poll)
}
"""By code: append, never renumber."""


_ARGUMENTS = {code: tuple(field.name for field in fields(kind)) for code, kind in COMMANDS.items()}


def split(address: int) -> tuple[int, int]:
    """An address in DRAM as two words."""
    return address & 0xFFFFFFFF, address >> 32


def encode(commands: Sequence[Command]) -> tuple[int, ...]:
    """The words of commands; ChipError for an argument that 32 bits do not hold."""
    words = [MAGIC, VERSION, len(commands)]
    for command in commands:
        arguments: list[int] = [getattr(command, name) for name in _ARGUMENTS[command.code]]
        if arguments and not (min(arguments) >= 0 and max(arguments) < 1 << 32):
            refuse(ChipError, f"{command} has an argument that 32 bits do not hold")
        words += [command.code << 16 | len(arguments), *arguments]
    return (*words, checksum(words))


def decode(words: Sequence[int]) -> tuple[Command, ...]:
    """The commands; ChipError, saying which word, where these are none."""
    require(len(words) > _HEADER, ChipError, f"the commands end at word {len(words)}, within their header")
    for at, word in enumerate(words):
        if not 0 <= word < 1 << 32:
            refuse(ChipError, f"command word {at} is {word}: it must have 32 bits")
    require(words[0] == MAGIC, ChipError, f"command word 0 is {words[0]:#010x}: these are no commands")
    require(
        words[1] == VERSION,
        ChipError,
        f"command word 1 says version {words[1]}, but this device takes {VERSION}",
    )
    require(
        words[-1] == checksum(words[:-1]),
        ChipError,
        f"command word {len(words) - 1}, the checksum, does not fit the words before it: they are damaged",
    )
    found = tuple(_read(words))
    require(
        len(found) == words[2],
        ChipError,
        f"command word 2 announces {words[2]} commands, but there are {len(found)}",
    )
    return found


def _read(words: Sequence[int]) -> Iterator[Command]:
    at, end = _HEADER, len(words) - 1
    while at < end:
        code, count = words[at] >> 16, words[at] & 0xFFFF
        kind = COMMANDS.get(code)
        if kind is None:
            refuse(ChipError, f"command word {at} is {words[at]:#010x}: there is no command {code}")
        wanted = len(_ARGUMENTS[code])
        if count != wanted or at + 1 + count > end:
            given = min(count, end - at - 1)
            refuse(ChipError, f"command word {at}: {kind.__name__} takes {wanted} arguments, not {given}")
        yield kind(*words[at + 1 : at + 1 + count])
        at += 1 + count
