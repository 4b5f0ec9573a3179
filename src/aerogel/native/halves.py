"""16-bit floats as Loop IR on their bits, for CPUs that cannot convert them.

They are stored as their bits and computed in f32. An f32 result of one operation on f16 or bf16 operands
holds enough bits that rounding it again gives the correctly rounded result (add, sub, mul, div, sqrt).
"""

from __future__ import annotations

from aerogel.core.dtypes import DType
from aerogel.loop.nodes import Binary, Bitcast, Cast, Compare, Const, Expr, Scalar, Select, Type, Vec


def like(type_: Type, dtype: DType) -> Type:
    """The type with another dtype."""
    return Vec(dtype, type_.lanes) if isinstance(type_, Vec) else Scalar(dtype)


def widen(x: Expr) -> Expr:
    """f16 or bf16 to f32, exactly."""
    words = like(x.type, DType.U32)
    f32 = like(x.type, DType.F32)
    bits = Cast(Bitcast(x, like(x.type, DType.U16)), words)
    if x.type.dtype is DType.BF16:
        return Bitcast(bits << 16, f32)
    # Source: Giesen, "Float <-> half conversions" (2012), half_to_float with selects for branches.
    moved = (bits & 0x7FFF) << 13
    exponent = moved & 0x0F800000
    rebiased = moved + (112 << 23)
    smallest = Bitcast(Const(113 << 23, words), f32)
    subnormal = Bitcast(Bitcast(rebiased + (1 << 23), f32) - smallest, words)
    special = Compare("eq", exponent, Const(0x0F800000, words))
    tiny = Compare("eq", exponent, Const(0, words))
    magnitude = Select(special, rebiased + (112 << 23), Select(tiny, subnormal, rebiased))
    return Bitcast(magnitude | ((bits & 0x8000) << 16), f32)


def narrow(x: Expr, dtype: DType) -> Expr:
    """f32 to f16 or bf16, to nearest even."""
    bits = Bitcast(x, like(x.type, DType.U32))
    rounded = _bf16_bits(x, bits) if dtype is DType.BF16 else _f16_bits(bits)
    return Bitcast(Cast(rounded, like(x.type, DType.U16)), like(x.type, dtype))


def _bf16_bits(x: Expr, bits: Expr) -> Expr:
    top = bits >> 16
    rounded = (bits + ((top & 1) + 0x7FFF)) >> 16
    return Select(Compare("ne", x, x), top | 0x40, rounded)


def _f16_bits(bits: Expr) -> Expr:
    """Source: as above, float_to_half_fast3_rtne."""
    words, f32 = bits.type, like(bits.type, DType.F32)
    sign = bits & 0x80000000
    size = Binary("xor", bits, sign)
    nan = size > Const(0x7F800000, words)
    huge = Select(nan, Const(0x7E00, words), Const(0x7C00, words))
    # Adding 0.5 aligns a subnormal's bits to the bottom and rounds them.
    half = Const(126 << 23, words)
    subnormal = Bitcast(Bitcast(size, f32) + Bitcast(half, f32), words) - half
    odd = (size >> 13) & 1
    normal = (size - (112 << 23) + 0xFFF + odd) >> 13
    magnitude = Select(
        size >= Const(143 << 23, words), huge, Select(size < Const(113 << 23, words), subnormal, normal)
    )
    return magnitude | (sign >> 16)
