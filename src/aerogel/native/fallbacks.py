"""What not every CPU can do in one instruction: dot products of int8 and bf16, fused multiply-add.

Every function gives the same bits on every target; only the instructions differ. So it is in ``expand``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aerogel.core.dtypes import DType
from aerogel.loop.nodes import (
    Binary,
    Bitcast,
    Cast,
    Compare,
    Const,
    Expr,
    Select,
    Shuffle,
    Type,
    Unary,
    Vec,
)
from aerogel.native.emitter import Emitter
from aerogel.native.halves import like, widen
from aerogel.native.spelling import Value, lanes_of, literal, spell
from aerogel.native.versions import BYTES_FOR_VNNI


def indices(lanes: Iterable[int]) -> str:
    """A shuffle's lane list."""
    items = [f"i32 {lane}" for lane in lanes]
    return f"<{len(items)} x i32> <{', '.join(items)}>"


def take(e: Emitter, value: Value, lanes: Sequence[int]) -> Value:
    """The given lanes of one vector."""
    kind = spell(value.type)
    to = Vec(value.type.dtype, len(lanes))
    return e.value(f"shufflevector {kind} {value.ref}, {kind} poison, {indices(lanes)}", to)


def concat(e: Emitter, parts: Sequence[Value]) -> Value:
    """Vectors of one type joined, a power of two of them."""
    while len(parts) > 1:
        kind = spell(parts[0].type)
        lanes = 2 * lanes_of(parts[0].type)
        joined = Vec(parts[0].type.dtype, lanes)
        every = indices(range(lanes))
        parts = [
            e.value(f"shufflevector {kind} {a.ref}, {kind} {b.ref}, {every}", joined)
            for a, b in zip(parts[::2], parts[1::2], strict=True)
        ]
    return parts[0]


# --- 4-way dot product -----------------------------------------------------------------------


def dot4(e: Emitter, acc: Value, a: Value, b: Value) -> Value:
    """Lane i: acc[i] + sum over j < 4 of a[4i+j] * b[4i+j], wrapping."""
    width = min(lanes_of(acc.type), e.target.vector_bits // 32)
    return _by_registers(e, _dot4_plain if width < 4 else _dot4_piece(e, width), width, (acc, a, b))


def pair_dot4(e: Emitter, acc: Value, a: Value, b: Value) -> Value:
    """As ``dot4``, but the sum of two neighbouring products saturates at 16 bits."""
    width = min(lanes_of(acc.type), e.target.vector_bits // 32)
    has = width in _SATURATING and e.target.has("ssse3")
    return _by_registers(e, _pairs_saturated if has else _pairs_plain, width, (acc, a, b))


_Dot = Callable[[Emitter, Value, Value, Value], Value]


def _by_registers(e: Emitter, piece: _Dot, width: int, operands: tuple[Value, Value, Value]) -> Value:
    """A dot product of any number of lanes, ``width`` of them at a time."""
    acc, a, b = operands
    lanes = lanes_of(acc.type)
    parts = [
        piece(
            e,
            take(e, acc, range(at, at + width)) if width < lanes else acc,
            take(e, a, range(4 * at, 4 * (at + width))) if width < lanes else a,
            take(e, b, range(4 * at, 4 * (at + width))) if width < lanes else b,
        )
        for at in range(0, lanes, width)
    ]
    return concat(e, parts)


def _dot4_piece(e: Emitter, width: int) -> _Dot:
    """The best way for one register of ``width`` lanes."""
    if e.target.has("avx512vnni") or (e.target.has("avxvnni") and width <= 8):
        return _dot4_vnni
    if e.target.has("i8mm"):
        return _dot4_mixed
    if e.target.has("dotprod"):
        return _dot4_signed
    return _dot4_by_words


def _dot4_vnni(e: Emitter, acc: Value, a: Value, b: Value) -> Value:
    kind, name = spell(acc.type), f"llvm.x86.avx512.vpdpbusd.{32 * lanes_of(acc.type)}"
    operands = [f"{spell(a.type)} {x.ref}" for x in (a, b)]
    if not BYTES_FOR_VNNI:
        operands = [f"{kind} {e.register(f'bitcast {x} to {kind}')}" for x in operands]
    return e.value(f"call {kind} @{name}({kind} {acc.ref}, {', '.join(operands)})", acc.type)


def _dot4_mixed(e: Emitter, acc: Value, a: Value, b: Value) -> Value:
    args = f"<4 x i32> {acc.ref}, <16 x i8> {a.ref}, <16 x i8> {b.ref}"
    return e.value(f"call <4 x i32> @llvm.aarch64.neon.usdot.v4i32.v16i8({args})", acc.type)


def _dot4_signed(e: Emitter, acc: Value, a: Value, b: Value) -> Value:
    """Both sides signed: a = (a - 128) + 128, and what 128 contributes is the same for every ``a``."""

    def sdot(total: str, x: str) -> str:
        args = f"<4 x i32> {total}, <16 x i8> {x}, <16 x i8> {b.ref}"
        return e.register(f"call <4 x i32> @llvm.aarch64.neon.sdot.v4i32.v16i8({args})")

    low = e.register(f"xor <16 x i8> {a.ref}, splat (i8 -128)")
    less = sdot("zeroinitializer", "splat (i8 -128)")
    return e.value(f"sub <4 x i32> {sdot(acc.ref, low)}, {less}", acc.type)


def _dot4_by_words(e: Emitter, acc: Value, a: Value, b: Value) -> Value:
    """Even and odd bytes as 16-bit words, where they lie: so no lane has to move. Their products fit 16
    bits, their sums in pairs do not (vpmaddubsw would saturate); those are taken in 32 bits.

    Four instructions but for splitting ``a`` (two) and ``b`` (three), which LLVM does once where several
    dot products share an operand.
    """
    words = Vec(DType.I16, 2 * lanes_of(acc.type))
    kind, eight = spell(words), literal(8, words)
    x = e.register(f"bitcast {spell(a.type)} {a.ref} to {kind}")
    y = e.register(f"bitcast {spell(b.type)} {b.ref} to {kind}")
    x_even = e.register(f"and {kind} {x}, {literal(255, words)}")
    x_odd = e.register(f"lshr {kind} {x}, {eight}")
    shifted = e.register(f"shl {kind} {y}, {eight}")
    y_even = e.register(f"ashr {kind} {shifted}, {eight}")
    y_odd = e.register(f"ashr {kind} {y}, {eight}")
    total = acc.ref
    for left, right in ((x_even, y_even), (x_odd, y_odd)):
        total = e.register(f"add {spell(acc.type)} {total}, {_pairs(e, left, right, acc.type)}")
    return Value(total, acc.type)


def _pairs(e: Emitter, x: str, y: str, sums: Type) -> str:
    """Products of 16-bit words that fit 16 bits, summed in pairs of neighbours in 32 bits."""
    lanes, kind = lanes_of(sums), spell(sums)
    words = f"<{2 * lanes} x i16>"
    if e.target.arch == "x86_64":
        name = {4: "sse2.pmadd.wd", 8: "avx2.pmadd.wd", 16: "avx512.pmaddw.d.512"}[lanes]
        return e.register(f"call {kind} @llvm.x86.{name}({words} {x}, {words} {y})")
    products = e.register(f"mul {words} {x}, {y}")
    name = f"llvm.aarch64.neon.saddlp.v{lanes}i32.v{2 * lanes}i16"
    return e.register(f"call {kind} @{name}({words} {products})")


def _products(e: Emitter, a: Value, b: Value) -> Value:
    """Each by itself, in 32 bits."""
    wide = Vec(DType.I32, lanes_of(a.type))
    x = e.register(f"zext {spell(a.type)} {a.ref} to {spell(wide)}")
    y = e.register(f"sext {spell(b.type)} {b.ref} to {spell(wide)}")
    return e.value(f"mul {spell(wide)} {x}, {y}", wide)


def _dot4_plain(e: Emitter, acc: Value, a: Value, b: Value) -> Value:
    lanes, kind, products = lanes_of(acc.type), spell(acc.type), _products(e, a, b)
    total = acc.ref
    for j in range(4):
        part = take(e, products, range(j, 4 * lanes, 4))
        total = e.register(f"add {kind} {total}, {part.ref}")
    return Value(total, acc.type)


# Instructions by the lanes of their sums.
_SATURATING = {
    4: "ssse3.pmadd.ub.sw.128",
    8: "avx2.pmadd.ub.sw",
    16: "avx512.pmaddubs.w.512",
}


def _pairs_saturated(e: Emitter, acc: Value, a: Value, b: Value) -> Value:
    """Three instructions, and nothing to split."""
    lanes = lanes_of(acc.type)
    words = Vec(DType.I16, 2 * lanes)
    operands = f"{spell(a.type)} {a.ref}, {spell(b.type)} {b.ref}"
    pairs = e.register(f"call {spell(words)} @llvm.x86.{_SATURATING[lanes]}({operands})")
    fours = _pairs(e, pairs, literal(1, words), acc.type)
    return e.value(f"add {spell(acc.type)} {acc.ref}, {fours}", acc.type)


def _pairs_plain(e: Emitter, acc: Value, a: Value, b: Value) -> Value:
    lanes, kind, products = lanes_of(acc.type), spell(acc.type), _products(e, a, b)
    low, high = (literal(bound, acc.type) for bound in (-(1 << 15), (1 << 15) - 1))
    total = acc.ref
    for j in (0, 2):
        left, right = (take(e, products, range(j + k, 4 * lanes, 4)) for k in (0, 1))
        pair = e.register(f"add {kind} {left.ref}, {right.ref}")
        above = e.register(f"call {kind} @llvm.smax.v{lanes}i32({kind} {pair}, {kind} {low})")
        within = e.register(f"call {kind} @llvm.smin.v{lanes}i32({kind} {above}, {kind} {high})")
        total = e.register(f"add {kind} {total}, {within}")
    return Value(total, acc.type)


# --- 2-way dot product of bf16 ----------------------------------------------------------------


def has_dot2(e: Emitter, lanes: int) -> bool:
    """Whether one instruction does it."""
    return e.target.has("avx512bf16") and lanes in (4, 8, 16)


def dot2(e: Emitter, acc: Value, a: Value, b: Value) -> Value:
    """The instruction."""
    lanes, kind = lanes_of(acc.type), spell(acc.type)
    pairs = f"<{2 * lanes} x bfloat>"
    x, y = (e.register(f"bitcast {spell(v.type)} {v.ref} to {pairs}") for v in (a, b))
    name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * lanes}"
    return e.value(f"call {kind} @{name}({kind} {acc.ref}, {pairs} {x}, {pairs} {y})", acc.type)


def dot2_in_double(acc: Expr, a: Expr, b: Expr) -> Expr:
    """The same bits on other CPUs."""
    lanes = lanes_of(acc.type)
    # What rounds to 2^-126 with 24 bits and an exponent without end, or to more.
    least = Const(2.0**-126 * (1 - 2.0**-25), Vec(DType.F64, lanes))
    for odd in (1, 0):
        every = tuple(range(odd, 2 * lanes, 2))
        x, y = (_normal(widen(Shuffle(v, v, every))) for v in (a, b))
        total = _sum_to_odd(x, y, _normal(acc))
        acc = Select(Unary("abs", total) < least, Cast(_zero_of_sign(total), acc.type), Cast(total, acc.type))
    return acc


def _normal(x: Expr) -> Expr:
    """A zero of its sign for an f32 that is subnormal."""
    return Select(Unary("abs", x) < Const(2.0**-126, x.type), _zero_of_sign(x), x)


def _zero_of_sign(x: Expr) -> Expr:
    words = like(x.type, DType.U32 if x.type.dtype is DType.F32 else DType.U64)
    sign = Const(1 << (words.dtype.bits - 1), words)
    return Bitcast(Bitcast(x, words) & sign, x.type)


# --- fused multiply-add ----------------------------------------------------------------------


def fma_in_double(a: Expr, b: Expr, c: Expr) -> Expr:
    """f32 fma on a CPU without one, bit for bit."""
    return Cast(_sum_to_odd(a, b, c), c.type)


def _sum_to_odd(a: Expr, b: Expr, c: Expr) -> Expr:
    """``a * b + c`` of f32 in f64, from which rounding to f32 gives the fused result.

    The product of two f32 is exact in f64. Its sum with ``c`` is rounded to odd (truncated, with the
    last bit set when anything was lost; 53 >= 24 + 2 bits), so that rounding to f32 rounds only once.
    Source: Boldo and Melquiond, "Emulation of FMA and correctly rounded sums" (2008).
    """
    f64, words = like(c.type, DType.F64), like(c.type, DType.I64)
    addend = Cast(c, f64)
    product = Cast(a, f64) * Cast(b, f64)
    total = product + addend
    # TwoSum (Knuth): total + lost is the exact sum.
    back = total - product
    lost = (product - (total - back)) + (addend - back)
    bits = Bitcast(total, words)
    even = Compare("eq", bits & 1, Const(0, words))
    # Not ``ne``: where the sum is infinite or NaN so is ``lost``, and nothing must change.
    inexact = Unary("abs", lost) > Const(0.0, f64)
    # An even last bit lies one step from the two odd ones: go towards the lost part.
    away = Binary("xor", Bitcast(lost, words), bits) >= Const(0, words)
    step = Select(away, Const(1, words), Const(-1, words))
    return Bitcast(Select(inexact & even, bits + step, bits), f64)
