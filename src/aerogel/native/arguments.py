"""What a program accepts: every argument is checked before machine code sees it."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError, require
from aerogel.core.memory import address_of
from aerogel.loop.nodes import Buf, Var


@dataclass(frozen=True, slots=True)
class Memory:
    """Raw memory for a buffer: ``count`` elements from ``address`` on. ``owner`` is kept alive with it."""

    address: int
    count: int
    owner: object = None


Argument = np.ndarray | Memory | int | float | bool

_CODES = {
    DType.BOOL: "?", DType.I8: "b", DType.I16: "h", DType.I32: "i", DType.I64: "q",
    DType.U8: "B", DType.U16: "H", DType.U32: "I", DType.U64: "Q", DType.F32: "f", DType.F64: "d",
    DType.F16: "e",
}  # fmt: skip

_FLOATS = (int, float, np.integer, np.floating)
_WHOLE = (int, np.integer, np.bool_)


def scalar_word(param: Var, value: object) -> int:
    """The slot of a scalar argument as a number, or InputError."""
    # Nearly all are whole numbers: without the detour by way of bytes.
    if type(value) is int and param.type.dtype is DType.I64 and -(2**63) <= value < 2**63:
        return value & 0xFFFF_FFFF_FFFF_FFFF
    return struct.unpack("<Q", scalar_bytes(param, value))[0]


def scalar_bytes(param: Var, value: object) -> bytes:
    """The 8-byte slot of a scalar argument, or InputError."""
    dtype = param.type.dtype
    code = _CODES.get(dtype)
    if code is None:
        raise InputError(f"scalar {param.name!r} is {dtype.short}: pass it as f32 and cast inside")
    kinds = _FLOATS if dtype.is_float else _WHOLE
    if not isinstance(value, kinds):
        raise InputError(f"{param.name!r} takes a {dtype.short}, but got {type(value).__name__} {value!r}")
    try:
        return struct.pack(f"<{code}", value).ljust(8, b"\0")
    except (struct.error, OverflowError) as error:
        raise InputError(f"{param.name!r} = {value!r} does not fit {dtype.short}") from error


def buffer_span(param: Buf, value: object) -> tuple[int, int]:
    """Address and byte size of a buffer argument, or InputError."""
    kind, name = param.type, param.name
    match value:
        case Memory(address=address, count=count):
            require(count >= 0, InputError, f"buffer {name!r} has count {count}: it must be 0 or more")
            size = count * kind.dtype.itemsize
        case np.ndarray():
            wanted = kind.dtype.numpy()
            if value.dtype != wanted:
                raise InputError(
                    f"buffer {name!r} takes {kind.dtype.short} ({wanted}), but got {value.dtype}"
                )
            if value.ndim != 1 or not value.flags.c_contiguous:
                raise InputError(
                    f"buffer {name!r} must be contiguous in 1-D: pass np.ascontiguousarray(a).ravel()"
                )
            if not (kind.const or value.flags.writeable):
                raise InputError(f"buffer {name!r} is written, but the array is read-only: pass a copy")
            address, size = address_of(value), value.nbytes
        case _:
            raise InputError(f"buffer {name!r} takes a NumPy array or Memory, but got {type(value).__name__}")
    if size and address % kind.align:
        raise InputError(
            f"buffer {name!r} starts at {address:#x}, but must be a multiple of {kind.align} bytes"
        )
    return address, size


def check_disjoint(spans: Iterable[tuple[Buf, int, int]]) -> None:
    """Refuse distinct buffers (parameter, address, bytes) that overlap where one is written."""
    ordered = sorted((span for span in spans if span[2]), key=lambda span: span[1])
    # The buffers met so far that reach furthest: any of them, and any that is written.
    furthest: tuple[Buf, int] | None = None
    written: tuple[Buf, int] | None = None
    for buf, start, size in ordered:
        other = written if buf.type.const else furthest
        if other is not None and start < other[1]:
            raise InputError(
                f"buffers {other[0].name!r} and {buf.name!r} overlap and one is written: pass a copy, "
                "or use one buffer for work in place"
            )
        end = start + size
        if furthest is None or end > furthest[1]:
            furthest = (buf, end)
        if not buf.type.const and (written is None or end > written[1]):
            written = (buf, end)
