"""Machine code from an object file into memory, without LLVM: its loader costs 45 MB and a tenth of a second.

An object of ours is a few sections that refer to each other and call a function or two of libc. On Linux and
x86-64 that is three kinds of relocation (System V ABI, AMD64 supplement, table 4.9). Whatever else an object
holds, and every other system, is left to LLVM: see ``engine``.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

AVAILABLE = sys.platform == "linux" and platform.machine() == "x86_64"

_PAGE = mmap.PAGESIZE
_PROGBITS, _SYMTAB, _RELA, _NOBITS = 1, 2, 4, 8
# Tables for unwinding: nothing is thrown through our code.
_UNWIND = 0x70000001
_WRITE, _ALLOC, _EXECUTE, _TLS = 1, 2, 4, 1 << 10
_UNDEFINED, _RESERVED = 0, 0xFF00
# S + A; S + A - P; the same for a function, whose S may be a stub near by.
_R64, _PC32, _PLT32 = 1, 2, 4
# jmp [rip + 0], and the address it reads.
_STUB = b"\xff\x25\0\0\0\0"
_STUB_BYTES = 16


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


class _Unknown(Exception):  # noqa: N818 (not an error: LLVM takes over)
    """The object holds something that is not placed here."""


@dataclass(frozen=True)
class Placed:
    """Code in memory while this object lives. ``addresses``: by symbol."""

    addresses: Mapping[str, int]
    memory: mmap.mmap


def place(code: bytes, symbols: Sequence[str]) -> Placed | None:
    """Load an object; None where this system or anything in the object is not for us, or ``symbols`` are
    not all there. Pages are writable before they are executable, never both."""
    if not AVAILABLE:
        return None
    try:
        return _Object(code).placed(symbols)
    except (_Unknown, struct.error, IndexError, UnicodeDecodeError, OSError):
        return None


class _Object:
    def __init__(self, code: bytes) -> None:
        self._code = code
        # 64 bits, little-endian, relocatable, for x86-64.
        ours = code[:6] == b"\x7fELF\x02\x01" and struct.unpack_from("<HH", code, 16) == (1, 62)
        _know(ours)
        (start,) = struct.unpack_from("<Q", code, 40)
        each, count = struct.unpack_from("<HH", code, 58)
        self._sections = [
            _Section(*struct.unpack_from("<IIQQQQIIQQ", code, start + each * i)) for i in range(count)
        ]
        for section in self._sections:
            inside = section.kind == _NOBITS or section.offset + section.size <= len(code)
            _know(inside and not (section.flags & _ALLOC and section.flags & (_WRITE | _TLS)))
        self._symbols = list(self._read_symbols())

    def placed(self, wanted: Sequence[str]) -> Placed:
        starts, size = self._layout()
        outside = sorted({s.name for s in self._symbols if s.section == _UNDEFINED and s.name})
        stubs = {name: size + _STUB_BYTES * i for i, name in enumerate(outside)}
        memory = mmap.mmap(
            -1, size + _STUB_BYTES * len(stubs) or 1, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        )
        base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for number, at in starts.items():
            section = self._sections[number]
            if section.kind == _PROGBITS:
                memory[at : at + section.size] = self._code[section.offset : section.offset + section.size]
        for name, at in stubs.items():
            memory[at : at + 14] = _STUB + struct.pack("<Q", _libc(name))

        def address(symbol: _Symbol) -> int:
            if symbol.section == _UNDEFINED:
                return base + stubs[symbol.name]
            _know(symbol.section in starts)
            return base + starts[symbol.section] + symbol.value

        self._relocate(memory, starts, base, address)
        addresses = {s.name: address(s) for s in self._symbols if s.name in wanted and s.section}
        _know(set(addresses) == set(wanted))
        _executable(base, len(memory))
        return Placed(addresses, memory)

    def _layout(self) -> tuple[dict[int, int], int]:
        """Where each section goes, and the end of the last."""
        starts: dict[int, int] = {}
        end = 0
        for number, section in enumerate(self._sections):
            if not section.flags & _ALLOC or not section.size or section.kind == _UNWIND:
                continue
            _know(section.kind in (_PROGBITS, _NOBITS) and 0 < section.alignment <= _PAGE)
            starts[number] = -(-end // section.alignment) * section.alignment
            end = starts[number] + section.size
        return starts, -(-end // _STUB_BYTES) * _STUB_BYTES

    def _read_symbols(self) -> Iterator[_Symbol]:
        for section in self._sections:
            if section.kind != _SYMTAB:
                continue
            names = self._sections[section.link].offset
            for at in range(section.offset, section.offset + section.size, section.each):
                name, _, _, where, value, _ = struct.unpack_from("<IBBHQQ", self._code, at)
                end = self._code.find(b"\0", names + name)
                yield _Symbol(self._code[names + name : end].decode(), where, value)

    def _relocate(
        self,
        memory: mmap.mmap,
        starts: Mapping[int, int],
        base: int,
        address: Callable[[_Symbol], int],
    ) -> None:
        for section in self._sections:
            if section.kind != _RELA or section.info not in starts:
                continue
            start, room = starts[section.info], self._sections[section.info].size
            for at in range(section.offset, section.offset + section.size, section.each):
                offset, info, addend = struct.unpack_from("<QQq", self._code, at)
                kind, target = info & 0xFFFFFFFF, address(self._symbols[info >> 32]) + addend
                width = 8 if kind == _R64 else 4
                _know(kind in (_R64, _PC32, _PLT32) and offset + width <= room)
                value = target if kind == _R64 else target - (base + start + offset)
                struct.pack_into("<Q" if kind == _R64 else "<i", memory, start + offset, value)


def _know(condition: object) -> None:
    if not condition:
        raise _Unknown


def _libc(name: str) -> int:
    """The address of a function that this process has."""
    try:
        return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0
    except AttributeError as error:
        raise _Unknown from error


def _executable(start: int, size: int) -> None:
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    if protect(start, size, mmap.PROT_READ | mmap.PROT_EXEC) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")
