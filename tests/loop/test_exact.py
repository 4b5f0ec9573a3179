"""The arithmetic that defines the Loop IR, against exact rationals, the C library and the definitions."""

from __future__ import annotations

import ctypes
import ctypes.util
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel.core.dtypes import DType
from aerogel.loop.exact import (
    binary,
    compare,
    dot2,
    dot4,
    expand,
    fma,
    operation,
    pair_dot4,
    reduction,
    select,
    unary,
)
from aerogel.loop.nodes import BOOL, F32, BinaryOp, Broadcast, Const, Permute, Scalar, Shuffle, Type, Vec
from aerogel.loop.values import ComputeError, bitcast, bounds, cast, literal, scalar, wrapper

F64 = Scalar(DType.F64)
SPECIAL = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    1e-45,
    1.17549435e-38,
    3.4028235e38,
    -3.4028235e38,
    math.inf,
    -math.inf,
    math.nan,
)
INTEGERS = tuple(d for d in DType if d.is_integer)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def same(a: Any, b: Any) -> bool:
    """Equal, the sign of zero included; any NaN equals any NaN."""
    if np.isnan(a) or np.isnan(b):
        return bool(np.isnan(a) and np.isnan(b))
    return bool(a == b and np.signbit(a) == np.signbit(b))


# --- integers -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: d.short)
def test_bounds_and_wrapping(dtype: DType) -> None:
    low, high = bounds(dtype)
    info = np.iinfo(dtype.numpy())
    assert (low, high) == (info.min, info.max)
    wrap = wrapper(dtype)
    assert [wrap(high + 1), wrap(low - 1), wrap(high), wrap(low)] == [low, high, high, low]


def reference(op: str, a: int, b: int, dtype: DType) -> int:
    """The definition, in unbounded integers and rationals."""
    exact: dict[str, Callable[[], int]] = {
        "add": lambda: a + b,
        "sub": lambda: a - b,
        "mul": lambda: a * b,
        "div": lambda: math.trunc(Fraction(a, b)),
        "rem": lambda: a - b * math.trunc(Fraction(a, b)),
        "min": lambda: min(a, b),
        "max": lambda: max(a, b),
        "and": lambda: a & b,
        "or": lambda: a | b,
        "xor": lambda: a ^ b,
        "shl": lambda: a * 2**b,
        "shr": lambda: math.floor(Fraction(a, 2**b)),
    }
    return wrapper(dtype)(exact[op]())


@pytest.mark.parametrize("op", get_args(BinaryOp))
@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: d.short)
def test_binary_on_integers(op: BinaryOp, dtype: DType) -> None:
    low, high = bounds(dtype)
    values = sorted({low, low + 1, -3 if low else 3, 0, 1, 2, 7, 100, high - 1, high})
    pairs = [(a, b) for a in values for b in values]
    if op in ("shl", "shr"):
        pairs = [(a, b) for a in values for b in (0, 1, dtype.bits - 1)]
    if op in ("div", "rem"):
        pairs = [(a, b) for a, b in pairs if b != 0 and (a, b) != (low, -1)]
    want = [reference(op, a, b, dtype) for a, b in pairs]
    assert [binary(op, Scalar(dtype))(a, b) for a, b in pairs] == want
    a, b = (np.array(side, dtype.numpy()) for side in zip(*pairs, strict=True))
    got = binary(op, Vec(dtype, len(pairs)))(a, b)
    assert got.dtype == dtype.numpy() and got.tolist() == want


@pytest.mark.parametrize("type_", [Scalar(DType.I32), Vec(DType.I32, 2)], ids=["scalar", "lanes"])
def test_integer_operations_without_a_result(type_: Type) -> None:
    def run(op: BinaryOp, a: int, b: int) -> None:
        binary(op, type_)(literal(Const(a, type_)), literal(Const(b, type_)))

    with pytest.raises(ComputeError, match="div of 5 by zero"):
        run("div", 5, 0)
    with pytest.raises(ComputeError, match="rem of -2147483648 by -1 overflows i32"):
        run("rem", -(2**31), -1)
    with pytest.raises(ComputeError, match=r"shl by .*32.*: a i32 shifts by 0 to 31"):
        run("shl", 1, 32)
    with pytest.raises(ComputeError, match=r"shr by .*-1.*: a i32 shifts by 0 to 31"):
        run("shr", 1, -1)


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: d.short)
def test_unary_on_integers(dtype: DType) -> None:
    low, high = bounds(dtype)
    values = [low, low + 1, 0, 1, 2, 40, 96, high]
    wrap, full = wrapper(dtype), 2**dtype.bits - 1

    def trailing(x: int) -> int:
        return next((i for i in range(dtype.bits) if x >> i & 1), dtype.bits)

    want = {
        "not": [wrap(~x) for x in values],
        "popcount": [(x & full).bit_count() for x in values],
        "ctz": [trailing(x & full) for x in values],
    }
    if dtype.is_signed:
        want |= {"neg": [wrap(-x) for x in values], "abs": [wrap(abs(x)) for x in values]}
    for op, expected in want.items():
        assert [unary(op, Scalar(dtype))(x) for x in values] == expected, op  # type: ignore[arg-type]
        got = unary(op, Vec(dtype, 8))(np.array(values, dtype.numpy()))  # type: ignore[arg-type]
        assert got.dtype == dtype.numpy() and got.tolist() == expected, op


# --- floats ---------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", [F32, Vec(DType.F32, 1)], ids=["scalar", "lanes"])
def test_min_and_max_take_the_second_of_two_that_do_not_compare(type_: Type) -> None:
    for a in SPECIAL:
        for b in SPECIAL:
            x, y = literal(Const(a, type_)), literal(Const(b, type_))
            low, high = np.ravel(binary("min", type_)(x, y))[0], np.ravel(binary("max", type_)(x, y))[0]
            assert same(low, np.float32(a if a < b else b)), (a, b)
            assert same(high, np.float32(a if a > b else b)), (a, b)


def test_f32_rounds_after_each_operation() -> None:
    big, small = np.float32(2**24), np.float32(1)
    add = binary("add", F32)
    assert add(add(big, small), small) == 2**24
    assert type(add(big, small)) is np.float32


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_bf16_is_the_f32_result_rounded_once(op: BinaryOp) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 2**16, 500, dtype=np.uint16) for _ in range(2))
    widen, narrow = (
        cast(Vec(DType.BF16, 500), Vec(DType.F32, 500)),
        cast(Vec(DType.F32, 500), Vec(DType.BF16, 500)),
    )
    want = narrow(binary(op, Vec(DType.F32, 500))(widen(a), widen(b)))
    np.testing.assert_array_equal(binary(op, Vec(DType.BF16, 500))(a, b), want)
    assert binary(op, Scalar(DType.BF16))(int(a[0]), int(b[0])) == int(want[0])


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16, DType.F32, DType.F64], ids=lambda d: d.short)
def test_comparisons_are_ordered_except_ne(dtype: DType) -> None:
    for lanes in (0, 2):
        type_: Type = Vec(dtype, lanes) if lanes else Scalar(dtype)
        nan, one = literal(Const(math.nan, type_)), literal(Const(1.0, type_))
        zero, minus = literal(Const(0.0, type_)), literal(Const(-0.0, type_))
        for op in ("eq", "lt", "le", "gt", "ge"):
            assert not np.any(compare(op, type_)(nan, one)) and not np.any(compare(op, type_)(nan, nan))
        assert np.all(compare("ne", type_)(nan, nan)) and np.all(compare("eq", type_)(zero, minus))
        assert np.all(compare("lt", type_)(zero, one)) and not np.any(compare("gt", type_)(zero, one))


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16, DType.F32, DType.F64], ids=lambda d: d.short)
def test_float_signs_and_roots(dtype: DType) -> None:
    widen = cast(Scalar(dtype), F64) if dtype is not DType.F64 else float
    for value in (0.0, -0.0, 2.25, -2.25, math.inf):
        x = literal(Const(value, Scalar(dtype)))
        assert same(widen(unary("neg", Scalar(dtype))(x)), -value)
        assert same(widen(unary("abs", Scalar(dtype))(x)), abs(value))
        root = math.sqrt(value) if value > 0 else (value if value == 0 else math.nan)
        assert same(widen(unary("sqrt", Scalar(dtype))(x)), root)


# --- fused multiply-add ---------------------------------------------------------------------

_LIBM = ctypes.CDLL(ctypes.util.find_library("m"))
_LIBM.fmaf.argtypes, _LIBM.fmaf.restype = [ctypes.c_float] * 3, ctypes.c_float
_LIBM.fma.argtypes, _LIBM.fma.restype = [ctypes.c_double] * 3, ctypes.c_double

floats32 = st.floats(width=32) | st.sampled_from(SPECIAL)


@given(floats32, floats32, floats32)
def test_fma_f32_is_the_c_librarys(a: float, b: float, c: float) -> None:
    x, y, z = np.float32(a), np.float32(b), np.float32(c)
    with np.errstate(all="ignore"):
        got = fma(F32)(x, y, z)
    assert same(got, np.float32(_LIBM.fmaf(x, y, z)))


@given(st.floats(), st.floats(), st.floats())
def test_fma_f64_is_the_c_librarys(a: float, b: float, c: float) -> None:
    with np.errstate(all="ignore"):
        got = fma(F64)(a, b, c)
    assert same(got, _LIBM.fma(a, b, c))


def test_fma_f32_where_rounding_twice_goes_wrong() -> None:
    # 2^-60 below the middle of two f32. Rounded to f64 first that is lost, and the tie goes the wrong way.
    a, b = np.float32(2**-12 * (1 + 2**-18)), np.float32(2**-12 * (1 - 2**-18))
    c = np.float32(1 + 2**-23)
    twice = np.float32(float(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))))
    assert fma(F32)(a, b, c) == c != twice


def test_fma_many_f32_lanes() -> None:
    rng = np.random.default_rng(1)
    a, b, c = (rng.integers(0, 2**32, 4000, dtype=np.uint32).view(np.float32) for _ in range(3))
    # Products that nearly cancel the addend are where the second rounding shows.
    c[:2000] = -(a[:2000] * b[:2000]) * (1 + rng.integers(-2, 3, 2000) * np.float32(2**-22))
    got = fma(Vec(DType.F32, 4000))(a, b, c)
    want = [np.float32(_LIBM.fmaf(*abc)) for abc in zip(a, b, c, strict=True)]
    assert all(map(same, got, want)) and got.dtype == np.float32


def test_fma_f64_lanes_are_the_scalars() -> None:
    a, b, c = np.array([0.1, 1e308]), np.array([0.1, 10.0]), np.array([-0.01, -math.inf])
    assert fma(Vec(DType.F64, 2))(a, b, c).tolist() == [_LIBM.fma(0.1, 0.1, -0.01), -math.inf]


# --- conversion -----------------------------------------------------------------------------


def test_every_bf16_survives_f32() -> None:
    every = np.arange(2**16, dtype=np.uint16)
    wide = cast(Vec(DType.BF16, 2), Vec(DType.F32, 2))(every)
    back = cast(Vec(DType.F32, 2), Vec(DType.BF16, 2))(wide)
    nan = np.isnan(wide)
    np.testing.assert_array_equal(back[~nan], every[~nan])
    assert np.isnan(cast(Vec(DType.BF16, 2), Vec(DType.F32, 2))(back[nan])).all()


@given(st.floats(width=32, allow_nan=False))
def test_bf16_is_the_nearest_with_ties_to_even(x: float) -> None:
    bits = cast(F32, Scalar(DType.BF16))(np.float32(x))
    widen = cast(Scalar(DType.BF16), F32)
    got = widen(bits)
    if math.isinf(x) or math.isinf(got):
        # Past the middle between the greatest bf16 and the next that there would be.
        assert math.isinf(got) and abs(x) >= float.fromhex("0x1.ffp127")
        return
    near = [bits - 1, bits + 1] if bits & 0x7FFF else [1, 0x8001]
    for other in near:
        value = float(widen(other))
        if math.isfinite(value):
            assert abs(float(got) - x) <= abs(value - x)
            assert abs(float(got) - x) < abs(value - x) or bits % 2 == 0


def test_bf16_ties_and_nan() -> None:
    narrow = cast(F32, Scalar(DType.BF16))
    assert narrow(np.float32(1 + 2**-8)) == 0x3F80
    assert narrow(np.float32(1 + 3 * 2**-8)) == 0x3F82
    assert narrow(np.float32(-1 - 3 * 2**-8)) == 0xBF82
    for bits in (0x7F80_0001, 0x7FFF_FFFF, 0xFF80_0001, 0xFFFF_FFFF):
        assert narrow(np.uint32(bits).view(np.float32)) & 0x7FFF > 0x7F80


@pytest.mark.parametrize(
    ("value", "source", "to", "want"),
    [
        (300, DType.I32, DType.U8, 44),
        (-1, DType.I8, DType.U64, 2**64 - 1),
        (2**63 + 1, DType.U64, DType.I64, -(2**63) + 1),
        (200, DType.U8, DType.I8, -56),
        (2**24 + 1, DType.I32, DType.F32, 2.0**24),
        # By way of f64 this would round twice, to 2^62.
        (2**62 + 2**38 + 1, DType.I64, DType.F32, 2.0**62 + 2.0**39),
        (2**64 - 1, DType.U64, DType.F64, 2.0**64),
        (-2.9, DType.F32, DType.I32, -2),
        (-0.9, DType.F32, DType.U8, 0),
        (255.9, DType.F64, DType.U8, 255),
        (1e300, DType.F64, DType.F32, math.inf),
        (65519.0, DType.F32, DType.F16, 65504.0),
        (1 + 2**-11 + 2**-30, DType.F64, DType.F16, 1.0),  # by way of f32, as documented
        (True, DType.BOOL, DType.F32, 1.0),
        (True, DType.BOOL, DType.I8, 1),
        (256, DType.I32, DType.BOOL, True),
        (math.nan, DType.F32, DType.BOOL, True),
        (-0.0, DType.BF16, DType.BOOL, False),
        (7.0, DType.BF16, DType.I16, 7),
    ],
)
def test_cast(value: float, source: DType, to: DType, want: float) -> None:
    one = cast(Scalar(source), Scalar(to))(literal(Const(value, Scalar(source))))
    lanes = cast(Vec(source, 2), Vec(to, 2))(literal(Const(value, Vec(source, 2))))
    assert one == want and lanes.tolist() == [want, want]
    assert lanes.dtype == to.numpy() and isinstance(one, type(scalar(lanes[0], to)))


@pytest.mark.parametrize(
    ("value", "source", "to"),
    [
        (math.nan, DType.F32, DType.I32),
        (math.inf, DType.F64, DType.I64),
        (2.0**63, DType.F32, DType.I64),
        (-1.0, DType.F32, DType.U32),
        (256.0, DType.F32, DType.U8),
        (-129.0, DType.F64, DType.I8),
        (1e6, DType.BF16, DType.I16),
        (2.0**64, DType.F64, DType.U64),
    ],
)
def test_cast_out_of_range(value: float, source: DType, to: DType) -> None:
    for a, b in ((Scalar(source), Scalar(to)), (Vec(source, 4), Vec(to, 4))):
        with pytest.raises(ComputeError, match=f"to {to.short}: the value is out of range"):
            cast(a, b)(literal(Const(value, a)))


def test_cast_reaches_the_ends_of_the_range() -> None:
    for to in INTEGERS:
        low, high = bounds(to)
        below = math.nextafter(float(high + 1), 0)
        assert cast(F64, Scalar(to))(np.float64(low)) == low
        assert cast(F64, Scalar(to))(np.float64(below)) == int(below)


def test_bitcast() -> None:
    u16, mask = Scalar(DType.U16), Vec(DType.BOOL, 16)
    assert bitcast(F32, Scalar(DType.U32))(np.float32(-0.0)) == 0x8000_0000
    assert bitcast(Scalar(DType.I8), Scalar(DType.U8))(-1) == 255
    assert bitcast(Scalar(DType.U32), Vec(DType.U8, 4))(0x0403_0201).tolist() == [1, 2, 3, 4]
    assert bitcast(Vec(DType.U16, 2), Scalar(DType.I32))(np.array([1, 0x8000], np.uint16)) == 1 - 2**31
    lanes = bitcast(u16, mask)(0b1000_0000_0000_0101)
    assert np.flatnonzero(lanes).tolist() == [0, 2, 15] and bitcast(mask, u16)(lanes) == 0b1000_0000_0000_0101
    narrow = np.array([True, False])
    assert bitcast(Vec(DType.BOOL, 2), Vec(DType.BOOL, 2))(narrow).tolist() == [True, False]
    assert bitcast(Scalar(DType.BF16), Scalar(DType.F16))(0x3C00) == np.float16(1)


def test_literals() -> None:
    assert literal(Const(0.1, F32)) == np.float32(0.1) and type(literal(Const(1, F32))) is np.float32
    assert literal(Const(1.0, Scalar(DType.BF16))) == 0x3F80
    assert literal(Const(-0.0, Vec(DType.BF16, 2))).tolist() == [0x8000, 0x8000]
    assert literal(Const(True, BOOL)) is True
    assert literal(Const(7, Vec(DType.U8, 4))).dtype == np.uint8


# --- across lanes ---------------------------------------------------------------------------


def test_reduce_folds_the_upper_half_onto_the_lower() -> None:
    x = np.array([1, 2**24, -(2**24), 1, 0, 0, 0, 1], np.float32)
    y = x[:4] + x[4:]
    z = y[:2] + y[2:]
    got = reduction("add", Vec(DType.F32, 8))(x)
    assert got == z[0] + z[1] and type(got) is np.float32
    assert got != sum(x, np.float32(0)), "the order would not show"
    assert reduction("min", Vec(DType.F32, 2))(np.array([math.nan, 1], np.float32)) == 1
    assert math.isnan(reduction("min", Vec(DType.F32, 2))(np.array([1, math.nan], np.float32)))


def test_reduce_other_types() -> None:
    assert reduction("add", Vec(DType.U8, 2))(np.array([200, 100], np.uint8)) == 44
    assert reduction("and", Vec(DType.BOOL, 4))(np.array([True, True, False, True])) is False
    assert reduction("or", Vec(DType.BOOL, 4))(np.array([False, True, False, False])) is True
    assert reduction("max", Vec(DType.I64, 1))(np.array([-5])) == -5


def test_expand_takes_the_next_unused_element() -> None:
    values = np.array([10, 20, 30, 40], np.float32)
    assert expand(0b1010, values).tolist() == [0, 10, 0, 20]
    assert expand(0b1111_0000, values).tolist() == [0, 0, 0, 0]
    assert expand(0xFFFF, values).tolist() == [10, 20, 30, 40]


def test_dot4_wraps_and_never_saturates() -> None:
    a = np.full(8, 255, np.uint8)
    b = np.array([127] * 4 + [-128] * 4, np.int8)
    acc = np.array([2**31 - 1, -5], np.int32)
    got = dot4(acc, a, b)
    assert got.dtype == np.int32
    assert got.tolist() == [-(2**31) - 1 + 4 * 255 * 127, -5 - 4 * 255 * 128]


def test_pair_dot4_saturates_each_sum_of_two() -> None:
    a = np.array([255, 128, 255, 1, 255, 255, 255, 255], np.uint8)
    b = np.array([127, 1, 100, -100, -128, -128, 127, 127], np.int8)
    acc = np.array([7, -5], np.int32)
    got = pair_dot4(acc, a, b)
    assert got.dtype == np.int32
    assert got.tolist() == [7 + 255 * 127 + 128 + 255 * 100 - 100, -5 - (1 << 15) + (1 << 15) - 1]


def test_dot2_rounds_after_each_product_the_odd_one_first() -> None:
    one, large, minus = 0x3F80, 0x4B80, 0xCB80  # 1, 2^24, -2^24
    acc = np.array([1, 1, 3e38], np.float32)
    a = np.array([one, large, large, minus, large, one], np.uint16)
    b = np.array([one, one, one, one, 0x7F00, one], np.uint16)
    got = dot2(acc, a, b)
    assert got.dtype == np.float32
    # 1 + 2^24 loses its 1, and so does the next; 2^24 - 2^24 + 1 is what 1 - 2^24 rounds to; the last ends.
    assert got.tolist() == [2.0**24, 1.0, np.inf]


def test_select() -> None:
    a, b = np.arange(2), np.arange(2) + 10
    assert select(BOOL)(False, a, b) is b
    assert select(Vec(DType.BOOL, 2))(np.array([True, False]), a, b).tolist() == [0, 11]


def test_shuffle_and_broadcast() -> None:
    two = Const(0, Vec(DType.I32, 2))
    picked = operation(Shuffle(two, two, (3, 0, 2, 2)))(np.array([1, 2]), np.array([3, 4]))
    assert picked.tolist() == [4, 1, 3, 3]
    moved = operation(Permute(two, two, two))(np.array([1, 2]), np.array([3, 4]), np.array([2, 7], np.uint32))
    assert moved.tolist() == [3, 4]
    spread = operation(Broadcast(Const(5, Scalar(DType.U8)), 4))(5)
    assert spread.tolist() == [5] * 4 and spread.dtype == np.uint8
