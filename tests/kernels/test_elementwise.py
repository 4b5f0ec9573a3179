"""Elementwise steps against NumPy and against the activations they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.kernels.machine import Machine

from aerogel.core.errors import UnsupportedError
from aerogel.kernels.approx import ACTIVATIONS
from aerogel.kernels.elementwise import activate, combine

REFERENCE = {
    "gelu": (-1.0, -0.15865525),
    "gelu_tanh": (-1.0, -0.15880801),
    "relu": (-1.0, 0.0),
    "silu": (-1.0, -0.26894142),
    "tanh": (-1.0, -0.76159416),
    "sigmoid": (-1.0, 0.26894142),
}


@pytest.mark.parametrize("fn", ACTIVATIONS)
@pytest.mark.parametrize("in_place", [False, True])
def test_activate(machine: Machine, fn: str, in_place: bool) -> None:
    size = 7 * machine.layout.lanes
    x = np.zeros(size, np.float32)
    x[-1], expected = REFERENCE[fn]
    out = x if in_place else np.full(size, np.nan, np.float32)
    machine.run(activate(machine.layout, fn, in_place=in_place), *([] if in_place else [x]), out, size)
    assert out[-1] == pytest.approx(expected, rel=1e-6, abs=7.5e-7)
    np.testing.assert_array_equal(out[:-1], np.float32(0.5 if fn == "sigmoid" else 0))


@pytest.mark.parametrize("op", ["add", "mul"])
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("vectors", [0, 1, 5])
def test_combine(machine: Machine, rng: np.random.Generator, op: Any, in_place: bool, vectors: int) -> None:
    size = vectors * machine.layout.lanes
    a, b = rng.standard_normal((2, size)).astype(np.float32)
    expected = a + b if op == "add" else a * b
    out = a.copy() if in_place else np.full(size, np.nan, np.float32)
    machine.run(
        combine(machine.layout, op, in_place=in_place), *([out, b] if in_place else [a, b, out]), size
    )
    np.testing.assert_array_equal(out, expected)


def test_an_unknown_activation_is_refused(machine: Machine) -> None:
    with pytest.raises(UnsupportedError, match="no activation 'mish'"):
        activate(machine.layout, "mish")
