"""What a value is while a program is interpreted or folded: constants and conversions, bit for bit.

A value is a Python ``bool`` or ``int`` (scalars), a NumPy scalar (floats), or a NumPy array of lanes;
bf16 is its 16 bits throughout, since NumPy has no such type. The bits of a NaN are not specified.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from aerogel.core.dtypes import DType
from aerogel.core.errors import LoopError
from aerogel.loop.nodes import Const, Scalar, Type, Vec

Value: TypeAlias = Any
Function1 = Callable[[Value], Value]
Function2 = Callable[[Value, Value], Value]
HALVES = (DType.F16, DType.BF16)


class ComputeError(LoopError):
    """An operation has no result: a division by zero, say. Whoever runs the program adds where."""


def bounds(dtype: DType) -> tuple[int, int]:
    """The least and the greatest value of an integer type."""
    if dtype.is_signed:
        return -(1 << (dtype.bits - 1)), (1 << (dtype.bits - 1)) - 1
    return 0, (1 << dtype.bits) - 1


def wrapper(dtype: DType) -> Callable[[int], int]:
    """The function that wraps any Python int into an integer type."""
    full = (1 << dtype.bits) - 1
    if not dtype.is_signed:
        return lambda x: x & full
    half = 1 << (dtype.bits - 1)
    return lambda x: ((x + half) & full) - half


def scalar(x: Value, dtype: DType) -> Value:
    """One element of a NumPy array as a scalar value."""
    if dtype.is_float and dtype is not DType.BF16:
        return dtype.numpy().type(x)
    return bool(x) if dtype is DType.BOOL else int(x)


def literal(const: Const) -> Value:
    """The value of a constant."""
    dtype = const.type.dtype
    if dtype is DType.BF16:
        one = _f32_to_bf16(np.float32(const.value))
    elif dtype.is_float:
        one = dtype.numpy().type(float(const.value))
    else:
        one = const.value
    if isinstance(const.type, Vec):
        return np.full(const.type.lanes, one, dtype.numpy())
    return scalar(one, dtype)


# --- conversion -----------------------------------------------------------------------------


def _f32_to_bf16(x: Value) -> Value:
    """Nearest bf16, ties to even, as 16 bits; a NaN stays a NaN."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = (bits.astype(np.uint64) + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(x), bits >> 16 | 0x40, rounded).astype(np.uint16)


def _bf16_to_f32(x: Value) -> Value:
    return (np.asarray(x, np.uint16).astype(np.uint32) << 16).view(np.float32)


def like(type_: Type, dtype: DType) -> Type:
    """The type with another dtype."""
    return Vec(dtype, type_.lanes) if isinstance(type_, Vec) else Scalar(dtype)


def cast(source: Type, to: Type) -> Function1:
    """Convert values. To a float: nearest, ties to even. Float to integer: truncate, in range only.
    To bool: whether it is not 0. f16 and bf16 convert by way of f32."""
    a, b = source.dtype, to.dtype
    if a is b:
        return lambda x: x
    if (a in HALVES and b is not DType.F32) or (b in HALVES and a is not DType.F32):
        middle = like(to, DType.F32)
        widen, narrow = cast(source, middle), cast(middle, to)
        return lambda x: narrow(widen(x))
    if isinstance(to, Scalar) and b.is_integer and not a.is_float:
        return wrapper(b)
    convert = _conversion(a, b)
    return convert if isinstance(to, Vec) else lambda x: scalar(convert(x), b)


def _conversion(a: DType, b: DType) -> Function1:
    if a is DType.BF16:
        return _bf16_to_f32
    if b is DType.BF16:
        return _f32_to_bf16
    if a.is_float and b.is_integer:
        return _truncation(b)
    # Through an array of the source type: NumPy would take a Python int through f64 first.
    return lambda x: np.asarray(x, a.numpy()).astype(b.numpy())


def _truncation(to: DType) -> Function1:
    low, high = bounds(to)

    def run(x: Value) -> Value:
        whole = np.trunc(x)
        # high + 1 is a power of two, so both limits are exact in any float type.
        if not ((whole >= float(low)) & (whole < float(high + 1))).all():
            raise ComputeError(f"cast of {x.tolist()} to {to.short}: the value is out of range")
        return whole.astype(to.numpy())

    return run


def bitcast(source: Type, to: Type) -> Function1:
    """Reinterpret the bits, lowest lane first. In a mask every lane is one bit."""
    masked, target = source.dtype is DType.BOOL, to.dtype.numpy()

    def run(x: Value) -> Value:
        raw = np.packbits(x, bitorder="little") if masked else np.asarray(x, source.dtype.numpy())
        raw = np.frombuffer(raw.tobytes(), np.uint8)
        if isinstance(to, Vec) and to.dtype is DType.BOOL:
            return np.unpackbits(raw, count=to.lanes, bitorder="little").astype(np.bool_)
        lanes = raw.view(target).copy()
        return lanes if isinstance(to, Vec) else scalar(lanes[0], to.dtype)

    return run
