"""16-bit floats: stored as their bits, computed in f32, rounded once to nearest even.

An f32 result of one operation on f16 or bf16 operands holds enough bits that rounding it again gives
the operation's correctly rounded result (add, sub, mul, div, sqrt).
"""

from __future__ import annotations

from collections.abc import Callable

from aerogel.core.dtypes import DType
from aerogel.loop.nodes import Scalar, Type, Vec
from aerogel.native.emitter import Emitter
from aerogel.native.spelling import Value, lanes_of, literal, spell, with_lanes


def like(value: Value, dtype: DType) -> Type:
    """The type of ``value`` with another dtype."""
    lanes = lanes_of(value.type)
    return Vec(dtype, lanes) if lanes else Scalar(dtype)


def widen(e: Emitter, value: Value) -> Value:
    """f16 or bf16 to f32, exactly."""
    to = like(value, DType.F32)
    if value.type.dtype is DType.BF16:
        bits = like(value, DType.U32)
        wide = e.register(f"zext {spell(value.type)} {value.ref} to {spell(bits)}")
        moved = e.register(f"shl {spell(bits)} {wide}, {literal(16, bits)}")
        return e.value(f"bitcast {spell(bits)} {moved} to {spell(to)}", to)
    half = with_lanes("half", lanes_of(value.type))
    as_half = e.register(f"bitcast {spell(value.type)} {value.ref} to {half}")
    return e.value(f"fpext {half} {as_half} to {spell(to)}", to)


def narrow(e: Emitter, value: Value, dtype: DType) -> Value:
    """f32 to f16 or bf16, to nearest even."""
    to = like(value, dtype)
    if dtype is DType.BF16:
        return _narrow_to_bf16(e, value, to)
    half = with_lanes("half", lanes_of(value.type))
    as_half = e.register(f"fptrunc {spell(value.type)} {value.ref} to {half}")
    return e.value(f"bitcast {half} {as_half} to {spell(to)}", to)


def _narrow_to_bf16(e: Emitter, value: Value, to: Type) -> Value:
    bits_type = like(value, DType.U32)
    kind = spell(bits_type)

    def number(value: int) -> str:
        return literal(value, bits_type)

    bits = e.register(f"bitcast {spell(value.type)} {value.ref} to {kind}")
    top = e.register(f"lshr {kind} {bits}, {number(16)}")
    odd = e.register(f"and {kind} {top}, {number(1)}")
    bias = e.register(f"add {kind} {odd}, {number(0x7FFF)}")
    rounded = e.register(f"add {kind} {bits}, {bias}")
    up = e.register(f"lshr {kind} {rounded}, {number(16)}")
    quiet = e.register(f"or {kind} {top}, {number(0x40)}")
    mask = like(value, DType.BOOL)
    is_nan = e.register(f"fcmp uno {spell(value.type)} {value.ref}, {value.ref}")
    chosen = e.register(f"select {spell(mask)} {is_nan}, {kind} {quiet}, {kind} {up}")
    return e.value(f"trunc {kind} {chosen} to {spell(to)}", to)


def from_any(e: Emitter, value: Value, dtype: DType, convert: Callable[[Emitter, Value, Type], Value]) -> Value:
    """Any element type to f16 or bf16, through f32."""
    wide = value if value.type.dtype is DType.F32 else convert(e, value, like(value, DType.F32))
    return narrow(e, wide, dtype)
