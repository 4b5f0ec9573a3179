"""Runs what a builder of expressions gives: interpreted and at every target there is, one lane or many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel import native
from aerogel.core.dtypes import DType
from aerogel.core.target import Target, available
from aerogel.loop.build import Code, i64
from aerogel.loop.interpret import interpret
from aerogel.loop.nodes import Buf, BufferType, Expr, Function, Load, Module, VLoad
from aerogel.native.guard import guarded

Array = NDArray[Any]
Build = Callable[..., Expr]


def module(build: Build, dtypes: tuple[DType, ...], count: int, lanes: int) -> Module:
    """``out[i] = build(code, a[i], b[i])`` for ``count`` elements; ``lanes`` 0: one at a time."""
    code = Code()
    buffers = [Buf(f"in{at}", BufferType(dtype, const=True)) for at, dtype in enumerate(dtypes)]
    out = Buf("out", BufferType(dtypes[0]))
    with code.for_(i64(0), i64(count), step=max(1, lanes)) as i:
        operands = [VLoad(buf, i, lanes) if lanes else Load(buf, i) for buf in buffers]
        code.store(out, i, build(code, *operands))
    return Module("m", (Function("f", (*buffers, out), code.done()),))


def run(build: Build, *given: Array, lanes: int = 8, target: Target | None = None) -> Array:
    """The result for every element, natively (``target`` None: the best there is)."""
    program, inputs, count = _ready(build, given, lanes)
    out = guarded(np.zeros_like(inputs[0]))
    native.compile(program, target or available()[0])(*[guarded(a) for a in inputs], out)
    return out[:count].copy()


def interpreted(build: Build, *given: Array, lanes: int = 8) -> Array:
    program, inputs, count = _ready(build, given, lanes)
    out = np.zeros_like(inputs[0])
    interpret(program, (*inputs, out))
    return out[:count]


def _ready(build: Build, given: tuple[Array, ...], lanes: int) -> tuple[Module, list[Array], int]:
    """The program, and its inputs filled up to whole vectors."""
    count, step = len(given[0]), max(1, lanes)
    inputs = [np.resize(a, -(-count // step) * step) for a in given]
    return module(build, tuple(DType.of(a.dtype) for a in given), len(inputs[0]), lanes), inputs, count


def everywhere(build: Build, *given: Array) -> Array:
    """The result, after the same bits came from the interpreter and every target, for scalars and vectors."""
    want = interpreted(build, *given, lanes=8)
    bits = _bits(want)
    np.testing.assert_array_equal(_bits(interpreted(build, *given, lanes=0)), bits, err_msg="a scalar")
    for target in available():
        for lanes in (0, 16):
            got = _bits(run(build, *given, lanes=lanes, target=target))
            np.testing.assert_array_equal(got, bits, err_msg=f"{target.name}, {lanes} lanes")
    return want


def _bits(array: Array) -> Array:
    """All NaN are one."""
    if array.dtype.kind != "f":
        return array
    return np.where(np.isnan(array), array.dtype.type(np.nan), array).view(f"u{array.itemsize}")


def ulps(got: Array, exact: Array) -> Array:
    """Errors in units of the last place of the exact result, which has more digits; equal infinities: 0."""
    dtype = got.dtype.type
    with np.errstate(all="ignore"):
        unit = np.spacing(np.minimum(np.abs(exact).astype(dtype), np.finfo(dtype).max)).astype(exact.dtype)
        error = np.abs(got.astype(exact.dtype) - exact) / unit
    over = np.abs(exact) > np.finfo(dtype).max
    return np.where(
        (got.astype(exact.dtype) == exact) | (over & (got == np.copysign(np.inf, exact))), 0, error
    )
