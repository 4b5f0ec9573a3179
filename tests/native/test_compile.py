"""Compiled modules compute what their Loop IR says, at every target this CPU has."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import numpy as np
import pytest

from aerogel.core.dtypes import DType
from aerogel.core.errors import TargetError
from aerogel.core.target import Target, available, named
from aerogel.kernels.layout import Layout
from aerogel.kernels.linear import kernels, step
from aerogel.loop.nodes import (
    F32,
    I64,
    Assign,
    Broadcast,
    Buf,
    BufferType,
    Call,
    Const,
    Define,
    Fma,
    For,
    Function,
    If,
    Module,
    Store,
    Var,
    Vec,
    VLoad,
    VStore,
)  # fmt: skip
from aerogel.native import compile, llvm, parking_macos, runtime
from aerogel.native.codegen import build
from aerogel.native.compiler import generate


def dot_module(lanes: int) -> Module:
    """y[0:lanes] = sum over i of x[i:i+lanes] * a; y[0] = 5 if n > 3."""
    x, y = Buf("x", BufferType(DType.F32, const=True)), Buf("y", BufferType(DType.F32))
    n, i, a = Var("n", I64), Var("i", I64), Var("a", F32)
    acc = Var("acc", Vec(DType.F32, lanes))
    row = VLoad(x, i, lanes)
    kernel = Function("k", (x, y, n, a), (
        Define(acc, Const(0.0, acc.type)),
        For(i, Const(0, I64), n, (Assign(acc, Fma(row, Broadcast(a, lanes), acc)),), step=lanes),
        VStore(y, Const(0, I64), acc),
    ))  # fmt: skip
    first = Store(y, Const(0, I64), Const(5.0, F32))
    main = Function("main", (x, y, n, a), (Call("k", (x, y, n, a)), If(n > Const(3, I64), (first,))))
    return Module("dot", (kernel, main))


@pytest.mark.parametrize("target", available(), ids=lambda t: t.name)
def test_loop_with_accumulator(target: Target) -> None:
    lanes = target.lanes(DType.F32)
    x, y = np.random.default_rng(0).random(4 * lanes, dtype=np.float32), np.zeros(lanes, np.float32)
    compile(dot_module(lanes), target)(x, y, 4 * lanes, 2.0)
    want = np.zeros(lanes, np.float32)
    for row in x.reshape(4, lanes):
        want = (row.astype(np.float64) * 2 + want).astype(np.float32)
    want[0] = 5
    np.testing.assert_array_equal(y, want)


def foreign() -> Target:
    """A target of the architecture that this machine is not."""
    return named("avx2" if platform.machine().lower() in ("aarch64", "arm64") else "neon")


def test_code_for_another_machine_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = foreign()
    with pytest.raises(TargetError, match=f"{other.name} is for {other.arch}, .* set AEROGEL_DUMP=FOLDER"):
        compile(dot_module(4), other)
    monkeypatch.setenv("AEROGEL_TARGET", other.name)
    monkeypatch.setenv("AEROGEL_DUMP", str(tmp_path))
    with pytest.raises(TargetError, match=f"its code is in {tmp_path}"):
        compile(dot_module(4))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".ll", ".ll", ".loop", ".s"]


@pytest.mark.parametrize(("name", "machine", "line"), [
    ("neon", 183, r"fmla\tv\d+.4s, v\d+.4s, v\d+.s\[0\]"), ("avx2", 62, r"vfmadd231ps")
])  # fmt: skip
def test_code_for_any_machine_is_generated(name: str, machine: int, line: str) -> None:
    built = generate(dot_module(4), named(name), show=True)
    assert built.object[:4] == b"\x7fELF" and int.from_bytes(built.object[18:20], "little") == machine
    assert re.search(line, built.assembly)


def test_kernels_assemble_for_macos() -> None:
    """Nothing here can run them; what LLVM refuses to write for that system would show."""
    target = named("neon", {"asimddp", "i8mm"})
    layout = Layout.of(target)
    module = Module("m", (*kernels(layout, "panel"), step(layout, "panel")))
    code = build(llvm.module(module, target, "arm64-apple-macosx14.4.0")).object
    # 64 bits, for ARM.
    assert code[:8] == bytes.fromhex("cffaedfe 0c000001")
    text = runtime.code("aarch64", parking_macos.code("aarch64"))
    assert b"_os_sync_wait_on_address" in build(f'target triple = "arm64-apple-macosx14.4.0"\n{text}').object
