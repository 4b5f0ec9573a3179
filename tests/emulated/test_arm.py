"""The emulated processor itself: what it runs is right, and what is wrong does not go unnoticed."""

from __future__ import annotations

import numpy as np
import pytest
from tests.emulated.arm import PAGE, Edge, Emulated, Processor

from aerogel.core.dtypes import DType
from aerogel.core.target import Target, named
from aerogel.loop.nodes import (
    I64,
    Alloc,
    Barrier,
    Binary,
    Buf,
    BufferType,
    Const,
    For,
    Function,
    If,
    Load,
    Module,
    Stmt,
    Store,
    ThreadCount,
    ThreadId,
    Var,
    VLoad,
    VStore,
)
from aerogel.native import Memory
from aerogel.native.compiler import generate

X, Y = Buf("x", BufferType(DType.F32, const=True)), Buf("y", BufferType(DType.F32))
N, STEP, ZERO = Var("n", I64), Var("i", I64), Const(0, I64)


def program(*body: Stmt) -> Module:
    return Module("m", (Function("main", (X, Y, N), body),))


def copy(lanes: int) -> Module:
    return program(For(STEP, ZERO, N, (VStore(Y, STEP, VLoad(X, STEP, lanes)),), step=lanes))


@pytest.mark.parametrize("size", [0, 4, PAGE // 4, PAGE // 4 + 4])
@pytest.mark.parametrize("edge", ["end", "start"])
def test_what_lies_in_the_buffers_is_reached(arm: Target, size: int, edge: Edge) -> None:
    x, y = np.arange(size, dtype=np.float32), np.zeros(size, np.float32)
    Emulated(copy(4), arm)(x, y, size, at=edge)
    np.testing.assert_array_equal(x, y)


def test_memory_is_an_argument_as_arrays_are(arm: Target) -> None:
    x, y = np.arange(8, dtype=np.float32), np.zeros(8, np.float32)
    Emulated(copy(4), arm)(Memory(x.ctypes.data, 8, x), Memory(y.ctypes.data, 8, y), 8)
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("size", [1, 7, PAGE // 4])
def test_one_element_too_far_is_a_fault(arm: Target, size: int) -> None:
    copied = Emulated(copy(1), arm)
    x = np.zeros(size, np.float32)
    with pytest.raises(AssertionError, match=r"an access of \d+ bytes at 0x"):
        copied(x, np.zeros(size + 1, np.float32), size + 1)
    with pytest.raises(AssertionError, match=r"an access of \d+ bytes at 0x"):
        Emulated(copy(1), arm)(np.zeros(size + 1, np.float32), x, size + 1)


def test_one_element_too_early_is_a_fault(arm: Target) -> None:
    x = np.zeros(4, np.float32)
    early = program(Store(Y, ZERO, Load(X, N)))
    Emulated(early, arm)(x, x.copy(), 0, at="start")
    with pytest.raises(AssertionError, match=r"an access of \d+ bytes"):
        Emulated(early, arm)(x, x.copy(), -1, at="start")


def test_threads_wait_for_each_other(arm: Target) -> None:
    mine = Store(Y, ThreadId(), Load(X, ThreadId()))
    other = Load(Y, Binary("rem", ThreadId() + 1, ThreadCount()))
    shifted = Emulated(program(mine, Barrier(), Store(Y, ThreadId() + ThreadCount(), other)), arm)
    x, y = np.arange(5, dtype=np.float32), np.zeros(10, np.float32)
    shifted(x, y, 0, threads=5)
    np.testing.assert_array_equal(y[5:], np.roll(x, -1))


def test_a_barrier_that_not_all_reach_is_found(arm: Target) -> None:
    some = Emulated(program(If(N > ThreadId(), (Barrier(),))), arm)
    x = np.zeros(4, np.float32)
    some(x, x.copy(), 3, threads=3)
    with pytest.raises(AssertionError, match="some threads wait at a barrier"):
        some(x, x.copy(), 1, threads=3)


def test_large_scratch_memory_is_probed_page_by_page(arm: Target) -> None:
    """Below the stack nothing is mapped: what is too large faults there, however far down it begins."""
    scratch = Buf("scratch", BufferType(DType.F32))
    use = (Store(scratch, N, Load(X, ZERO)), Store(Y, ZERO, Load(scratch, N & 7)))
    x, y = np.ones(1, np.float32), np.zeros(1, np.float32)
    Emulated(program(Alloc(scratch, 1 << 17), *use), arm)(x, y, 5)
    assert y[0] == 1
    # An element near the stack's top: only a probe finds that the rest of the array does not fit.
    with pytest.raises(AssertionError, match=r"an access of \d+ bytes at 0x2ffffff"):
        Emulated(program(Alloc(scratch, 1 << 20), *use), arm)(x, y, (1 << 20) - 1)


def test_an_instruction_that_is_not_known_stops_it() -> None:
    """HLT, which no program of ours holds."""
    processor = Processor(generate(copy(1), named("neon")).object)
    processor.uc.mem_write(processor.addresses["main"], bytes.fromhex("000040d4"))
    with pytest.raises(AssertionError, match="at an instruction 0xd4400000"):
        next(processor.thread(processor.addresses["main"], (), 0))
