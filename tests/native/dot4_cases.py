"""What a dot product of bytes must give, at the extremes and on every pair of bytes there is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.loop.nodes import (
    I64,
    Assign,
    Buf,
    BufferType,
    Const,
    Define,
    Dot4,
    For,
    Function,
    Module,
    PairDot4,
    Var,
    Vec,
    VLoad,
    VStore,
)

ACC, X, W = (
    Buf(name, BufferType(dtype, const=name != "acc"))
    for name, dtype in (("acc", DType.I32), ("x", DType.U8), ("w", DType.I8))
)
N, STEP = Var("n", I64), Var("i", I64)


def each(lanes: int, kind: type[Dot4 | PairDot4] = Dot4) -> Module:
    """acc[i] += dot of bytes 4 i to 4 i + 3, for ``n`` lanes, a multiple of ``lanes``."""
    dot = kind(VLoad(ACC, STEP, lanes), VLoad(X, STEP * 4, 4 * lanes), VLoad(W, STEP * 4, 4 * lanes))
    loop = For(STEP, Const(0, I64), N, (VStore(ACC, STEP, dot),), step=lanes)
    return Module(f"each{lanes}{kind.__name__}", (Function("main", (ACC, X, W, N), (loop,)),))


def summed(lanes: int, kind: type[Dot4 | PairDot4] = Dot4) -> Module:
    """Lane l of acc += the dot products of words l, l + lanes ... of n steps, summed in a register."""
    total = Var("total", Vec(DType.I32, lanes))
    at = STEP * (4 * lanes)
    step = Assign(total, kind(total, VLoad(X, at, 4 * lanes), VLoad(W, at, 4 * lanes)))
    body = (
        Define(total, VLoad(ACC, Const(0, I64), lanes)),
        For(STEP, Const(0, I64), N, (step,)),
        VStore(ACC, Const(0, I64), total),
    )
    return Module(f"summed{lanes}{kind.__name__}", (Function("main", (ACC, X, W, N), body),))


def expected(acc: NDArray[np.int32], x: NDArray[np.uint8], w: NDArray[np.int8]) -> NDArray[np.int32]:
    """The exact sums of ``len(acc)`` lanes over all steps, modulo 2 to the 32nd."""
    products = (x.astype(np.int64) * w).reshape(-1, len(acc), 4)
    return (acc + products.sum(axis=(0, 2))).astype(np.uint64).astype(np.uint32).view(np.int32)


def saturated(acc: NDArray[np.int32], x: NDArray[np.uint8], w: NDArray[np.int8]) -> NDArray[np.int32]:
    """The sums of one step, those of neighbours cut off at 16 bits."""
    pairs = (x.astype(np.int64) * w).reshape(len(acc), 2, 2).sum(axis=2).clip(-32768, 32767)
    return (acc + pairs.sum(axis=1)).astype(np.uint64).astype(np.uint32).view(np.int32)


def every_pair() -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Each pair of bytes at each of the four places of a word, beside neighbours of the largest products."""
    a = np.repeat(np.arange(256, dtype=np.uint8), 256)
    b = np.tile(np.arange(256, dtype=np.uint8).view(np.int8), 256)
    x = np.full((4, 65536, 4), 255, np.uint8)
    w = np.where(b < 0, np.int8(-128), np.int8(127))[None, :, None].repeat(4, 0).repeat(4, 2)
    for place in range(4):
        x[place, :, place], w[place, :, place] = a, b
    return x.ravel(), w.ravel()


# Bytes of x, bytes of w: the largest products of either sign, and those where halves of a byte meet.
EXTREMES = [(x, w) for x in (0, 1, 127, 128, 255) for w in (-128, -127, -1, 0, 1, 127)]
# Steps of one lane: 8192 inputs.
DEEP = 8192 // 4
