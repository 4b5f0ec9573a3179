"""What the generated code looks like: the instructions that speed rests on, and what must not be there."""

from __future__ import annotations

import re

import pytest

from aerogel.core.dtypes import DType
from aerogel.core.target import Target, available, named
from aerogel.loop.nodes import (
    F32,
    I64,
    Alloc,
    Assign,
    Barrier,
    Binary,
    Broadcast,
    Buf,
    BufferType,
    Const,
    Define,
    Dot4,
    Expand,
    Fma,
    For,
    Function,
    Load,
    Module,
    Store,
    Var,
    Vec,
    VLoad,
    VStore,
)  # fmt: skip
from aerogel.native import llvm
from aerogel.native.codegen import build, triple
from aerogel.native.compiler import generate

X, Y = Buf("x", BufferType(DType.F32, const=True)), Buf("y", BufferType(DType.F32))
N, STEP = Var("n", I64), Var("i", I64)
ZERO = Const(0, I64)
BY_NAME = {target.name: target for target in available()}


def assembly(module: Module, target: Target) -> str:
    return build(llvm.module(module, target, triple()), show=True).assembly


def tile(lanes: int, sums: int) -> Module:
    """``sums`` accumulators, all fed by one load of x per step."""
    total = [Var(f"s{k}", Vec(DType.F32, lanes)) for k in range(sums)]
    x = VLoad(X, STEP * lanes, lanes)
    loop = For(
        STEP,
        ZERO,
        N,
        tuple(Assign(s, Fma(x, Broadcast(Load(Y, STEP + k), lanes), s)) for k, s in enumerate(total)),
    )
    body = (
        *(Define(s, Const(0.0, s.type)) for s in total),
        loop,
        *(VStore(Y, Const(k * lanes, I64), s) for k, s in enumerate(total)),
    )
    return Module("tile", (Function("main", (X, Y, N), body),))


@pytest.mark.parametrize(
    ("name", "register", "sums"), [("avx512", "zmm", 24), ("avx2", "ymm", 12), ("sse2", "xmm", 4)]
)
def test_vectors_fill_the_registers_and_stay_there(name: str, register: str, sums: int) -> None:
    if name not in BY_NAME:
        pytest.skip(f"this CPU has no {name}")
    target = BY_NAME[name]
    text = assembly(tile(target.lanes(DType.F32), sums), target)
    assert register in text
    assert not re.search({"zmm": "ymm", "ymm": "zmm", "xmm": "[yz]mm"}[register], text)
    if name != "sse2":
        assert text.count("vfmadd") == sums
        # No accumulator visits the stack.
        assert not re.search(rf"{register}\d+, -?\d*\(%rsp\)", text)


def test_multiply_and_add_are_not_fused(target: Target) -> None:
    lanes = target.lanes(DType.F32)
    v = VLoad(X, ZERO, lanes)
    module = Module("m", (Function("main", (X, Y), (VStore(Y, ZERO, v * v + v),)),))
    assert "fmadd" not in assembly(module, target)


def test_loops_are_neither_vectorised_nor_unrolled(target: Target) -> None:
    loop = For(STEP, ZERO, N, (Store(Y, STEP, Load(X, STEP) * Load(X, STEP)),))
    text = assembly(Module("m", (Function("main", (X, Y, N), (loop,)),)), target)
    assert len(re.findall(r"\bv?mulss\b", text)) == 1
    assert not re.search(r"\bv?mulps\b", text)


def test_one_instruction_where_the_cpu_has_one() -> None:
    target = BY_NAME.get("avx512")
    if target is None or not target.has("avx512vnni"):
        pytest.skip("this CPU has no avx512vnni")
    acc, a, b = (Buf(n, BufferType(d)) for n, d in (("acc", DType.I32), ("a", DType.U8), ("b", DType.I8)))
    dot = Dot4(VLoad(acc, ZERO, 16), VLoad(a, ZERO, 64), VLoad(b, ZERO, 64))
    text = assembly(Module("m", (Function("main", (acc, a, b), (VStore(acc, ZERO, dot),)),)), target)
    assert text.count("vpdpbusd") == 1
    bits = Buf("bits", BufferType(DType.U16, const=True))
    spread = Expand(Load(bits, ZERO), VLoad(X, ZERO, 16))
    text = assembly(Module("m", (Function("main", (X, Y, bits), (VStore(Y, ZERO, spread),)),)), target)
    # From a register: the form that reads memory is slow on some CPUs.
    assert re.search(r"vexpandps\s+%zmm", text)


# Of each kind of CPU and each element type: the instruction that moves the values of one register.
SHUFFLES = [
    ("avx2", DType.F32, r"vperm(d|ps)"),
    ("avx2", DType.BF16, r"vpshufb\s.*ymm"),
    ("avx2", DType.I8, r"vpshufb\s.*ymm"),
    ("avx512", DType.I8, r"vpshufb\s.*zmm"),
    ("neon", DType.F32, r"tbl\tv"),
    ("neon", DType.BF16, r"tbl\tv"),
    ("neon", DType.I8, r"tbl\tv"),
]


@pytest.mark.parametrize(("name", "dtype", "moves"), SHUFFLES)
def test_expand_is_a_table_and_a_shuffle(name: str, dtype: DType, moves: str) -> None:
    target = named(name)
    lanes = target.lanes(dtype)
    bits, x, y = (
        Buf(n, BufferType(d, const=n != "y")) for n, d in (("bits", DType.U64), ("x", dtype), ("y", dtype))
    )
    spread = Expand(Load(bits, ZERO), VLoad(x, STEP, lanes))
    body = (VStore(y, ZERO, spread),)
    text = generate(Module("m", (Function("main", (x, y, bits, STEP), body),)), target, show=True).assembly
    assert len(re.findall(moves, text)) == 1
    assert "expand." in text
    # Values are read where they are, not by way of the stack.
    assert "rsp" not in text and "[sp" not in text


def test_a_barrier_is_a_point_where_others_may_have_written(target: Target) -> None:
    first = Define(Var("a", F32), Load(Y, ZERO))
    again = Store(Y, Const(1, I64), Binary("add", Var("a", F32), Load(Y, ZERO)))
    text = llvm.module(Module("m", (Function("main", (Y,), (first, Barrier(), again)),)), target, triple())
    assert "noalias" not in text
    optimised = build(text, show=True).optimised
    assert optimised.count("load float") == 2


def test_large_scratch_memory_is_probed(target: Target) -> None:
    scratch = Buf("scratch", BufferType(DType.F32))
    body = (Alloc(scratch, 1 << 16), Store(scratch, N, Const(1.0, F32)), Store(Y, ZERO, Load(scratch, N & 7)))
    text = assembly(Module("m", (Function("main", (Y, N), body),)), target)
    assert re.search(r"subq\s+\$4096, %rsp", text)


def test_same_module_same_text(target: Target) -> None:
    assert llvm.module(tile(4, 2), target, triple()) == llvm.module(tile(4, 2), target, triple())
