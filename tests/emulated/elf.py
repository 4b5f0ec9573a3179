"""ELF objects for 64-bit ARM put into an image at a chosen address.

Source: ELF for the Arm 64-bit Architecture (AAELF64), 5.7: the relocations that LLVM uses for
position-independent code in the small model. Any other is an error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

_ALLOC, _NOBITS, _RELA, _SYMTAB, _AARCH64 = 2, 8, 4, 2, 183


class _Kind(IntEnum):
    ABS64 = 257
    PREL64 = 260
    PREL32 = 261
    ADR_PREL_PG_HI21 = 275
    ADD_ABS_LO12_NC = 277
    JUMP26 = 282
    CALL26 = 283


# Low 12 bits of an address in a load or store, by the width of the access: log2 of its bytes.
_LOAD_LOW = {278: 0, 284: 1, 285: 2, 286: 3, 299: 4}


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    each: int


class _Symbol(NamedTuple):
    name: str
    section: int
    value: int


@dataclass(frozen=True)
class Image:
    """``code`` as it stands in memory from its base on; ``symbols``: addresses of what it defines."""

    code: bytes
    symbols: Mapping[str, int]


def load(code: bytes, base: int, outside: Mapping[str, int]) -> Image:
    """The object's sections laid out from ``base`` on; ``outside``: addresses of what it may call."""
    assert code[:6] == b"\x7fELF\x02\x01", "64 bits, little-endian"
    assert struct.unpack_from("<HH", code, 16) == (1, _AARCH64), "a relocatable object for ARM"
    (start,) = struct.unpack_from("<Q", code, 40)
    each, count = struct.unpack_from("<HH", code, 58)
    sections = [_Section(*struct.unpack_from("<IIQQQQIIQQ", code, start + each * i)) for i in range(count)]
    symbols = list(_symbols(code, sections))
    starts, memory = _layout(code, sections)

    def address(symbol: _Symbol) -> int:
        if symbol.section == 0:
            return outside[symbol.name]
        return base + starts[symbol.section] + symbol.value

    for section in sections:
        if section.kind == _RELA and section.info in starts:
            for at in range(section.offset, section.offset + section.size, section.each):
                where, info, addend = struct.unpack_from("<QQq", code, at)
                target = address(symbols[info >> 32]) + addend
                _relocate(memory, starts[section.info] + where, base, info & 0xFFFFFFFF, target)
    return Image(bytes(memory), {s.name: address(s) for s in symbols if s.name and s.section in starts})


def _symbols(code: bytes, sections: list[_Section]) -> Iterator[_Symbol]:
    for section in sections:
        if section.kind == _SYMTAB:
            names = sections[section.link].offset
            for at in range(section.offset, section.offset + section.size, section.each):
                name, _, _, where, value, _ = struct.unpack_from("<IBBHQQ", code, at)
                yield _Symbol(code[names + name : code.index(b"\0", names + name)].decode(), where, value)


def _layout(code: bytes, sections: list[_Section]) -> tuple[dict[int, int], bytearray]:
    """Offset of each section in the image, and the image before relocation."""
    starts: dict[int, int] = {}
    memory = bytearray()
    for number, section in enumerate(sections):
        if section.flags & _ALLOC:
            memory.extend(bytes(-len(memory) % max(1, section.alignment)))
            starts[number] = len(memory)
            here = code[section.offset : section.offset + section.size]
            memory.extend(bytes(section.size) if section.kind == _NOBITS else here)
    return starts, memory


def _relocate(memory: bytearray, at: int, base: int, kind: int, target: int) -> None:
    here = base + at
    match kind:
        case _Kind.ABS64:
            struct.pack_into("<Q", memory, at, target)
        case _Kind.PREL64 | _Kind.PREL32:
            struct.pack_into("<q" if kind == _Kind.PREL64 else "<i", memory, at, target - here)
        case _Kind.JUMP26 | _Kind.CALL26:
            _insert(memory, at, (target - here) >> 2, bits=26, shift=0)
        case _Kind.ADR_PREL_PG_HI21:
            pages = (target >> 12) - (here >> 12)
            _insert(memory, at, pages & 3, bits=2, shift=29)
            _insert(memory, at, pages >> 2, bits=19, shift=5)
        case _Kind.ADD_ABS_LO12_NC:
            _insert(memory, at, target & 0xFFF, bits=12, shift=10)
        case _ if kind in _LOAD_LOW:
            scale = _LOAD_LOW[kind]
            assert target % (1 << scale) == 0, "a load of data that is not aligned to it"
            _insert(memory, at, (target & 0xFFF) >> scale, bits=12, shift=10)
        case _:
            raise NotImplementedError(f"relocation {kind}")


def _insert(memory: bytearray, at: int, value: int, *, bits: int, shift: int) -> None:
    """Put a signed or unsigned field of an instruction, which is 0 before."""
    assert -(1 << (bits - 1)) <= value < 1 << bits, "too far away"
    (word,) = struct.unpack_from("<I", memory, at)
    struct.pack_into("<I", memory, at, word | (value & ((1 << bits) - 1)) << shift)
