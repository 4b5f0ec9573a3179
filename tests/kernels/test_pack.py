"""Row-major <-> tiled, against the layout's own NumPy definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.kernels.machine import Machine

from aerogel.kernels.approx import Lets, Names
from aerogel.kernels.layout import index
from aerogel.kernels.pack import pack, scatter, sink, source, transpose, unpack
from aerogel.loop.interpret import interpret
from aerogel.loop.nodes import Function, Module, VLoad, VStore

SHAPES = [(1, 1), (5, 3), (33, 40), (16, 16), (17, 131)]


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_transpose(lanes: int) -> None:
    x, y, out = source("x"), sink("y"), Lets(Names())
    for i, column in enumerate(transpose([VLoad(x, index(i * lanes), lanes) for i in range(lanes)], out)):
        out.add(VStore(y, index(i * lanes), column))
    numbers = np.arange(lanes * lanes, dtype=np.float32)
    got = np.zeros_like(numbers)
    interpret(Module("m", (Function("f", (x, y), out.block()),)), (numbers, got))
    np.testing.assert_array_equal(got.reshape(lanes, lanes), numbers.reshape(lanes, lanes).T)


@pytest.mark.parametrize(("features", "columns"), [*SHAPES, (7, 0)])
def test_pack(machine: Machine, rng: np.random.Generator, features: int, columns: int) -> None:
    x = rng.standard_normal((columns, features)).astype(np.float32)
    out = np.full(machine.layout.size(features, columns), np.nan, np.float32)
    machine.run(pack(machine.layout), x.ravel(), out, features, columns)
    np.testing.assert_array_equal(out, machine.layout.pack(x.T))


@pytest.mark.parametrize(("features", "columns"), [*SHAPES, (7, 0)])
def test_unpack(machine: Machine, rng: np.random.Generator, features: int, columns: int) -> None:
    x = rng.standard_normal((features, columns)).astype(np.float32)
    out = np.full(features * columns, np.nan, np.float32)
    machine.run(unpack(machine.layout), machine.layout.pack(x), out, features, columns)
    np.testing.assert_array_equal(out.reshape(columns, features), x.T)


@given(
    seed=st.integers(0, 99), features=st.integers(1, 40), columns=st.integers(0, 50), gaps=st.integers(0, 9)
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_scatter(machine: Machine, seed: int, features: int, columns: int, gaps: int) -> None:
    rng = np.random.default_rng(seed)
    rows = columns + gaps
    destination = np.sort(rng.permutation(rows)[:columns]).astype(np.int32)
    x = rng.standard_normal((features, columns)).astype(np.float32)
    out = np.full(rows * features, np.nan, np.float32)
    machine.run(scatter(machine.layout), machine.layout.pack(x), destination, out, features, columns, rows)
    expected = np.zeros((rows, features), np.float32)
    expected[destination] = x.T
    np.testing.assert_array_equal(out.reshape(rows, features), expected)
