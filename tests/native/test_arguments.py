"""Whatever does not fit is refused before machine code sees it."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError, LoopError, TargetError
from aerogel.core.target import Target
from aerogel.loop.nodes import (
    F32,
    I64,
    Buf,
    BufferType,
    Cast,
    Const,
    Function,
    Load,
    Module,
    Param,
    Scalar,
    Store,
    Var,
)  # fmt: skip
from aerogel.native import Compiled, Memory, compile

X, Y = Buf("x", BufferType(DType.F32, const=True)), Buf("y", BufferType(DType.F32))
N = Var("n", I64)


def program(*params: Param) -> Compiled:
    return compile(Module("p", (Function("main", params, ()),)))


def add_program() -> Compiled:
    """y[0] = x[0] + n."""
    total = Load(X, Const(0, I64)) + Cast(N, F32)
    return compile(Module("add", (Function("main", (X, Y, N), (Store(Y, Const(0, I64), total),)),)))


def floats(count: int = 4) -> np.ndarray:
    return np.zeros(count, np.float32)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(4), "takes f32"),
        (np.zeros(4, np.int32), "takes f32"),
        (np.zeros((2, 2), np.float32), "1-D"),
        (np.zeros(8, np.float32)[::2], "contiguous"),
        (np.zeros(4, ">f4"), "takes f32"),
        ([1.0, 2.0], "NumPy array"),
        (None, "NumPy array"),
        (3, "NumPy array"),
    ],
)
def test_arrays_that_do_not_fit(x: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        add_program()(x, floats(), 1)
    assert "'x'" in str(caught.value)


def test_written_arrays_must_be_writable() -> None:
    frozen = floats()
    frozen.flags.writeable = False
    add_program()(frozen, floats(), 1)
    with pytest.raises(InputError, match=r"'y' is written, but the array is read-only"):
        add_program()(floats(), frozen, 1)


def test_the_number_of_arguments() -> None:
    with pytest.raises(InputError, match=r"add takes 3 arguments \(x, y, n\), but got 2"):
        add_program()(floats(), floats())


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (DType.I64, 1.0), (DType.I64, 1 << 63), (DType.I8, 128), (DType.U8, -1), (DType.U64, -1),
        (DType.I32, "1"), (DType.F32, "1"), (DType.F32, None), (DType.F32, 1e300), (DType.F32, 1j),
        (DType.BOOL, 2.0),
        (DType.I64, np.zeros(1, np.int64)),
    ],
    ids=str,
)  # fmt: skip
def test_scalars_that_do_not_fit(dtype: DType, value: Any) -> None:
    with pytest.raises(InputError, match="'s'"):
        program(Var("s", Scalar(dtype)))(value)


@pytest.mark.parametrize("dtype", [d for d in DType if d is not DType.BF16], ids=lambda d: d.short)
def test_scalars_arrive(dtype: DType) -> None:
    s, z = Var("s", Scalar(dtype)), Buf("z", BufferType(dtype))
    copy = compile(Module("copy", (Function("main", (s, z), (Store(z, Const(0, I64), s),)),)))
    usual: list[Any] = [0, 1, 100] if not dtype.is_float else [0.0, -0.0, 1.5, np.inf, np.float32(0.1), 3]
    if dtype is DType.BOOL:
        usual = [True, False, np.True_]
    for value in usual:
        out = np.zeros(1, dtype.numpy())
        copy(value, out)
        assert out.tobytes() == np.array([value]).astype(dtype.numpy()).tobytes()


def test_alignment() -> None:
    aligned = program(Buf("a", BufferType(DType.F32, align=64)))
    words = np.zeros(256, np.uint8)
    offset = -words.__array_interface__["data"][0] % 64
    aligned(words[offset : offset + 64].view(np.float32))
    with pytest.raises(InputError, match="multiple of 64"):
        aligned(words[offset + 4 : offset + 68].view(np.float32))
    # Nothing is read of an empty buffer.
    aligned(words[offset + 4 : offset + 4].view(np.float32))


def test_overlap_is_refused_where_one_is_written() -> None:
    add, whole = add_program(), floats(16)
    for x, y in ((whole, whole), (whole[:9], whole[8:]), (whole[4:6], whole), (whole, whole[4:6])):
        with pytest.raises(InputError, match="overlap"):
            add(x, y, 1)
    add(whole[:8], whole[8:], 1)
    add(whole[8:], whole[:8], 1)


def test_buffers_that_are_only_read_may_overlap() -> None:
    a, b, c = (Buf(name, BufferType(DType.F32, const=name != "c")) for name in "abc")
    three, whole = program(a, b, c), floats(16)
    three(whole, whole[2:4], floats())
    with pytest.raises(InputError, match="'a' and 'c' overlap"):
        three(whole, whole[2:4], whole[12:])
    with pytest.raises(InputError, match="overlap"):
        three(whole[13:], whole[2:4], whole[3:5])


def test_memory_is_checked_like_arrays() -> None:
    x, y = floats(), floats()
    x[0] = 2
    where = Memory(x.__array_interface__["data"][0], 4, owner=x)
    add_program()(where, y, 3)
    assert y[0] == 5
    with pytest.raises(InputError, match="count -1"):
        add_program()(Memory(0, -1), y, 3)
    with pytest.raises(InputError, match="overlap"):
        add_program()(where, x, 3)


# --- Bound ------------------------------------------------------------------------------------


def test_bound_arguments_can_be_set() -> None:
    x, y = floats(), floats()
    bound = add_program().bind(x, y, 1)
    x[0] = 10
    bound.run()
    assert y[0] == 11
    bound.set("n", 5)
    z = floats()
    bound.set("y", z)
    bound.run(threads=2)
    assert (y[0], z[0]) == (11, 15)


def test_a_refused_set_changes_nothing() -> None:
    x, y = floats(), floats()
    bound = add_program().bind(x, y, 1)
    for name, value, message in (
        ("y", x, "overlap"),
        ("n", 1.5, "'n'"),
        ("m", 1, "no parameter 'm'"),
        ("x", 1, "x"),
    ):
        with pytest.raises(InputError, match=message):
            bound.set(name, value)
    bound.run()
    assert y[0] == 1
    bound.set("x", floats())


def test_a_saved_argument_can_be_restored() -> None:
    x, y = floats(), floats()
    bound = add_program().bind(x, y, 1)
    saved, scalar = bound.saved("y"), bound.saved("n")
    z = floats()
    gone = weakref.ref(z)
    bound.set("y", z)
    bound.set("n", 7)
    bound.run()
    assert (y[0], z[0]) == (0, 7)
    del z
    bound.restore("y", saved)
    bound.restore("n", scalar)
    gc.collect()
    assert gone() is None, "an array that was replaced is let go"
    bound.run()
    assert y[0] == 1
    # And where it lies is known again.
    with pytest.raises(InputError, match="overlap"):
        bound.set("x", y)


def test_bound_arrays_live_as_long_as_they_are_needed() -> None:
    x = floats()
    gone = weakref.ref(x)
    bound = add_program().bind(x, floats(), 1)
    del x
    gc.collect()
    assert gone() is not None
    bound.set("x", floats())
    assert gone() is None
    bound.run()


def test_a_bound_program_outlives_its_name() -> None:
    y = floats()
    bound = add_program().bind(floats(), y, 7)
    gc.collect()
    bound.run()
    assert y[0] == 7


# --- modules and targets -------------------------------------------------------------------------


def test_ill_formed_modules_are_refused() -> None:
    wrong = Store(Y, Const(0, I64), Const(1, I64))
    with pytest.raises(LoopError):
        compile(Module("wrong", (Function("main", (Y,), (wrong,)),)))


def test_targets_beyond_this_cpu_are_refused() -> None:
    alien = Target("alien", "x86_64", 512, 32, ("sse2", "amx-tile"))
    with pytest.raises(TargetError, match="alien"):
        compile(Module("m", (Function("main", (), ()),)), alien)
