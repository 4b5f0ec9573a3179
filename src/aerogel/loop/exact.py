"""The arithmetic of the Loop IR, bit for bit: what each operation means on values.

Each factory (``binary("add", type)``) returns the function for one operation on one type, so that the
interpreter decides once. Run them under ``np.errstate(all="ignore")``: inf and NaN are results here.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

import numpy as np

from aerogel.core.dtypes import DType
from aerogel.core.errors import LoopError
from aerogel.loop.nodes import (
    Binary,
    BinaryOp,
    Bitcast,
    Broadcast,
    Cast,
    Compare,
    CompareOp,
    Dot2,
    Dot4,
    Expand,
    Expr,
    Fma,
    PairDot4,
    Permute,
    Reduce,
    ReduceOp,
    Select,
    Shuffle,
    Type,
    Unary,
    UnaryOp,
    Vec,
)
from aerogel.loop.values import (
    ComputeError,
    Function1,
    Function2,
    Value,
    bitcast,
    bounds,
    cast,
    like,
    scalar,
    wrapper,
)

_PLAIN: dict[str, Function2] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
}
_COMPARE: dict[CompareOp, Function2] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


# --- arithmetic -----------------------------------------------------------------------------


def binary(op: BinaryOp, type_: Type) -> Function2:
    """``a op b`` on one type: integers wrap, floats round to their own type at once."""
    if type_.dtype is DType.BF16:
        return _in_f32(type_, binary(op, like(type_, DType.F32)))
    lanes = isinstance(type_, Vec)
    if op == "min":
        return _min_lanes if lanes else lambda a, b: a if a < b else b
    if op == "max":
        return _max_lanes if lanes else lambda a, b: a if a > b else b
    if not type_.dtype.is_integer:
        return _PLAIN[op]
    if op in ("div", "rem"):
        each = _division(op, type_.dtype)
        return _lane_by_lane(each, type_.dtype) if lanes else each
    if op in ("shl", "shr"):
        return _shift_lanes(op, type_.dtype) if lanes else _shift(op, type_.dtype)
    if lanes or op in ("and", "or", "xor"):
        return _PLAIN[op]
    wrap, plain = wrapper(type_.dtype), _PLAIN[op]
    return lambda a, b: wrap(plain(a, b))


def _in_f32(type_: Type, run: Callable[..., Value]) -> Callable[..., Value]:
    """An operation on bf16: computed in f32, which holds enough bits to round once more."""
    f32 = like(type_, DType.F32)
    widen, narrow = cast(type_, f32), cast(f32, type_)
    return lambda *xs: narrow(run(*(widen(x) for x in xs)))


def _min_lanes(a: Value, b: Value) -> Value:
    return np.where(a < b, a, b)


def _max_lanes(a: Value, b: Value) -> Value:
    return np.where(a > b, a, b)


def _lane_by_lane(each: Function2, dtype: DType) -> Function2:
    def run(a: Value, b: Value) -> Value:
        pairs = zip(a.tolist(), b.tolist(), strict=True)
        return np.array([each(x, y) for x, y in pairs], dtype.numpy())

    return run


def _division(op: BinaryOp, dtype: DType) -> Function2:
    low, high = bounds(dtype)

    def run(a: int, b: int) -> int:
        if b == 0:
            raise ComputeError(f"{op} of {a} by zero")
        quotient = abs(a) // abs(b)
        quotient = quotient if (a < 0) == (b < 0) else -quotient
        if not low <= quotient <= high:
            # The one quotient that does not fit, lowest / -1, traps on x86.
            raise ComputeError(f"{op} of {a} by {b} overflows {dtype.short}")
        return quotient if op == "div" else a - quotient * b

    return run


def _shift(op: BinaryOp, dtype: DType) -> Function2:
    wrap, bits = wrapper(dtype), dtype.bits

    def run(a: int, b: int) -> int:
        if not 0 <= b < bits:
            raise ComputeError(f"{op} by {b}: a {dtype.short} shifts by 0 to {bits - 1}")
        return wrap(a << b) if op == "shl" else a >> b

    return run


def _shift_lanes(op: BinaryOp, dtype: DType) -> Function2:
    shift = np.left_shift if op == "shl" else np.right_shift

    def run(a: Value, b: Value) -> Value:
        if not ((b >= 0) & (b < dtype.bits)).all():
            raise ComputeError(f"{op} by {b.tolist()}: a {dtype.short} shifts by 0 to {dtype.bits - 1}")
        return shift(a, b)

    return run


def unary(op: UnaryOp, type_: Type) -> Function1:
    """``op a`` on one type. ``abs`` of the lowest integer wraps to itself; ``ctz`` of 0 is the width."""
    dtype = type_.dtype
    if dtype is DType.BF16:
        return _in_f32(type_, unary(op, like(type_, DType.F32)))
    if op == "sqrt":
        return np.sqrt
    if isinstance(type_, Vec):
        lanes: dict[UnaryOp, Function1] = {"neg": operator.neg, "not": operator.invert, "abs": np.abs}
        return lanes.get(op) or _count_lanes(op, dtype)
    if dtype.is_float:
        return operator.neg if op == "neg" else abs
    if dtype is DType.BOOL:
        return operator.not_
    wrap, full = wrapper(dtype), (1 << dtype.bits) - 1
    scalars: dict[UnaryOp, Function1] = {
        "neg": lambda a: wrap(-a),
        "not": lambda a: wrap(~a),
        "abs": lambda a: wrap(abs(a)),
        "popcount": lambda a: (a & full).bit_count(),
        "ctz": lambda a: ((a & -a) - 1 & full).bit_count(),
    }
    return scalars[op]


def _count_lanes(op: UnaryOp, dtype: DType) -> Function1:
    unsigned, own = np.dtype(f"uint{dtype.bits}"), dtype.numpy()
    if op == "popcount":
        return lambda a: np.bitwise_count(a.view(unsigned)).astype(own)
    # Below the lowest set bit of u are exactly ctz(u) ones: (u & -u) - 1.
    return lambda a: np.bitwise_count((a & -a).view(unsigned) - unsigned.type(1)).astype(own)


def compare(op: CompareOp, type_: Type) -> Function2:
    """``a op b`` as a bool, or as a mask for vectors."""
    if type_.dtype is DType.BF16:
        widen, wide = cast(type_, like(type_, DType.F32)), compare(op, like(type_, DType.F32))
        return lambda a, b: wide(widen(a), widen(b))
    plain = _COMPARE[op]
    return plain if isinstance(type_, Vec) else lambda a, b: bool(plain(a, b))


def select(cond: Type) -> Callable[[Value, Value, Value], Value]:
    """Lane by lane for a mask; the whole of one side for a scalar condition."""
    return np.where if isinstance(cond, Vec) else lambda c, a, b: a if c else b


# --- fused multiply-add ---------------------------------------------------------------------


def fma(type_: Type) -> Callable[[Value, Value, Value], Value]:
    """``a * b + c`` rounded once, f32 or f64."""
    if type_.dtype is DType.F32:
        return _fma_f32 if isinstance(type_, Vec) else lambda a, b, c: _fma_f32(_one(a), _one(b), _one(c))[0]
    if isinstance(type_, Vec):
        return lambda a, b, c: np.array([_fma_f64(*abc) for abc in zip(a, b, c, strict=True)], np.float64)
    return _fma_f64


def _one(x: Value) -> Value:
    return np.array([x], np.float32)


def _fma_f32(a: Value, b: Value, c: Value) -> Value:
    """The product of two f32 is exact in f64. Their sum with c is rounded to odd there, which leaves
    enough in the last bit for the final rounding to f32 to be right (Boldo and Melquiond, 2008)."""
    product = a.astype(np.float64) * b
    addend = c.astype(np.float64)
    total = product + addend
    # TwoSum (Knuth): total + error is exactly product + addend.
    part = total - product
    error = (product - (total - part)) + (addend - part)
    bits = total.view(np.int64)
    inexact = (error != 0) & np.isfinite(total) & (bits & 1 == 0)
    # One more in the bits is one step away from zero.
    step = np.where((error > 0) == (total > 0), 1, -1)
    return np.where(inexact, bits + step, bits).view(np.float64).astype(np.float32)


def _fma_f64(a: Value, b: Value, c: Value) -> Value:
    x, y, z = float(a), float(b), float(c)
    if not (math.isfinite(x) and math.isfinite(y)) or x == 0 or y == 0:
        return np.float64(a) * np.float64(b) + np.float64(c)
    if not math.isfinite(z):
        return np.float64(z)
    (xn, xd), (yn, yd), (zn, zd) = x.as_integer_ratio(), y.as_integer_ratio(), z.as_integer_ratio()
    numerator, denominator = xn * yn * zd + zn * xd * yd, xd * yd * zd
    try:
        # Python divides integers with one correct rounding, subnormal results included.
        return np.float64(numerator / denominator)
    except OverflowError:
        return np.float64(-math.inf if numerator < 0 else math.inf)


# --- across lanes ---------------------------------------------------------------------------


def reduction(op: ReduceOp, source: Type) -> Function1:
    """Fold the upper half onto the lower half until one lane is left."""
    fold = binary(op, source)

    def run(x: Value) -> Value:
        while len(x) > 1:
            half = len(x) // 2
            x = fold(x[:half], x[half:])
        return scalar(x[0], source.dtype)

    return run


def expand(bits: int, values: Value) -> Value:
    """Spread the first elements of ``values`` over the lanes whose bit is set; the others are 0."""
    chosen = [lane for lane in range(len(values)) if bits >> lane & 1]
    out = np.zeros_like(values)
    out[chosen] = values[: len(chosen)]
    return out


def dot4(acc: Value, a: Value, b: Value) -> Value:
    """``acc[i] + sum over j of a[4i+j] * b[4i+j]`` in wrapping i32."""
    products = a.astype(np.int32) * b.astype(np.int32)
    return acc + products.reshape(-1, 4).sum(axis=1, dtype=np.int32)


def pair_dot4(acc: Value, a: Value, b: Value) -> Value:
    """As ``dot4``, but sums of two neighbouring products saturate at 16 bits."""
    pairs = (a.astype(np.int32) * b.astype(np.int32)).reshape(-1, 2).sum(axis=1, dtype=np.int32)
    return acc + pairs.clip(-(1 << 15), (1 << 15) - 1).reshape(-1, 2).sum(axis=1, dtype=np.int32)


def dot2(acc: Value, a: Value, b: Value) -> Value:
    """Two fused multiply-adds on pairs of bf16, the odd ones first, without subnormal numbers."""
    for odd in (1, 0):
        x, y, c = (_normal(v) for v in (_bf16_to_f32(a[odd::2]), _bf16_to_f32(b[odd::2]), acc))
        # Where subnormal numbers are too coarse to tell: what rounds to fewer than 2^-126 with 24 bits.
        scaled = _fma_f32(x * _FAR, y, c * _FAR)
        acc = np.where(np.abs(scaled) < _LEAST * _FAR, np.copysign(np.float32(0), scaled), _fma_f32(x, y, c))
    return acc


_FAR, _LEAST = np.float32(2.0**100), np.float32(2.0**-126)


def _normal(x: Value) -> Value:
    """A zero of its sign for what is subnormal."""
    return np.where(np.abs(x) < _LEAST, np.copysign(np.float32(0), x), x)


def _bf16_to_f32(x: Value) -> Value:
    return (x.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _broadcast(dtype: DType, lanes: int) -> Function1:
    def run(x: Value) -> Value:
        return np.full(lanes, x, dtype.numpy())

    return run


def _shuffle(lanes: list[int]) -> Function2:
    def run(a: Value, b: Value) -> Value:
        return np.concatenate((a, b))[lanes]

    return run


def permute(a: Value, b: Value, at: Value) -> Value:
    """Element ``at[i]`` of ``a`` followed by ``b`` in lane i."""
    return np.concatenate((a, b))[at % (2 * len(a))]


_OF_ONE_TYPE: dict[type[Expr], Callable[..., Value]] = {
    Expand: expand,
    Dot4: dot4,
    PairDot4: pair_dot4,
    Dot2: dot2,
    Permute: permute,
}

# --- by node --------------------------------------------------------------------------------


def operation(expr: Expr) -> Callable[..., Value]:
    """The function from operand values to the node's value, for nodes that only compute."""
    match expr:
        case Binary(op=op):
            return binary(op, expr.a.type)
        case Unary(op=op):
            return unary(op, expr.a.type)
        case Compare(op=op):
            return compare(op, expr.a.type)
        case Select(cond=cond):
            return select(cond.type)
        case Cast(a=a, type=to):
            return cast(a.type, to)
        case Bitcast(a=a, type=to):
            return bitcast(a.type, to)
        case Broadcast(a=a, lanes=lanes):
            return _broadcast(a.type.dtype, lanes)
        case Fma(c=c):
            return fma(c.type)
        case Reduce(op=op, a=a):
            return reduction(op, a.type)
        case Expand() | Dot4() | PairDot4() | Dot2() | Permute():
            return _OF_ONE_TYPE[type(expr)]
        case Shuffle(lanes=lanes):
            return _shuffle(list(lanes))
        case _:
            raise LoopError(f"{type(expr).__name__} is not an operation on values")
