"""How Loop IR types and constants are written in LLVM's assembly language.

Two types live in registers otherwise than in memory: a bool is an ``i1`` (a byte 0 or 1 in memory),
and 16-bit floats are kept as their bits (``i16``), because CPUs compute in f32 (`halves`).
"""

from __future__ import annotations

import struct
from functools import cache
from typing import NamedTuple

import numpy as np

from aerogel.core.dtypes import DType
from aerogel.loop.nodes import Scalar, Type, Vec

HALVES = (DType.F16, DType.BF16)

_NAMES = {
    DType.BOOL: "i1", DType.I8: "i8", DType.I16: "i16", DType.I32: "i32", DType.I64: "i64",
    DType.U8: "i8", DType.U16: "i16", DType.U32: "i32", DType.U64: "i64",
    DType.F16: "i16", DType.BF16: "i16", DType.F32: "float", DType.F64: "double",
}  # fmt: skip

# The suffix LLVM gives overloaded intrinsics: llvm.fma.v16f32, llvm.ctpop.i32.
_SUFFIXES = _NAMES | {DType.F32: "f32", DType.F64: "f64"}


class Value(NamedTuple):
    """An LLVM operand (a register or a literal) and the type the Loop IR gives it."""

    ref: str
    type: Type


def lanes_of(type_: Type) -> int:
    """Lanes of a vector type, 0 for a scalar."""
    return type_.lanes if isinstance(type_, Vec) else 0


def with_lanes(name: str, lanes: int) -> str:
    """The LLVM type of ``lanes`` elements called ``name``; a scalar for 0."""
    return f"<{lanes} x {name}>" if lanes else name


@cache
def spell(type_: Type) -> str:
    """The LLVM type of a value in a register."""
    return with_lanes(_NAMES[type_.dtype], lanes_of(type_))


@cache
def suffix(type_: Type) -> str:
    """The type as part of an intrinsic's name."""
    lanes = lanes_of(type_)
    return f"v{lanes}{_SUFFIXES[type_.dtype]}" if lanes else _SUFFIXES[type_.dtype]


def in_memory(dtype: DType) -> str:
    """The LLVM type of one element in memory."""
    return "i8" if dtype is DType.BOOL else _NAMES[dtype]


# Not cached: 0.0 and -0.0 are equal keys.
def literal(value: float, type_: Type) -> str:
    """A constant; of a vector type, the same in every lane."""
    if isinstance(type_, Vec):
        return f"splat ({_NAMES[type_.dtype]} {literal(value, Scalar(type_.dtype))})"
    dtype = type_.dtype
    match dtype:
        case DType.BOOL:
            return "true" if value else "false"
        case DType.F32 | DType.F64:
            with np.errstate(over="ignore"):
                rounded = float(np.float32(value)) if dtype is DType.F32 else float(value)
            return f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}"
        case DType.F16:
            with np.errstate(over="ignore"):
                return str(int(np.float16(value).view(np.uint16)))
        case DType.BF16:
            return str(_bfloat_bits(value))
        case _:
            return str(int(value))


def _bfloat_bits(value: float) -> int:
    """bf16 nearest to ``value`` taken as f32, ties to even."""
    with np.errstate(over="ignore"):
        bits = int(np.float32(value).view(np.uint32))
    if bits & 0x7FFFFFFF > 0x7F800000:
        return bits >> 16 | 0x40
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
