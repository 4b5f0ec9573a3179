"""Compiled modules compute what their Loop IR says, at every target this CPU has."""

from __future__ import annotations

import numpy as np
import pytest

from aerogel.core.dtypes import DType
from aerogel.core.target import Target, available
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
from aerogel.native import compile


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
