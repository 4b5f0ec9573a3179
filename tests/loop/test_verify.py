"""Every rule has a program that breaks it; the error names the function, the node and the rule."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest
from tests.loop.programs import random_program

from aerogel.core.dtypes import DType
from aerogel.core.errors import LoopError
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
    Block,
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
    Store,
    ThreadId,
    Unary,
    Var,
    Vec,
    VLoad,
    VStore,
    While,
)
from aerogel.loop.verify import MAX_NESTING, verify

N, X = Var("n", I64), Var("x", F32)
SOURCE = Buf("source", BufferType(DType.F32, const=True))
OUT = Buf("out", BufferType(DType.F32))
BYTES = Buf("bytes", BufferType(DType.U8))
CONST_BYTES = Buf("const_bytes", BufferType(DType.U8, const=True))
PARAMS = (N, X, SOURCE, OUT, BYTES, CONST_BYTES)
ZERO = Const(0, I64)
F4, I4, B4 = Vec(DType.F32, 4), Vec(DType.I32, 4), Vec(DType.BOOL, 4)
U8, U16 = Scalar(DType.U8), Scalar(DType.U16)
BYTES16, CHARS16, HALVES8 = Vec(DType.U8, 16), Vec(DType.I8, 16), Vec(DType.BF16, 8)
F3, F16 = Vec(DType.F32, 3), Vec(DType.F32, 16)


def module(*body: object) -> Module:
    return Module("m", (Function("f", PARAMS, body),))  # type: ignore[arg-type]


def one(type_: object) -> Const:
    dtype = type_.dtype  # type: ignore[attr-defined]
    return Const(True if dtype is DType.BOOL else 1, type_)  # type: ignore[arg-type]


def in_loop(*body: object) -> For:
    return For(Var("i", I64), ZERO, N, body)  # type: ignore[arg-type]


def let(expr: Expr) -> Let:
    return Let(Var("t", expr.type), expr)


GOOD_EXPRESSIONS: list[Expr] = [
    Binary("rem", N, Const(3, I64)), Binary("xor", one(BOOL), one(BOOL)), Unary("not", one(B4)),
    Unary("ctz", one(U8)), Cast(one(B4), F4), Cast(one(F4), B4), Bitcast(one(F4), BYTES16),
    Bitcast(Const(5, U16), Vec(DType.BOOL, 16)), Bitcast(one(Vec(DType.BOOL, 64)), Scalar(DType.I64)),
    Select(one(BOOL), one(F4), one(F4)), Select(one(B4), one(F4), one(F4)), VLoad(SOURCE, N, 4, one(B4)),
    Reduce("and", one(B4)), Expand(Const(1, Scalar(DType.U16)), one(F4)), Shuffle(one(F4), one(F4), (7, 0)),
    Dot4(one(I4), one(BYTES16), one(CHARS16)), PairDot4(one(I4), one(BYTES16), one(CHARS16)),
    Dot2(one(F4), one(HALVES8), one(HALVES8)),
    Permute(one(F4), one(F4), one(Vec(DType.U32, 4))), Permute(one(BYTES16), one(BYTES16), one(BYTES16)),
    Const(float("inf"), F32), Const(float("nan"), F4),
    Const(-128, Scalar(DType.I8)), Const(2**64 - 1, Scalar(DType.U64)), Fma(X, X, X), ThreadId() + 1,
]  # fmt: skip


@pytest.mark.parametrize("expr", GOOD_EXPRESSIONS, ids=lambda e: type(e).__name__)
def test_well_typed(expr: Expr) -> None:
    verify(module(let(expr)))


BAD_EXPRESSIONS: list[tuple[Expr, str]] = [
    (Var("ghost", I64) + 1, "'ghost' is not in scope"),
    (Var("n", I32) + 1, "'n' is i64, but is read here as i32"),
    (Binary("add", N, X), "add takes one type, not i64 and f32"),
    (Binary("add", one(BOOL), one(BOOL)), "add works on numbers, not on bool"),
    (Binary("rem", X, X), "rem works on integers, not on f32"),
    (Binary("and", X, X), "and works on integers and bool, not on f32"),
    (Binary("shl", N, Const(64, I64)), "shl of a i64 by 64"),
    (Binary("shr", one(U8), Const(8, U8)), "shr of a u8 by 8"),
    (Binary("add", one(F3), one(F3)), "has 3 lanes: give a power of two up to 64"),
    (one(Vec(DType.F32, 128)), "has 128 lanes"),
    (one(Vec(DType.F32, 0)), "has 0 lanes"),
    (Unary("neg", one(U8)), "neg does not work on u8"),
    (Unary("not", X), "not does not work on f32"),
    (Unary("sqrt", N), "sqrt does not work on i64"),
    (Unary("popcount", X), "popcount does not work on f32"),
    (Compare("lt", one(BOOL), one(BOOL)), "lt does not work on bool"),
    (Compare("eq", N, X), "eq takes one type, not i64 and f32"),
    (Const(300, U8), "300 is no u8: give 0 to 255"),
    (Const(1.5, I64), "1.5 is no i64"),
    (Const(True, I64), "True is no i64"),
    (Const(1, BOOL), "give True or False"),
    (Const(1e39, F32), "1e[+]39 is out of range for f32"),
    (Const(70000.0, Scalar(DType.F16)), "out of range for f16"),
    (Select(N, X, X), "cannot be decided by i64"),
    (Select(one(B4), X, X), "cannot be decided by boolx4"),
    (Select(one(Vec(DType.BOOL, 8)), one(F4), one(F4)), "cannot be decided by boolx8"),
    (Select(one(BOOL), X, N), "chooses between one type"),
    (Cast(one(F4), Vec(DType.I32, 8)), "keeps the lanes: f32x4 does not become i32x8"),
    (Cast(X, F4), "keeps the lanes: f32 does not become f32x4"),
    (Bitcast(X, I64), "keeps the width: f32 does not become i64"),
    (Bitcast(one(B4), Scalar(DType.U32)), "keeps the width: boolx4 does not become u32"),
    (Bitcast(one(BOOL), U8), "does not work on a scalar bool"),
    (Load(Buf("ghost", OUT.type), ZERO), "buffer 'ghost' is not in scope"),
    (Load(Buf("out", SOURCE.type), ZERO), r"'out' is f32\[\], but is read here as const f32\[\]"),
    (Load(OUT, Const(0, I32)), "takes an i64 index, not i32"),
    (VLoad(OUT, ZERO, 5), "has 5 lanes"),
    (VLoad(OUT, ZERO, 4, one(I4)), "of 4 lanes has a mask of i32x4"),
    (VLoad(OUT, ZERO, 8, one(B4)), "of 8 lanes has a mask of boolx4"),
    (Broadcast(one(F4), 4), "takes a scalar"),
    (Broadcast(X, 7), "has 7 lanes"),
    (Iota(F4), "counts in an integer vector type"),
    (Fma(X, X, Const(1.0, F4)), "takes three operands of one type"),
    (Fma(N, N, N), "works on f32 and f64"),
    (Reduce("add", X), "takes a vector, not f32"),
    (Reduce("or", one(F4)), "or works on integers and bool, not on f32x4"),
    (Reduce("min", one(B4)), "min works on numbers, not on bool"),
    (Expand(one(U8), one(F16)), "of 16 lanes needs an unsigned scalar of as many bits, not u8"),
    (Expand(N, one(F4)), "needs an unsigned scalar"),
    (Expand(one(U8), X), "spreads a vector, not f32"),
    (Dot4(one(I4), one(CHARS16), one(BYTES16)), "takes i32 lanes and 4 times as many u8 and i8"),
    (PairDot4(one(I4), one(CHARS16), one(BYTES16)), "takes i32 lanes and 4 times as many u8 and i8"),
    (Dot4(one(I4), one(Vec(DType.U8, 4)), one(Vec(DType.I8, 4))), "4 times as many"),
    (Dot2(one(I4), one(HALVES8), one(HALVES8)), "takes f32 lanes and twice as many bf16"),
    (Dot2(one(F4), one(HALVES8), one(Vec(DType.BF16, 4))), "twice as many"),
    (Shuffle(one(F4), one(F4), (0, 8)), "picks lanes from 0 to 7"),
    (Shuffle(one(F4), one(F4), (0, -1)), "picks lanes from 0 to 7"),
    (Shuffle(one(F4), one(F4), (0, 1, 2)), "has 3 lanes"),
    (Shuffle(one(F4), one(I4), (0, 1)), "takes one vector type"),
    (Permute(one(F4), one(I4), one(Vec(DType.U32, 4))), "takes one vector type"),
    (Permute(X, X, one(U8)), "takes one vector type, not f32 and f32"),
    (Permute(one(B4), one(B4), one(Vec(DType.U8, 4))), "moves numbers, not bool"),
    (Permute(one(F4), one(F4), one(I4)), "needs unsigned integers as wide, not i32x4"),
    (Permute(one(F4), one(F4), one(Vec(DType.U8, 4))), "needs unsigned integers as wide, not u8x4"),
]  # fmt: skip


@pytest.mark.parametrize(("expr", "rule"), BAD_EXPRESSIONS, ids=[rule[:40] for _, rule in BAD_EXPRESSIONS])
def test_ill_typed(expr: Expr, rule: str) -> None:
    with pytest.raises(LoopError, match=rule) as caught:
        verify(module(Prefetch(OUT, N), in_loop(let(expr))))
    assert "module 'm', function 'f', body[1].for[0].let: " in str(caught.value)


T, V = Var("t", I64), Buf("v", BufferType(DType.F32))
BAD_STATEMENTS: list[tuple[Block, str]] = [
    ((Let(X, X),), r"body\[0\].let: 'x' is already in scope: nothing may shadow it"),
    ((Let(T, N), in_loop(Let(T, N))), r"body\[1\].for\[0\].let: 't' is already in scope"),
    ((For(N, ZERO, ZERO, ()),), r"body\[0\].for: 'n' is already in scope"),
    ((in_loop(Let(T, N)), Let(Var("u", I64), T)), r"body\[1\].let: 't' is not in scope"),
    ((in_loop(), Let(T, Var("i", I64))), "'i' is not in scope"),
    ((If(one(BOOL), (), (Let(T, T),)),), r"body\[0\].else\[0\].let: 't' is not in scope"),
    ((Let(Var("out", I64), N),), "'out' is already in scope"),
    ((Let(Var("a b", I64), N),), "'a b' is not a name"),
    ((Let(T, X),), "'t' is i64, but its value is f32"),
    ((Define(T, X),), "'t' is i64, but its value is f32"),
    ((Let(T, N), Assign(T, N)), "'t' may not change: introduce it with Define"),
    ((in_loop(Define(T, N)), Let(T, N), Assign(T, N)), "'t' may not change"),
    ((Assign(N, N),), "'n' may not change"),
    ((in_loop(Assign(Var("i", I64), N)),), "'i' may not change"),
    ((Define(T, N), Assign(T, X)), "'t' is i64, but its value is f32"),
    ((in_loop(Define(T, N)), Assign(T, N)), "'t' is not in scope"),
    ((Store(SOURCE, ZERO, X),), r"body\[0\].store: buffer 'source' is const: nothing may write it"),
    ((Store(OUT, ZERO, N),), "an element of 'out' is f32, but its value is i64"),
    ((Store(OUT, X, X),), "the index is i64, but its value is f32"),
    ((Store(Buf("ghost", OUT.type), ZERO, X),), "buffer 'ghost' is not in scope"),
    ((VStore(OUT, ZERO, X),), "'out' holds f32, but the value is f32"),
    ((VStore(OUT, ZERO, one(I4)),), "'out' holds f32, but the value is i32x4"),
    ((VStore(OUT, ZERO, one(F4), one(Vec(DType.BOOL, 8))),), "the mask is boolx4, but its value is boolx8"),
    ((VStore(SOURCE, ZERO, one(F4)),), "'source' is const"),
    ((Prefetch(OUT, X),), "the index is i64"),
    ((Prefetch(Buf("ghost", OUT.type), N),), "'ghost' is not in scope"),
    ((LetView(V, OUT, ZERO, N),), "base 'out' holds f32: only u8 can be viewed"),
    ((LetView(V, CONST_BYTES, ZERO, N),), "view 'v' is mutable, but its base 'const_bytes' is const"),
    ((LetView(V, BYTES, X, N),), "the offset is i64"),
    ((LetView(V, BYTES, ZERO, X),), "the count is i64"),
    ((LetView(Buf("v", BufferType(DType.BOOL)), BYTES, ZERO, N),), "view 'v' is bool"),
    ((LetView(OUT, BYTES, ZERO, N),), "'out' is already in scope"),
    ((in_loop(Alloc(V, 4)),), r"body\[0\].for\[0\].alloc: an alloc stands directly in a function's body"),
    ((Alloc(V, 0),), "alloc 'v' of 0 elements"),
    ((Alloc(Buf("v", SOURCE.type), 4),), "scratch is mutable"),
    ((Alloc(Buf("v", BufferType(DType.F32, align=3)), 4),), "alignment 3: give a power of two"),
    ((For(Var("i", I32), ZERO, N, ()),), "counters are i64"),
    ((For(Var("i", I64), X, N, ()),), "the start is i64"),
    ((For(Var("i", I64), ZERO, N, (), step=0),), "the step is 0: give a positive constant"),
    ((For(Var("i", I64), ZERO, N, (), unroll=True),), "an unrolled loop has constant bounds"),
    ((While(N, ()),), "the condition is bool, but its value is i64"),
    ((If(one(B4), ()),), "the condition is bool, but its value is boolx4"),
    ((Call("f", PARAMS),), "function 'f' is not defined before this one: there is no recursion"),
    ((Call("ghost", ()),), "'ghost' is not defined"),
]


@pytest.mark.parametrize(("body", "rule"), BAD_STATEMENTS, ids=[rule[:50] for _, rule in BAD_STATEMENTS])
def test_ill_formed(body: Block, rule: str) -> None:
    with pytest.raises(LoopError, match=rule) as caught:
        verify(module(*body))
    assert "module 'm', function 'f', " in str(caught.value)


GOOD_STATEMENTS: list[Block] = [
    (in_loop(Let(T, N)), in_loop(Let(T, N)), Let(T, N)),
    (Define(T, N), in_loop(Assign(T, T + 1), If(T > 3, (Assign(T, ZERO),)))),
    (LetView(V, BYTES, ZERO, N), Store(V, ZERO, X), Prefetch(V, Const(-5, I64))),
    (LetView(Buf("v", BufferType(DType.F32, const=True)), BYTES, ZERO, N),),
    (Alloc(V, 4), Let(T, N), Alloc(Buf("w", BufferType(DType.BOOL, align=64)), 1)),
    (Barrier(), in_loop(Barrier()), If(N > 3, (Barrier(),), (Barrier(),)), While(N > 3, (Barrier(),))),
]


@pytest.mark.parametrize("body", GOOD_STATEMENTS, ids=range(len(GOOD_STATEMENTS)))
def test_well_formed(body: Block) -> None:
    verify(module(*body))


P_IN, P_OUT = Buf("a", SOURCE.type), Buf("b", OUT.type)
CALLEE = Function("g", (Var("k", I64), P_IN, P_OUT), (Store(P_OUT, Var("k", I64), Load(P_IN, ZERO)),))
WIDE = Buf("wide", BufferType(DType.F64))


def calling(*args: object) -> Module:
    main = Function("main", (*PARAMS, WIDE), (Call("g", args),))  # type: ignore[arg-type]
    return Module("m", (CALLEE, main))


@pytest.mark.parametrize(
    ("args", "rule"),
    [
        ((N, SOURCE), "'g' takes 3 arguments, but gets 2"),
        ((X, SOURCE, OUT), "parameter 'k' of 'g' is i64, but its value is f32"),
        ((OUT, SOURCE, OUT), "'g' takes a scalar 'k', but gets buffer 'out'"),
        ((N, N, OUT), "'g' takes a buffer 'a', but gets an expression"),
        ((N, SOURCE, SOURCE), "'g' may write 'b', but 'source' is const"),
        ((N, OUT, OUT), "'g' may write 'b', but gets 'out' twice"),
        (
            (N, SOURCE, Buf("wide", BufferType(DType.F64))),
            r"parameter 'b' of 'g' is f32\[\], but 'wide' is f64\[\]",
        ),
        ((N, SOURCE, Buf("ghost", OUT.type)), "'ghost' is not in scope"),
    ],
)
def test_bad_call(args: tuple[object, ...], rule: str) -> None:
    with pytest.raises(LoopError, match=rule):
        verify(calling(*args))


def test_good_call() -> None:
    verify(calling(N + 1, SOURCE, OUT))


def test_call_needs_the_alignment_it_asks_for() -> None:
    aligned = replace(
        CALLEE, params=(Var("k", I64), Buf("a", BufferType(DType.F32, const=True, align=64))), body=()
    )
    main = Function("main", PARAMS, (Call("g", (N, SOURCE)),))
    with pytest.raises(LoopError, match="const f32\\[\\] align 64, but 'source' is const f32\\[\\]"):
        verify(Module("m", (aligned, main)))


def test_barrier_only_in_the_entry() -> None:
    waits = Function("g", (), (Barrier(),))
    verify(Module("m", (waits,)))
    with pytest.raises(
        LoopError, match=r"'g', body\[0\].barrier: a barrier stands only in the module's entry"
    ):
        verify(Module("m", (waits, Function("main", (), ()))))


def test_calls_go_backwards() -> None:
    with pytest.raises(LoopError, match="function 'g', body"):
        verify(
            Module(
                "m", (Function("g", (), (Call("h", ()),)), Function("h", (), ()), Function("main", (), ()))
            )
        )


def test_names_and_parameters() -> None:
    with pytest.raises(LoopError, match="has no functions"):
        verify(Module("m", ()))
    with pytest.raises(LoopError, match="another function has this name"):
        verify(Module("m", (Function("g", (), ()), Function("g", (), ()))))
    with pytest.raises(LoopError, match=r"params\[1\]: 'n' is already in scope"):
        verify(Module("m", (Function("g", (N, N), ()),)))
    with pytest.raises(LoopError, match="parameter 'v' is f32x4: a parameter is a scalar or a buffer"):
        verify(Module("m", (Function("g", (Var("v", F4),), ()),)))


def test_nesting_is_bounded() -> None:
    inside: Block = (Prefetch(OUT, N),)
    for depth in range(MAX_NESTING + 1):
        inside = (For(Var(f"i{depth}", I64), ZERO, N, inside),)
    verify(module(*inside[0].body))  # type: ignore[union-attr]
    with pytest.raises(LoopError, match="nested deeper than 40"):
        verify(module(*inside))
    expr: Expr = N
    for _ in range(300):
        expr = expr + N
    with pytest.raises(LoopError, match="nests deeper than 200: bind its parts with Let"):
        verify(module(let(expr)))


def test_long_expressions_are_quoted_short() -> None:
    expr = Binary(
        "add", X * X * X * X * X * X * X * X * X * X * X * X * X * X * X * X * X * X * X * X * X * X, N
    )
    with pytest.raises(LoopError) as caught:
        verify(module(let(expr)))
    assert len(str(caught.value)) < 220


def test_twenty_thousand_nodes_take_well_under_a_second() -> None:
    acc, i = Var("acc", F4), Var("i", I64)
    step = [Assign(acc, Fma(VLoad(SOURCE, i * 4 + k, 4), Const(1.5, F4), acc)) for k in range(2500)]
    program = module(Define(acc, Const(0.0, F4)), For(i, ZERO, N, tuple(step)), VStore(OUT, ZERO, acc))
    started = time.process_time()  # other processes may have the cores
    verify(program)
    assert time.process_time() - started < 0.5


def test_random_programs_are_well_formed() -> None:
    for seed in range(20):
        verify(random_program(random.Random(seed)).module)
