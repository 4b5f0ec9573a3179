"""Printed programs: read once by a person, then kept as golden files."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import get_args

import pytest
from tests.loop.programs import random_program

from aerogel.core.dtypes import DType
from aerogel.loop import (
    BOOL,
    F32,
    I32,
    I64,
    Alloc,
    Assign,
    Barrier,
    Binary,
    Bitcast,
    Broadcast,
    Buf,
    BufferType,
    Call,
    Cast,
    Compare,
    Const,
    Define,
    Dot2,
    Dot4,
    Expand,
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
    PairDot4,
    Permute,
    Prefetch,
    Reduce,
    Scalar,
    Select,
    Shuffle,
    Stmt,
    Store,
    ThreadCount,
    ThreadId,
    Unary,
    Var,
    Vec,
    VLoad,
    VStore,
    While,
)
from aerogel.loop.printer import expr_text, show, type_name
from aerogel.loop.verify import verify
from aerogel.loop.walk import operands, statements, subexpressions

N, X, K = Var("n", I64), Var("x", F32), Var("k", I64)
A = Buf("a", BufferType(DType.F32, const=True, align=64))
Y = Buf("y", BufferType(DType.F32))
ZERO = Const(0, I64)


def axpy() -> Module:
    """y += x a, the tail by lanes."""
    i, f4 = Var("i", I64), Vec(DType.F32, 4)
    on = Compare("lt", Broadcast(i, 4) + Iota(Vec(DType.I64, 4)), Broadcast(N, 4))
    mask = Var("on", on.type)
    value = Fma(Broadcast(X, 4), VLoad(A, i, 4, mask), VLoad(Y, i, 4, mask))
    assert value.type == f4
    body = (For(i, ThreadId() * 4, N, (Let(mask, on), VStore(Y, i, value, mask)), step=4),)
    return Module("axpy", (Function("axpy", (N, X, A, Y), body),))


def everything() -> Module:
    """What ``axpy`` leaves out; it computes nothing sensible."""
    raw, floats, s = Buf("raw", BufferType(DType.U8)), Buf("floats", BufferType(DType.F32)), Buf("s", Y.type)
    i, total, words = Var("i", I64), Var("total", F32), Var("words", Vec(DType.I32, 4))
    halves = Const(0.5, Vec(DType.BF16, 8))
    u8s, i8s = Const(2, Vec(DType.U8, 16)), Const(-1, Vec(DType.I8, 16))
    lanes = Expand(Cast(N, Scalar(DType.U16)), VLoad(A, ZERO, 16))
    mixed = Shuffle(lanes, Permute(lanes, lanes, Iota(Vec(DType.U32, 16))), (0, 2, 4, 31))
    body: tuple[Stmt, ...] = (
        Alloc(s, 64),
        LetView(floats, raw, N * 4, Const(8, I64)),
        Define(total, Const(0, F32)),
        Let(words, Dot4(PairDot4(Iota(Vec(DType.I32, 4)), u8s, i8s), u8s, i8s)),
        For(
            i,
            ZERO,
            Const(4, I64),
            (Assign(total, total + Load(A, i)), Store(s, i, Unary("sqrt", total))),
            2,
            True,
        ),
        If(Unary("not", X < 0.5), (Prefetch(A, N + 64),), (VStore(Y, ZERO, mixed), Barrier())),
        While(Compare("ne", Load(raw, ZERO), Const(7, Scalar(DType.U8))), ()),
        Call("leaf", (Select(N > 3, N, ThreadCount()), A, Y)),
        Store(Y, ZERO, Reduce("max", Dot2(Bitcast(words, Vec(DType.F32, 4)), halves, halves))),
    )
    leaf = Function("leaf", (K, A, Y), ())
    return Module("everything", (leaf, Function("main", (N, X, A, Y, raw), body)))


@pytest.mark.parametrize("make", [axpy, everything], ids=lambda make: make.__name__)
def test_golden(make: Callable[[], Module], golden: Callable[[str, str], None]) -> None:
    verify(make())
    golden(f"loop/{make.__name__}.txt", show(make()))


def test_the_golden_programs_have_every_node() -> None:
    found: set[type] = set()
    for function in (*axpy().functions, *everything().functions):
        for stmt in statements(function.body):
            found |= {type(stmt), *(type(e) for top in operands(stmt) for e in subexpressions(top))}
    assert found == {*get_args(Stmt), *get_args(Expr)}


def test_parentheses_follow_evaluation() -> None:
    assert expr_text(N + K + 1) == "n + k + 1"
    assert expr_text(N + (K + 1)) == "n + (k + 1)"
    assert expr_text(N - (K - 1)) == "n - (k - 1)"
    assert expr_text((N + K) * 2) == "(n + k) * 2"
    assert expr_text(N + K * 2) == "n + k * 2"
    assert expr_text(N // (K * 2) % 3) == "n / (k * 2) % 3"
    assert expr_text(N & (K + 1)) == "n & (k + 1)"
    assert expr_text((N & K) << 2) == "(n & k) << 2"
    assert expr_text((N & K) + 2) == "(n & k) + 2"
    assert expr_text(Compare("eq", N < K, Const(True, BOOL))) == "(n < k) == true"
    assert expr_text(Binary("min", N + 1, K)) == "min(n + 1, k)"


@pytest.mark.parametrize(
    ("const", "text"),
    [
        (Const(3, I64), "3"),
        (Const(-3, I32), "-3:i32"),
        (Const(0.1, F32), "0.1"),
        (Const(1, F32), "1.0"),
        (Const(0.1, Scalar(DType.F64)), "0.1:f64"),
        (Const(-0.0, Vec(DType.F32, 16)), "-0.0:f32x16"),
        (Const(float("inf"), F32), "inf"),
        (Const(float("nan"), F32), "nan"),
        (Const(True, BOOL), "true"),
        (Const(False, Vec(DType.BOOL, 8)), "false:boolx8"),
        (Const(0.5, Scalar(DType.BF16)), "0.5:bf16"),
        (Const(1 / 3, F32), "0.33333334"),
        (Const(1 / 3, Scalar(DType.F64)), "0.3333333333333333:f64"),
    ],
)
def test_constants_say_their_type(const: Const, text: str) -> None:
    assert expr_text(const) == text


def test_types() -> None:
    assert type_name(Vec(DType.BOOL, 8)) == "boolx8"
    assert type_name(BufferType(DType.U16, const=True, align=64)) == "const u16[] align 64"


def test_the_same_program_gives_the_same_text() -> None:
    assert show(everything()) == show(everything())
    texts = {show(random_program(random.Random(seed)).module) for seed in range(10)}
    assert len(texts) == 10
