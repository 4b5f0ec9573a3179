"""The dot product of pairs of bf16 gives the same bits on every CPU, whether it has an instruction for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aerogel.core.dtypes import DType
from aerogel.core.target import Target, available, named
from aerogel.loop.interpret import interpret
from aerogel.loop.nodes import (
    I64,
    Buf,
    BufferType,
    Const,
    Dot2,
    For,
    Function,
    Module,
    Var,
    VLoad,
    VStore,
)
from aerogel.native import compile
from aerogel.native.compiler import generate

ACC = Buf("acc", BufferType(DType.F32))
A, B = (Buf(name, BufferType(DType.BF16, const=True)) for name in ("a", "b"))
N, STEP = Var("n", I64), Var("i", I64)


def each(lanes: int) -> Module:
    """acc[i] += dot of pairs i, for ``n`` lanes, a multiple of ``lanes``."""
    dot = Dot2(VLoad(ACC, STEP, lanes), VLoad(A, STEP * 2, 2 * lanes), VLoad(B, STEP * 2, 2 * lanes))
    loop = For(STEP, Const(0, I64), N, (VStore(ACC, STEP, dot),), step=lanes)
    return Module(f"pairs{lanes}", (Function("main", (ACC, A, B, N), (loop,)),))


def kinds() -> list[Target]:
    """Every target of this CPU as it is, and with what it requires alone."""
    bare = [replace(t, features=named(t.name).features) for t in available()]
    return [*available(), *(t for t in bare if t not in available())]


def bits(*numbers: float) -> np.ndarray:
    return (np.array(numbers, np.float32).view(np.uint32) >> 16).astype(np.uint16)


# Where what a result rounds to is subnormal by a hair, or not: 2^-126 less 2^-150, 2^-151, 2^-152.
EDGES = [(2.0**-126, -(2.0**-75), 2.0**-power) for power in (75, 76, 77)]


def cases() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sums, a, b): everyday numbers, any bits at all, near the smallest normal one, and the edges."""
    rng = np.random.default_rng(0)
    count = 4096
    everyday = rng.standard_normal((5, count)).astype(np.float32)
    near = np.exp2(rng.uniform(-80, -55, (5, count))).astype(np.float32) * np.sign(everyday)
    near[0] = np.exp2(rng.uniform(-128, -120, count)).astype(np.float32) * np.sign(everyday[0])
    anything = rng.integers(0, 1 << 32, (5, count), dtype=np.uint32).view(np.float32)
    every = np.concatenate((everyday, near, anything), axis=1)
    a = np.stack((every[1].view(np.uint32) >> 16, every[2].view(np.uint32) >> 16), axis=1)
    b = np.stack((every[3].view(np.uint32) >> 16, every[4].view(np.uint32) >> 16), axis=1)
    sums = [c * sign for c, _, _ in EDGES for sign in (1, -1) for _ in range(8)]
    edges_a = np.stack([bits(x * sign, 0) for _, x, _ in EDGES for sign in (1, -1) for _ in range(8)])
    edges_b = np.stack([bits(y, 0) for _, _, y in EDGES for _ in range(16)])
    return (
        np.concatenate((every[0], np.array(sums, np.float32))),
        np.concatenate((a.astype(np.uint16), edges_a)).reshape(-1),
        np.concatenate((b.astype(np.uint16), edges_b)).reshape(-1),
    )


def same(got: np.ndarray, want: np.ndarray) -> None:
    """Bit for bit, but for what kind of NaN."""
    nan = np.isnan(want)
    np.testing.assert_array_equal(np.isnan(got), nan)
    np.testing.assert_array_equal(got.view(np.uint32)[~nan], want.view(np.uint32)[~nan])


@pytest.mark.parametrize("kind", kinds(), ids=lambda t: f"{t.name}/{len(t.features)}")
@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_the_same_bits_on_every_cpu(kind: Target, lanes: int) -> None:
    acc, a, b = cases()
    with np.errstate(all="ignore"):
        want = acc.copy()
        interpret(each(16), [want, a, b, len(acc)])
        compile(each(lanes), kind)(acc, a, b, len(acc))
    same(acc, want)
    assert np.isfinite(want).sum() > 9000


def test_subnormal_numbers_are_zeros_of_their_sign() -> None:
    """As sums, as factors and as results; a result that rounds to the least normal number stays."""
    tiny = 2.0**-127
    acc = np.array([tiny, -tiny, 0, 2.0**-126, 2.0**-126, 2.0**-126], np.float32)
    a = bits(0, 0, -0.0, 0, tiny, 0, -(2.0**-75), 0, -(2.0**-75), 0, -(2.0**-75), 0)
    b = bits(0, 0, 1, 1, 2.0**100, 0, 2.0**-75, 0, 2.0**-76, 0, 2.0**-77, 0)
    interpret(each(1), [acc, a, b, len(acc)])
    np.testing.assert_array_equal(acc, np.array([0, 0, 0, 0, 2.0**-126, 2.0**-126], np.float32))


def test_the_odd_half_is_added_first() -> None:
    """2^24 + 1 is 2^24 in float32: adding 1 last loses it, adding it first to -2^24 does not."""
    acc = np.array([-(2.0**24)], np.float32)
    interpret(each(1), [acc, bits(2.0**24, 1), bits(1, 1), 1])
    assert acc[0] == 1
    acc = np.array([-(2.0**24)], np.float32)
    interpret(each(1), [acc, bits(1, 2.0**25), bits(1, 1), 1])
    assert acc[0] == 2.0**24


def test_one_instruction_where_the_cpu_has_one() -> None:
    text = generate(each(16), named("avx512", ("avx512_bf16",)), show=True).assembly
    assert text.count("vdpbf16ps") == 1
    assert "vdpbf16ps" not in generate(each(16), named("avx512"), show=True).assembly
