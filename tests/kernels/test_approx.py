from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.errors import UnsupportedError
from aerogel.kernels.approx import ACTIVATIONS, Builder, Lets, Names, activation, exp, exp2_below, exp2_rough
from aerogel.loop.interpret import interpret
from aerogel.loop.nodes import (
    I64,
    Buf,
    BufferType,
    Const,
    For,
    Function,
    Load,
    Module,
    Store,
    Var,
    Vec,
    VLoad,
    VStore,
)

F64 = NDArray[np.float64]
LANES = 64
erf = np.vectorize(math.erf, otypes=[np.float64])

REFERENCE: dict[str, Callable[[F64], F64]] = {
    "gelu": lambda x: x * 0.5 * (1 + erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


def evaluate(build: Builder, x: NDArray[np.float32]) -> NDArray[np.float32]:
    lanes = 1 << max(1, min(LANES, len(x)) - 1).bit_length()
    source, sink, i = (
        Buf("x", BufferType(DType.F32, const=True)),
        Buf("y", BufferType(DType.F32)),
        Var("i", I64),
    )
    out = Lets(Names())
    value = build(VLoad(source, i, lanes), out)
    out.add(VStore(sink, i, value))
    padded = np.zeros(-(-len(x) // lanes) * lanes, np.float32)
    padded[: len(x)] = x
    y = np.empty_like(padded)
    loop = For(i, Const(0, I64), Const(len(padded), I64), out.block(), step=lanes)
    interpret(Module("m", (Function("f", (source, sink), (loop,)),)), (padded, y))
    return y[: len(x)]


def grid(low: float, high: float, count: int = 50_000) -> NDArray[np.float32]:
    """Even steps, and every scale down to the smallest normal number."""
    even = np.linspace(low, high, count)
    scales = np.geomspace(1.2e-38, max(abs(low), abs(high)), 8_000)
    x = np.concatenate([even, scales, -scales]).astype(np.float32)
    return x[(x >= low) & (x <= high)]


def ulps(y: NDArray[np.float32], ref: F64) -> float:
    return float(np.max(np.abs(y - ref) / np.spacing(np.maximum(np.abs(ref), 1.2e-38).astype(np.float32))))


def test_exp_is_within_its_error() -> None:
    x = grid(-87, 88)
    assert ulps(evaluate(exp, x), np.exp(x.astype(np.float64))) < 1.3


def test_exp_at_the_ends() -> None:
    x = np.array([-np.inf, -1e30, -89, -88.1, 0, -0.0, 100, 1e30, np.inf, np.nan], np.float32)
    y = evaluate(exp, x)
    np.testing.assert_array_equal(y[:6], np.array([0, 0, 0, 0, 1, 1], np.float32))
    assert y[6] == y[7] == y[8] == pytest.approx(math.exp(88.37), rel=1e-5)
    assert np.isnan(y[9])


def test_exp_never_decreases_in_large_steps() -> None:
    x = np.linspace(-90, 89, 4001).astype(np.float32)
    assert np.all(np.diff(evaluate(exp, x)) >= 0)


def test_exp2_is_within_its_error_and_vanishes() -> None:
    x = grid(-126, 0)
    ref = np.exp2(x.astype(np.float64))
    assert np.max(np.abs(evaluate(exp2_below, x) - ref) / ref) < 1.9e-7
    y = evaluate(exp2_below, np.array([0, -np.inf, -3e38, -127, -200, np.nan], np.float32))
    np.testing.assert_array_equal(y, np.array([1, 0, 0, 0, 0, np.nan], np.float32))


@pytest.mark.parametrize(("name", "bound"), [("gelu", 7.5e-7), ("gelu_tanh", 1.2e-7)])
def test_gelu_is_within_its_error(name: str, bound: float) -> None:
    x = grid(-12, 12)
    wide = x.astype(np.float64)
    error = np.abs(evaluate(ACTIVATIONS[name], x) - REFERENCE[name](wide)) / np.maximum(1, np.abs(wide))
    assert error.max() < bound


@pytest.mark.parametrize(
    ("name", "low", "bound"), [("tanh", -20, 3), ("sigmoid", -87, 3), ("silu", -80, 3), ("relu", -9, 0.1)]
)
def test_activations_are_within_their_ulps(name: str, low: float, bound: float) -> None:
    x = grid(low, 40)
    assert ulps(evaluate(ACTIVATIONS[name], x), REFERENCE[name](x.astype(np.float64))) < bound


def test_gelu_is_exact_far_out() -> None:
    x = np.array([-1e30, -100, -5.2, 5.2, 100, 1e30, np.inf, 0], np.float32)
    np.testing.assert_array_equal(evaluate(ACTIVATIONS["gelu"], x), np.maximum(x, 0))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays_and_large_numbers_take_their_limit(name: str) -> None:
    x = np.array([np.nan, 1e4, -1e4, np.inf, 0.0], np.float32)
    y = evaluate(ACTIVATIONS[name], x)
    assert np.isnan(y[0])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(y[1:], REFERENCE[name](x[1:].astype(np.float64)), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_scalar_gives_what_a_lane_gives(name: str) -> None:
    x, y, i = Buf("x", BufferType(DType.F32, const=True)), Buf("y", BufferType(DType.F32)), Const(0, I64)
    out = Lets(Names())
    out.add(Store(y, i, ACTIVATIONS[name](Load(x, i), out)))
    got = np.zeros(1, np.float32)
    interpret(Module("m", (Function("f", (x, y), out.block()),)), (np.array([-0.7], np.float32), got))
    assert got[0] == evaluate(ACTIVATIONS[name], np.array([-0.7], np.float32))[0]


def test_names_are_the_same_each_time_and_never_repeat() -> None:
    x = Var("x", Vec(DType.F32, 8))
    first, again = activation("silu", x, Names("a_")), activation("silu", x, Names("a_"))
    assert first == again
    shared = Names()
    statements = activation("silu", x, shared)[0] + activation("tanh", x, shared)[0]
    bound = [s.var.name for s in statements]  # type: ignore[union-attr]
    assert len(set(bound)) == len(bound)


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="no activation 'swish': choose one of gelu"):
        activation("swish", Var("x", Vec(DType.F32, 8)), Names())


def test_rough_exp2_is_within_its_error_and_never_above_the_next_integer() -> None:
    x = grid(-124, 0)
    got = evaluate(lambda value, out: exp2_rough(value, 254.0, out), x)
    ref = 254 * np.exp2(x.astype(np.float64))
    assert np.max(np.abs(got - ref) / ref) < 1.8e-3
    assert got.max() < 254.5
    ends = np.array([-125, -1e4, -1e30, -np.inf, np.nan], np.float32)
    got = evaluate(lambda value, out: exp2_rough(value, 254.0, out), ends)
    np.testing.assert_allclose(got, [254 * 2.0**-125] * 4 + [np.nan], rtol=1.8e-3)
