"""Rows under construction: any order in, ascending order out, and clean afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.lower.machines import bits

from aerogel.core.dtypes import DType
from aerogel.core.target import available
from aerogel.loop import nodes as n
from aerogel.loop.build import Code, i64
from aerogel.loop.interpret import interpret
from aerogel.loop.nodes import Buf, BufferType, Function, Load, Module
from aerogel.lower.operand import size_of
from aerogel.lower.state import Context
from aerogel.lower.workspace import Workspace, sizes
from aerogel.native.compiler import compile as compile_
from aerogel.native.guard import guarded

IN, GIVEN = Buf("in", BufferType(DType.I64, const=True)), Buf("given", BufferType(DType.F64, const=True))
OUT, SUMS = Buf("out", BufferType(DType.I64)), Buf("sums", BufferType(DType.F64))
COUNT, MARKED = Buf("count", BufferType(DType.I64)), Buf("marked.count", BufferType(DType.I64))


def program(entries: int) -> Module:
    """Every thread adds all entries to a workspace of its own, and reads it; then marks them, and forgets."""
    ctx = Context(Code(), {}, 0, DType.F64, 4, fma=False)
    code = ctx.code
    space = Workspace.of(ctx, "i")
    me = code.let(n.ThreadId() * entries, "me")
    with code.for_(i64(0), i64(entries), "e") as e:
        at, x = code.let(Load(IN, e), "at"), code.let(Load(GIVEN, e), "x")
        space.add(ctx, at, lambda: x, lambda before: before + x)
    to = code.define(me, "to")

    def emit(coordinate: n.Expr, x: n.Expr) -> None:
        code.store(OUT, to, coordinate)
        code.store(SUMS, to, x)
        code.assign(to, to + 1)

    space.drain(ctx, emit)
    code.store(COUNT, n.ThreadId(), to - me)
    marked = code.define(i64(0), "marked")
    with code.for_(i64(0), i64(entries), "e") as e:
        space.mark(ctx, code.let(Load(IN, e), "at"), marked)
    space.drain(ctx, None)
    code.store(MARKED, n.ThreadId(), marked)
    params = (size_of("i"), IN, GIVEN, OUT, SUMS, COUNT, MARKED, *Workspace.params(DType.F64))
    return Module("m", (Function("f", params, code.done()),))


def check(extent: int, coordinates: list[int], threads: int) -> None:
    entries = len(coordinates)
    given_ = np.arange(1.0, entries + 1)
    arrays: list[NDArray[Any]] = [np.array(coordinates, np.int64), given_]
    arrays += [np.full(entries * threads, -1, np.int64), np.zeros(entries * threads)]
    arrays += [np.zeros(threads, np.int64), np.zeros(threads, np.int64)]
    dtypes = (np.float64, np.uint64, np.uint64)
    arrays += [np.zeros(size * threads, t) for size, t in zip(sizes(extent), dtypes, strict=True)]
    native = [guarded(a) for a in arrays]
    interpret(program(entries), [extent, *arrays], threads, order=1)
    compile_(program(entries), available()[0])(extent, *native, threads=threads)
    for a, b in zip(arrays, native, strict=True):
        np.testing.assert_array_equal(bits(a), bits(b))
    places = np.unique(np.array(coordinates, np.int64))
    want = np.bincount(coordinates, given_, extent)[places] if entries else np.zeros(0)
    _, _, out, sums, count, marked, _, low, high = arrays
    assert count.tolist() == marked.tolist() == [len(places)] * threads
    for thread in range(threads):
        mine = slice(thread * entries, thread * entries + len(places))
        np.testing.assert_array_equal(out[mine], places)
        np.testing.assert_array_equal(sums[mine], want)
    # The next row finds it as this one did.
    assert not low.any() and not high.any()


@settings(max_examples=30, deadline=None)
@given(data=st.data(), extent=st.sampled_from((1, 2, 63, 64, 65, 127, 128, 4095, 4096, 4097, 9000)))
def test_sums_come_out_in_order(data: st.DataObject, extent: int) -> None:
    near = st.sampled_from([c for c in (0, 1, 62, 63, 64, 65, 4095, 4096, extent - 1) if c < extent])
    check(extent, data.draw(st.lists(near | st.integers(0, extent - 1), max_size=12)), 1)


@pytest.mark.parametrize("extent", [1, 64, 65, 5000])
def test_each_thread_has_its_own(extent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    check(extent, [extent - 1, 0, extent // 2, 0], 3)


def test_every_coordinate_at_once() -> None:
    check(200, list(np.random.default_rng(0).permutation(200)), 1)


def test_sizes() -> None:
    assert sizes(0) == (0, 0, 0)
    assert sizes(1) == (1, 1, 1)
    assert sizes(64) == (64, 1, 1) and sizes(65) == (65, 2, 1)
    assert sizes(64 * 64) == (4096, 64, 1) and sizes(64 * 64 + 1) == (4097, 65, 2)
