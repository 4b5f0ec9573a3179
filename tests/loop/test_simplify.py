"""Simplified programs store the same bits, are well-formed, and have less in them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from tests.loop.programs import MAX_THREADS, Program, assert_same, programs, random_program

from aerogel.core.dtypes import DType
from aerogel.loop import (
    BOOL,
    F32,
    I64,
    Alloc,
    Assign,
    Barrier,
    Binary,
    Bitcast,
    Block,
    Broadcast,
    Buf,
    BufferType,
    Cast,
    Compare,
    Const,
    Define,
    Expr,
    Fma,
    For,
    Function,
    If,
    Iota,
    Let,
    LetView,
    Load,
    Module,
    Prefetch,
    Reduce,
    Scalar,
    Select,
    Shuffle,
    Store,
    Unary,
    Var,
    Vec,
    VLoad,
    VStore,
    While,
)
from aerogel.loop.fold import fold
from aerogel.loop.interpret import interpret
from aerogel.loop.printer import expr_text, show
from aerogel.loop.simplify import simplify
from aerogel.loop.verify import verify

N, K, X, FLAG = Var("n", I64), Var("k", I64), Var("x", F32), Var("flag", BOOL)
B, W = Var("b", Scalar(DType.U8)), Var("w", Vec(DType.F32, 4))
Y, BYTES = Buf("y", BufferType(DType.F32)), Buf("bytes", BufferType(DType.U8))
ZERO, ONE, TWO = Const(0, I64), Const(1, I64), Const(2, I64)
TRUE, FALSE = Const(True, BOOL), Const(False, BOOL)
U8, U32, F64, BF16 = Scalar(DType.U8), Scalar(DType.U32), Scalar(DType.F64), Scalar(DType.BF16)


# --- equivalence ----------------------------------------------------------------------------


def check(program: Program, threads: int) -> None:
    simpler = simplify(program.module)
    verify(simpler)
    want, got = program.arguments(), program.arguments()
    interpret(program.module, want, threads)
    interpret(simpler, got, threads)
    assert_same(program, got, want)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(programs())
def test_simplified_programs_store_the_same(program: Program) -> None:
    check(program, threads=1)


def test_simplified_programs_store_the_same_on_threads() -> None:
    for seed in range(8):
        check(random_program(random.Random(1000 + seed)), threads=MAX_THREADS)


@pytest.mark.slow
def test_simplified_programs_store_the_same_at_length() -> None:
    for seed in range(2000, 2600):
        check(random_program(random.Random(seed)), threads=1)


def test_random_programs_get_smaller() -> None:
    modules = [random_program(random.Random(seed)).module for seed in range(10)]
    assert sum(len(show(simplify(m))) for m in modules) < 0.8 * sum(len(show(m)) for m in modules)


# --- expressions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (Const(2, I64) * 3 + 1, "7"),
        (Binary("add", Const(255, U8), Const(1, U8)), "0:u8"),
        (Binary("add", Const(0.1, F32), Const(0.2, F32)), "0.3"),
        (Binary("add", Const(0.1, F64), Const(0.2, F64)), "0.30000000000000004:f64"),
        (Const(1.0, F32) / Const(0, F32), "inf"),
        (Unary("neg", Const(0.0, F32)), "-0.0"),
        (Binary("mul", Const(-1.0, F32), Const(0.0, F32)), "-0.0"),
        (Fma(Const(2.0, F32), Const(3.0, F32), Const(1.0, F32)), "7.0"),
        (Compare("lt", Const(1, I64), Const(2, I64)), "true"),
        (Cast(Const(2.7, F32), I64), "2"),
        (Cast(Const(1.5, F32), BF16), "1.5:bf16"),
        (Bitcast(Const(1.0, F32), U32), "1065353216:u32"),
        (Broadcast(Const(1.5, F32), 4), "1.5:f32x4"),
        (Reduce("add", Const(2, Vec(DType.I32, 4))), "8:i32"),
        (Select(TRUE, X, Const(1.0, F32)), "x"),
        (Select(FALSE, X, Const(1.0, F32)), "1.0"),
        (Select(Const(False, Vec(DType.BOOL, 4)), W, Const(0.0, W.type)), "0.0:f32x4"),
        (Shuffle(Const(1.0, W.type), Const(1.0, W.type), (0, 5)), "1.0:f32x2"),
        (VLoad(Y, N, 4, Const(True, Vec(DType.BOOL, 4))), "y[n :4]"),
    ],
)
def test_folded(expr: Expr, text: str) -> None:
    with np.errstate(all="ignore"):
        assert expr_text(fold(expr, {})) == text


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (N + 0, "n"),
        (0 + N, "n"),
        (N - 0, "n"),
        (N * 1, "n"),
        (1 * N, "n"),
        (N * 0, "0"),
        (N // 1, "n"),
        (N % 1, "0"),
        (N << 0, "n"),
        (N >> 0, "n"),
        (N & 0, "0"),
        (N & -1, "n"),
        (N | 0, "n"),
        (N | -1, "-1"),
        (N ^ 0, "n"),
        (B & 255, "b"),
        (B | 255, "255:u8"),
        (FLAG & TRUE, "flag"),
        (FLAG & FALSE, "false"),
        (FLAG | FALSE, "flag"),
        (FLAG | TRUE, "true"),
        (TRUE & FLAG, "flag"),
        (FLAG ^ FALSE, "flag"),
        (1 + N + 2, "n + 3"),
        (N * 3 * 4, "n * 12"),
        (B + 200 + 56, "b"),
        (N + 1 + K + 0, "n + 1 + k"),
        (Unary("not", Unary("not", FLAG)), "flag"),
        (Cast(N, I64), "n"),
        (Bitcast(X, F32), "x"),
        (X * 1.0, "x"),
        (1.0 * X, "x"),
        (X / 1.0, "x"),
        (X - 0.0, "x"),
        (X + -0.0, "x"),
        (-0.0 + X, "x"),
    ],
)
def test_identities(expr: Expr, text: str) -> None:
    assert expr_text(fold(expr, {})) == text


@pytest.mark.parametrize(
    "expr",
    [
        X + 0.0,
        0.0 + X,
        X - -0.0,
        X * 0.0,
        X - X,
        0.0 - X,
        X * -1.0,
        X / X,
        Const(1, I64) // Const(0, I64),
        Cast(Const(math.nan, F32), I64),
        N ^ -1,
        N & 3,
        ZERO - N,
        TWO // N,
        Bitcast(Const(math.nan, F32), U32),
        Bitcast(Const(0x7FC0_1234, U32), F32),
        Iota(Vec(DType.I32, 4)),
        Bitcast(Const(0x0102, Scalar(DType.U16)), Vec(DType.U8, 2)),
        Select(FLAG, X, X),
        Shuffle(Const(0.0, W.type), Const(-0.0, W.type), (0, 4)),
    ],
    ids=expr_text,
)
def test_what_must_stay(expr: Expr) -> None:
    """Not true of every input (-0.0, NaN, inf), without a result, or without a constant to spell it."""
    with np.errstate(all="ignore"):
        assert fold(expr, {}) == expr


# --- statements -----------------------------------------------------------------------------

IX, T, D, U = Var("i", I64), Var("t", I64), Var("d", I64), Var("u", I64)
KEEP = Store(Y, N, X)
SCRATCH = Buf("s", BYTES.type)


def lines(*body: object) -> list[str]:
    """The body of the simplified function, as text."""
    params = (N, K, X, FLAG, Y, BYTES)
    module = Module("m", (Function("f", params, body),))  # type: ignore[arg-type]
    simpler = simplify(module)
    verify(simpler)
    return [line[2:] for line in show(simpler).splitlines()[3:]]


def store(value: Expr) -> Store:
    return Store(Y, value, X)


CUT: list[tuple[Block, list[str]]] = [
    ((Let(T, N + 1), KEEP), ["y[n] = x"]),
    ((Let(T, N + 1), Let(U, T + 1), KEEP), ["y[n] = x"]),
    ((Let(T, N), store(T + 1)), ["y[n + 1] = x"]),
    ((Let(T, ONE + 1), store(T * N)), ["y[n * 2] = x"]),
    ((Let(T, N + 1), store(T)), ["let t: i64 = n + 1", "y[t] = x"]),
    ((Define(D, N + 1), Assign(D, D + 1), KEEP), ["y[n] = x"]),
    ((Define(D, N), For(IX, ZERO, N, (Assign(D, D + IX), store(IX)))), ["for i in 0..n", "  y[i] = x"]),
    ((Define(D, N + 1), store(D)), ["let d: i64 = n + 1", "y[d] = x"]),
    ((Define(D, N), Let(T, D), Assign(D, ONE), store(T)),
     ["var d: i64 = n", "let t: i64 = d", "d = 1", "y[t] = x"]),
    ((Alloc(Buf("s", Y.type), 8), KEEP), ["y[n] = x"]),
    ((LetView(Buf("v", Y.type), BYTES, ZERO, N), KEEP), ["y[n] = x"]),
    ((LetView(Buf("v", Y.type), BYTES, N * 1, N), store(Cast(Load(Buf("v", Y.type), ZERO), I64))),
     ["view v: f32[] = bytes at byte n count n", "y[cast<i64>(v[0])] = x"]),
    ((If(TRUE, (KEEP,), (store(ONE),)),), ["y[n] = x"]),
    ((If(FALSE, (KEEP,), (store(ONE),)),), ["y[1] = x"]),
    ((If(FALSE, (KEEP,)),), ["pass"]),
    ((If(FLAG, (), ()),), ["pass"]),
    ((If(FLAG, (Let(T, N + 1),), (Let(T, N + 1),)),), ["pass"]),
    ((If(TRUE, (Let(T, N + 1), store(T))),), ["let t: i64 = n + 1", "y[t] = x"]),
    # Both bind t: growing one scope would shadow the other.
    ((If(TRUE, (Let(T, N + 1), store(T))), If(FLAG, (Let(T, N + 2), store(T)))),
     ["if true", "  let t: i64 = n + 1", "  y[t] = x", "if flag", "  let t: i64 = n + 2", "  y[t] = x"]),
    # Two scopes with a t of their own.
    ((If(FLAG, (Let(T, ONE), store(T))), If(FLAG, (Let(T, N + 2), store(T)))),
     ["if flag", "  y[1] = x", "if flag", "  let t: i64 = n + 2", "  y[t] = x"]),
    ((Alloc(SCRATCH, 8), LetView(Buf("v", Y.type), SCRATCH, ZERO, TWO), Store(Buf("v", Y.type), ZERO, X)),
     ["alloc s: u8[] count 8", "view v: f32[] = s at byte 0 count 2", "v[0] = x"]),
    ((For(IX, Const(3, I64), Const(3, I64), (KEEP,)),), ["pass"]),
    ((For(IX, ZERO, N, ()),), ["pass"]),
    ((For(IX, ZERO, N, (Let(T, IX + 1),)),), ["pass"]),
    ((For(IX, TWO, Const(4, I64), (store(IX + 1),), step=2),), ["y[3] = x"]),
    ((For(IX, ZERO, TWO, (store(IX),), unroll=True),), ["for i in 0..2 unroll", "  y[i] = x"]),
    ((For(IX, ZERO, ONE + 1, (store(IX),)),), ["for i in 0..2", "  y[i] = x"]),
    ((While(FALSE, (KEEP,)),), ["pass"]),
    ((While(FLAG, (Let(T, N),)),), ["while flag", "  pass"]),
    ((Prefetch(Y, N + 0), Barrier()), ["prefetch y[n]", "barrier"]),
    ((If(N > 3, (Barrier(),)),), ["if n > 3", "  barrier"]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "text"), CUT, ids=range(len(CUT)))
def test_cut(body: Block, text: list[str]) -> None:
    assert lines(*body) == text


def test_calls_and_their_parameters_stay() -> None:
    program = random_program(random.Random(5)).module
    simpler = simplify(program)
    assert [(f.name, f.params) for f in simpler.functions] == [(f.name, f.params) for f in program.functions]


def test_golden(golden: Callable[[str, str], None]) -> None:
    """An unrolled tail with its bounds known, before and after."""
    acc, part = Var("acc", W.type), Var("part", W.type)
    rows = Var("rows", I64)
    body = (
        Let(rows, Const(3, I64)),
        Define(acc, Const(0.0, W.type)),
        For(IX, ZERO, N, (
            Let(part, VLoad(Y, IX * rows * 4 + 0, 4)),
            If(rows > 2, (Assign(acc, Fma(part, Broadcast(X * 1.0, 4), acc)),), (Assign(acc, acc + part),)),
            For(T, ZERO, rows - 2, (VStore(Y, (IX + T) * 4, acc),)),
        )),
    )  # fmt: skip
    module = Module("tail", (Function("tail", (N, X, Y), body),))
    golden("loop/simplify.txt", show(module) + "\n--- simplified\n\n" + show(simplify(module)))
