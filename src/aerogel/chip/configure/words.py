"""A configuration as 32-bit words: a header, (address, data) pairs in ascending order, a checksum.

word 0      the magic number, "AERO" in ASCII
word 1      the version of this layout
words 2, 3  the fabric's fingerprint, high half first
word 4      bits 0-7 the type of values, bits 8-15 bits of a word of the fabric
word 5      the number of pairs
then        the pairs
last        CRC-32 of all words before it, each as four bytes, lowest first
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from aerogel.chip.configure.design import VALUES
from aerogel.chip.fabric.fabric import Fabric
from aerogel.core.errors import ChipError, refuse, require

MAGIC = int.from_bytes(b"AERO", "big")
VERSION = 2
HEADER = 6
_STRUCTURE = (
    "rows", "columns", "processing_columns", "tracks", "fifo_depth", "input_queue", "word_bits", "values",
    "memory_words", "line_words",
)  # fmt: skip
"""What a configuration depends on; clock, memories off the array and voltage may change under it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """``at``: the number of the word that holds the address, for messages; -1 where none does yet."""

    address: int
    data: int
    at: int = -1


def fingerprint(fabric: Fabric) -> int:
    """64 bits of a hash of what a configuration of the fabric depends on."""
    parts = ",".join(f"{name}={getattr(fabric, name)}" for name in _STRUCTURE)
    return int.from_bytes(hashlib.sha256(parts.encode()).digest()[:8], "big")


def checksum(words: Sequence[int]) -> int:
    return zlib.crc32(struct.pack(f"<{len(words)}I", *words))


def framed(pairs: Iterable[Pair], fabric: Fabric) -> tuple[int, ...]:
    """The words of a configuration."""
    listed = sorted(pairs, key=lambda pair: pair.address)
    mark = fingerprint(fabric)
    kinds = VALUES.index(fabric.values) | fabric.word_bits << 8
    head = (MAGIC, VERSION, mark >> 32, mark & 0xFFFFFFFF, kinds, len(listed))
    words = (*head, *(word for pair in listed for word in (pair.address, pair.data)))
    return (*words, checksum(words))


def unframed(words: Sequence[int], fabric: Fabric) -> tuple[Pair, ...]:
    """The pairs; ChipError, saying which word, unless these are a sound configuration of this fabric."""
    _check_size(words)
    for at, word in enumerate(words):
        if not 0 <= word < 1 << 32:
            refuse(ChipError, f"configuration word {at} is {word}: it must have 32 bits")
    require(
        words[0] == MAGIC,
        ChipError,
        f"configuration word 0 is {words[0]:#010x}, not {MAGIC:#010x}: this is no configuration",
    )
    require(
        words[1] == VERSION,
        ChipError,
        f"configuration word 1 says version {words[1]}, but this device reads {VERSION}: compile again",
    )
    _check_length(words)
    found = checksum(words[:-1])
    require(
        words[-1] == found,
        ChipError,
        f"configuration word {len(words) - 1}, the checksum, is {words[-1]:#010x}, but the words before "
        f"it give {found:#010x}: the configuration is damaged",
    )
    _check_fabric(words, fabric)
    return _pairs(words)


def _check_size(words: Sequence[int]) -> None:
    require(
        len(words) > HEADER,
        ChipError,
        f"the configuration ends at word {len(words)}, within its header of {HEADER} words",
    )


def _check_length(words: Sequence[int]) -> None:
    wanted = HEADER + 2 * words[5] + 1
    require(
        len(words) == wanted,
        ChipError,
        f"configuration word 5 announces {words[5]} pairs, {wanted} words in all, but {len(words)} came: "
        + ("it is truncated" if len(words) < wanted else "something follows it"),
    )


def _check_fabric(words: Sequence[int], fabric: Fabric) -> None:
    mark = fingerprint(fabric)
    require(
        (words[2], words[3]) == (mark >> 32, mark & 0xFFFFFFFF),
        ChipError,
        f"configuration words 2 and 3 are the fingerprint {words[2] << 32 | words[3]:#018x}, but "
        f"{fabric.name} has {mark:#018x}: it was made for another fabric",
    )
    kinds = VALUES.index(fabric.values) | fabric.word_bits << 8
    require(
        words[4] == kinds,
        ChipError,
        f"configuration word 4 is {words[4]:#x}, but {fabric.name} computes {fabric.values} with words of "
        f"{fabric.word_bits} bits, {kinds:#x}",
    )


def _pairs(words: Sequence[int]) -> tuple[Pair, ...]:
    pairs = tuple(Pair(words[at], words[at + 1], at) for at in range(HEADER, len(words) - 1, 2))
    for before, after in pairwise(pairs):
        require(
            before.address < after.address,
            ChipError,
            f"configuration word {after.at}, address {after.address:#010x}, does not come after "
            f"{before.address:#010x}: every register is set once, in ascending order",
        )
    return pairs
