"""Calling machine code: arguments are checked before every call, then packed into 8-byte slots."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass

import numpy as np

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError, require
from aerogel.core.target import Target
from aerogel.loop.nodes import Buf, Module, Param, Var
from aerogel.native.engine import Loaded
from aerogel.native.llvm import ENTRY


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


def scalar_bytes(param: Var, value: object) -> bytes:
    """The 8-byte slot of a scalar argument, or InputError."""
    dtype = param.type.dtype
    code = _CODES.get(dtype)
    require(code is not None, InputError, f"scalar {param.name!r} is {dtype.short}: pass it as f32 and cast inside")
    kinds = (int, float, np.integer, np.floating) if dtype.is_float else (int, np.integer, np.bool_)
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
                raise InputError(f"buffer {name!r} takes {kind.dtype.short} ({wanted}), but got {value.dtype}")
            if not value.flags.c_contiguous:
                raise InputError(f"buffer {name!r} is not C-contiguous: pass np.ascontiguousarray of it")
            if not (kind.const or value.flags.writeable):
                raise InputError(f"buffer {name!r} is written, but the array is read-only: pass a copy")
            address, size = value.ctypes.data, value.nbytes
        case _:
            raise InputError(f"buffer {name!r} takes a NumPy array or Memory, but got {type(value).__name__}")
    if size and address % kind.align:
        raise InputError(f"buffer {name!r} starts at {address:#x}, but must be a multiple of {kind.align} bytes")
    return address, size


def check_disjoint(spans: list[tuple[Buf, int, int]]) -> None:
    """Refuse distinct buffers that overlap where one is written."""
    for i, (a, start, size) in enumerate(spans):
        for b, other, length in spans[i + 1 :]:
            if a.type.const and b.type.const:
                continue
            if start < other + length and other < start + size:
                raise InputError(
                    f"buffers {a.name!r} and {b.name!r} overlap and one is written: pass a copy, "
                    "or use one buffer for work in place"
                )


class Compiled:
    """A module as machine code. Call it with one argument per parameter of its entry."""

    def __init__(self, module: Module, target: Target, loaded: Loaded) -> None:
        self.name = module.name
        self.target = target
        self.params: tuple[Param, ...] = module.entry.params
        self._loaded = loaded
        run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
        self._run = run(loaded.addresses[ENTRY])

    def __call__(self, *args: Argument, threads: int = 1) -> None:
        """Check the arguments, then run. Nothing is returned: results are in the mutable buffers."""
        if len(args) != len(self.params):
            names = ", ".join(p.name for p in self.params)
            raise InputError(f"{self.name} takes {len(self.params)} arguments ({names}), but got {len(args)}")
        spans: list[tuple[Buf, int, int]] = []
        slots: list[bytes] = []
        for param, value in zip(self.params, args, strict=True):
            if isinstance(param, Buf):
                address, size = buffer_span(param, value)
                spans.append((param, address, size))
                slots.append(struct.pack("<Q", address))
            else:
                slots.append(scalar_bytes(param, value))
        check_disjoint(spans)
        block = ctypes.create_string_buffer(b"".join(slots), 8 * len(slots) + 8)
        self._run(ctypes.addressof(block), 0, 1, None)
