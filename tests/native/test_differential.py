"""Machine code against the interpreter, bit for bit, at every target this CPU has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from tests.loop.programs import Program, assert_same, comparable, programs

from aerogel.core.dtypes import DType
from aerogel.core.target import Target, available
from aerogel.loop.interpret import interpret
from aerogel.loop.nodes import (
    I64,
    Binary,
    Broadcast,
    Buf,
    BufferType,
    Cast,
    Const,
    Dot4,
    Expand,
    Expr,
    Fma,
    For,
    Function,
    Load,
    Module,
    PairDot4,
    Permute,
    Reduce,
    Scalar,
    Select,
    Stmt,
    Store,
    Unary,
    Var,
    Vec,
    VLoad,
    VStore,
)  # fmt: skip
from aerogel.native import compile

ZERO = Const(0, I64)
NUMBERS = tuple(d for d in DType if d is not DType.BOOL)
SPECIAL = (0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 1e-40, 65504.0, 3.4e38, 2.0**-24, 0.1, 7.0)


def check(module: Module, args: Sequence[Any], targets: Sequence[Target], threads: int = 1) -> list[Any]:
    """Run on the interpreter and at each target: the same bits in every buffer. Returns the arguments."""

    def fresh() -> list[Any]:
        return [a.copy() if isinstance(a, np.ndarray) else a for a in args]

    want = fresh()
    interpret(module, want, threads=threads)
    for target in targets:
        got = fresh()
        compile(module, target)(*got, threads=threads)
        for param, a, b in zip(module.entry.params, got, want, strict=True):
            if isinstance(param, Buf):
                np.testing.assert_array_equal(
                    comparable(param, a), comparable(param, b), err_msg=f"{param.name} at {target.name}"
                )
    return want


def values(dtype: DType, count: int, seed: int = 0) -> np.ndarray:
    """Ordinary, extreme and special values."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, count * dtype.itemsize, dtype=np.uint8)
    if dtype is DType.BOOL:
        return (raw & 1).astype(np.bool_)
    if not dtype.is_float or dtype is DType.BF16:
        return raw.view(dtype.numpy())
    usual = rng.normal(size=count) * 10
    with np.errstate(over="ignore"):
        return np.where(rng.random(count) < 0.3, rng.choice(SPECIAL, count), usual).astype(dtype.numpy())


@pytest.mark.parametrize("threads", [1, 3])
@given(program=programs())
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_programs(threads: int, program: Program) -> None:
    run_program(program, threads)


@pytest.mark.slow
@given(program=programs())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_many_random_programs(program: Program) -> None:
    run_program(program, 2)


def run_program(program: Program, threads: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
        want = program.arguments()
        interpret(program.module, want, threads=threads)
        for target in available():
            got = program.arguments()
            compile(program.module, target)(*got, threads=threads)
            assert_same(program, got, want)


def lane_by_lane(dtype: DType, out: DType, lanes: int, results: Sequence[Expr], count: int) -> Module:
    """z[k, i] = results[k](a[i], b[i]) for whole vectors of ``a`` and ``b``, or for scalars if lanes is 0."""
    a, b = (Buf(name, BufferType(dtype, const=True)) for name in "ab")
    z, i = Buf("z", BufferType(out)), Var("i", I64)
    stores: list[Stmt] = []
    for k, result in enumerate(results):
        at = i + k * count
        stores.append(VStore(z, at, result) if lanes else Store(z, at, result))
    loop = For(i, ZERO, Const(count, I64), tuple(stores), step=max(1, lanes))
    return Module("lanes", (Function("main", (a, b, z), (loop,)),))


def operands(dtype: DType, lanes: int) -> tuple[Expr, Expr]:
    i = Var("i", I64)
    a, b = (Buf(name, BufferType(dtype, const=True)) for name in "ab")
    return (VLoad(a, i, lanes), VLoad(b, i, lanes)) if lanes else (Load(a, i), Load(b, i))


@pytest.mark.parametrize("lanes", [0, 1, 8, 32])
@pytest.mark.parametrize("dtype", NUMBERS, ids=lambda d: d.short)
def test_every_operation_on_every_number_type(dtype: DType, lanes: int) -> None:
    a, b = operands(dtype, lanes)
    results: list[Expr] = [Binary(op, a, b) for op in ("add", "sub", "mul", "min", "max")]
    if dtype.is_float:
        results += [Binary("div", a, b), Unary("sqrt", a)]
    else:
        results += [Binary(op, a, b) for op in ("and", "or", "xor")]
        small = Binary("or", Binary("and", b, Const(7, b.type)), Const(1, b.type))
        shift = Binary("and", b, Const(dtype.bits - 1, b.type))
        results += [
            Binary("div", a, small),
            Binary("rem", a, small),
            Binary("shl", a, shift),
            Binary("shr", a, shift),
        ]
        results += [Unary(op, a) for op in ("not", "popcount", "ctz")]
    if dtype.is_signed:
        results += [Unary("neg", a), Unary("abs", a)]
    results += [Select(a < b, b, a), Select(a >= b, b, a)]
    count = 128
    z = np.zeros(count * len(results), dtype.numpy())
    x, y = values(dtype, count, 1), values(dtype, count, 2)
    y[::7] = x[::7]
    check(lane_by_lane(dtype, dtype, lanes, results, count), (x, y, z), available())


@pytest.mark.parametrize("lanes", [0, 16])
@pytest.mark.parametrize("dtype", tuple(DType), ids=lambda d: d.short)
def test_casts(dtype: DType, lanes: int) -> None:
    count, i = 64, Var("i", I64)
    x, small = Buf("a", BufferType(dtype, const=True)), Buf("b", BufferType(dtype, const=True))
    outputs = [Buf(f"z_{to.short}", BufferType(to)) for to in DType]
    stores: list[Stmt] = []
    for z in outputs:
        to = z.type.dtype
        # Only what fits: a float beyond an integer's range has no result.
        source = small if dtype.is_float and to.is_integer else x
        if lanes:
            stores.append(VStore(z, i, Cast(VLoad(source, i, lanes), Vec(to, lanes))))
        else:
            stores.append(Store(z, i, Cast(Load(source, i), Scalar(to))))
    loop = For(i, ZERO, Const(count, I64), tuple(stores), step=max(1, lanes))
    module = Module("casts", (Function("main", (x, small, *outputs), (loop,)),))
    plain = np.linspace(0, 100, count).astype(np.float32)
    # The top half of an f32 is a bf16.
    fits = (
        (plain.view(np.uint32) >> 16).astype(np.uint16)
        if dtype is DType.BF16
        else plain.astype(dtype.numpy())
    )
    zeros = [np.zeros(count, z.type.dtype.numpy()) for z in outputs]
    check(module, (values(dtype, count, 3), fits, *zeros), available())


@pytest.mark.parametrize("dtype", [d for d in DType if d.is_float], ids=lambda d: d.short)
def test_negative_floats_truncate_to_signed_integers(dtype: DType, target: Target) -> None:
    count = 64
    plain = np.linspace(-100, 100, count).astype(np.float32)
    x = (
        (plain.view(np.uint32) >> 16).astype(np.uint16)
        if dtype is DType.BF16
        else plain.astype(dtype.numpy())
    )
    for to in (DType.I8, DType.I16, DType.I32, DType.I64):
        a, _ = operands(dtype, 16)
        module = lane_by_lane(dtype, to, 16, [Cast(a, Vec(to, 16))], count)
        check(module, (x, x, np.zeros(count, to.numpy())), [target])


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16], ids=lambda d: d.short)
def test_every_16_bit_float_widens_and_comes_back(dtype: DType, target: Target) -> None:
    lanes, count = 16, 1 << 16
    a, _ = operands(dtype, lanes)
    module = lane_by_lane(dtype, DType.F32, lanes, [Cast(a, Vec(DType.F32, lanes))], count)
    bits = np.arange(count, dtype=np.uint16)
    wide = np.zeros(count, np.float32)
    compile(module, target)(bits.view(dtype.numpy()), bits.view(dtype.numpy()), wide)
    if dtype is DType.F16:
        np.testing.assert_array_equal(wide, bits.view(np.float16).astype(np.float32))
    else:
        np.testing.assert_array_equal(wide, (bits.astype(np.uint32) << 16).view(np.float32))
    back = np.zeros(count, np.uint16)
    a, _ = operands(DType.F32, lanes)
    module = lane_by_lane(DType.F32, dtype, lanes, [Cast(a, Vec(dtype, lanes))], count)
    compile(module, target)(wide, wide, back.view(dtype.numpy()))
    real = ~np.isnan(wide)
    np.testing.assert_array_equal(back[real], bits[real])


def test_f16_rounds_to_nearest_even(target: Target) -> None:
    exact = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    middle = (exact[:-1] + exact[1:]) / 2
    x = np.concatenate([middle, np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(1e9))])
    x = np.concatenate([x, -x, np.float32([65519.9, 65520, 1e6, np.inf, -np.inf, 1e-30])])
    x = x[: len(x) // 16 * 16]
    a, _ = operands(DType.F32, 16)
    module = lane_by_lane(DType.F32, DType.F16, 16, [Cast(a, Vec(DType.F16, 16))], len(x))
    got = np.zeros(len(x), np.float16)
    compile(module, target)(x, x, got)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(got.view(np.uint16), x.astype(np.float16).view(np.uint16))


@pytest.mark.parametrize("lanes", [0, 4, 16])
@pytest.mark.parametrize("dtype", [DType.F32, DType.F64], ids=lambda d: d.short)
def test_fma_rounds_once(dtype: DType, lanes: int) -> None:
    """Sums where the product's last bits decide, overflow, cancellation, subnormal results."""
    a, b = operands(dtype, lanes)
    kind = Vec(dtype, lanes) if lanes else Scalar(dtype)
    minus_one = Unary("neg", Const(1.0, kind))
    results: list[Expr] = [Fma(a, b, a), Fma(a, a, Unary("neg", b)), Fma(a, b, minus_one)]
    rng = np.random.default_rng(4)
    count = 512
    tiny = np.finfo(dtype.numpy()).eps
    x = (1 + rng.integers(0, 64, count) * tiny).astype(dtype.numpy())
    y = (1 + rng.integers(-64, 64, count) * tiny).astype(dtype.numpy())
    x[::5], y[::5] = values(dtype, len(x[::5]), 5), values(dtype, len(x[::5]), 6)
    scale = rng.integers(-80, 64, count)
    x[1::5] = np.ldexp(x[1::5], scale[1::5])
    y[1::5] = np.ldexp(y[1::5], -70)
    check(
        lane_by_lane(dtype, dtype, lanes, results, count),
        (x, y, np.zeros(3 * count, dtype.numpy())),
        available(),
    )


@pytest.mark.parametrize("dtype", NUMBERS, ids=lambda d: d.short)
def test_reductions_keep_their_order(dtype: DType) -> None:
    ops = ("add", "min", "max") + (() if dtype.is_float else ("and", "or"))
    x, z = Buf("x", BufferType(dtype, const=True)), Buf("z", BufferType(dtype))
    widths = (1, 2, 4, 8, 16, 32, 64)
    body = tuple(
        Store(z, Const(k * len(widths) + j, I64), Reduce(op, VLoad(x, Const(j, I64), lanes)))
        for k, op in enumerate(ops)
        for j, lanes in enumerate(widths)
    )
    module = Module("reduce", (Function("main", (x, z), body),))
    check(module, (values(dtype, 80), np.zeros(len(body), dtype.numpy())), available())


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("dtype", NUMBERS, ids=lambda d: d.short)
def test_expand(dtype: DType, lanes: int) -> None:
    word = next(d for d in (DType.U8, DType.U16, DType.U32, DType.U64) if d.bits >= lanes)
    bits, x = Buf("bits", BufferType(word, const=True)), Buf("x", BufferType(dtype, const=True))
    z, i = Buf("z", BufferType(dtype)), Var("i", I64)
    masks = (
        np.random.default_rng(1)
        .integers(0, 1 << min(63, word.bits), 40, dtype=np.uint64)
        .astype(word.numpy())
    )
    masks[:2] = 0, np.iinfo(word.numpy()).max
    expanded = VStore(z, i * lanes, Expand(Load(bits, i), VLoad(x, i, lanes)))
    loop = For(i, ZERO, Const(40, I64), (expanded,))
    module = Module("expand", (Function("main", (bits, x, z), (loop,)),))
    check(module, (masks, values(dtype, 128), np.zeros(40 * lanes, dtype.numpy())), available())


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("dtype", NUMBERS, ids=lambda d: d.short)
def test_permute(dtype: DType, lanes: int) -> None:
    word = next(d for d in (DType.U8, DType.U16, DType.U32, DType.U64) if d.bits == dtype.bits)
    x, at = Buf("x", BufferType(dtype, const=True)), Buf("at", BufferType(word, const=True))
    z, i = Buf("z", BufferType(dtype)), Var("i", I64)
    moved = Permute(VLoad(x, i, lanes), VLoad(x, i + lanes, lanes), VLoad(at, i * lanes, lanes))
    module = Module(
        "permute",
        (Function("main", (x, at, z), (For(i, ZERO, Const(6, I64), (VStore(z, i * lanes, moved),)),)),),
    )
    # Any index will do: what is beyond both vectors begins again.
    places = np.random.default_rng(3).integers(0, 256, 6 * lanes, dtype=np.uint64).astype(word.numpy())
    check(module, (values(dtype, 140), places, np.zeros(6 * lanes, dtype.numpy())), available())


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("kind", [Dot4, PairDot4])
def test_dot4_saturates_where_it_is_said_and_loses_no_bits(kind: type[Dot4 | PairDot4], lanes: int) -> None:
    x, w = Buf("x", BufferType(DType.U8, const=True)), Buf("w", BufferType(DType.I8, const=True))
    z, i = Buf("z", BufferType(DType.I32)), Var("i", I64)
    dot = kind(
        VLoad(z, i * lanes, lanes), VLoad(x, i * 4 * lanes, 4 * lanes), VLoad(w, i * 4 * lanes, 4 * lanes)
    )
    module = Module(
        "dot", (Function("main", (x, w, z), (For(i, ZERO, Const(8, I64), (VStore(z, i * lanes, dot),)),)),)
    )
    rng = np.random.default_rng(2)
    count = 8 * 4 * lanes
    a = rng.choice(np.uint8([0, 1, 127, 128, 255, 255]), count)
    b = rng.choice(np.int8([-128, -128, -1, 0, 1, 127]), count)
    acc = rng.choice(np.int32([-(2**31), 2**31 - 1, 0, 5]), 8 * lanes)
    check(module, (a, b, acc), available())


def test_broadcast_of_every_type(target: Target) -> None:
    for dtype in DType:
        a, _ = operands(dtype, 0)
        module = lane_by_lane(dtype, dtype, 8, [Broadcast(a, 8)], 8)
        x = values(dtype, 8, 9)
        check(module, (x, x, np.zeros(8, dtype.numpy())), [target])
