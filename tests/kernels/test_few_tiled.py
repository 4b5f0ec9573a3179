"""Layers of few columns between tiled activations, for every machine; every run compared bit for bit."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.kernels.machine import Machine, Ready

from aerogel.formats.bitmap import pack, pack_integers
from aerogel.formats.panel import words
from aerogel.formats.rows import WORD, PackedRows
from aerogel.kernels.few_params import Few
from aerogel.kernels.few_tiled import MOST_COLUMNS, few_of, functions, gather, padded_word, program, step
from aerogel.kernels.layout import Layout
from aerogel.kernels.linear import finish
from aerogel.loop.interpret import prepare
from aerogel.loop.nodes import Call, Function, Module, Param

ROWS, INPUTS = 7, 70


@cache
def ready(machine: Machine, element: Any, form: Any) -> Ready:
    few = few_of(machine.layout, element, form)
    return machine.ready((*functions(few), program(few)))


def weights(lanes: int, element: str, form: Any) -> tuple[np.ndarray, PackedRows]:
    random = np.random.default_rng(3)
    weight = random.integers(-127, 128, (ROWS, INPUTS)).astype(np.int8)
    weight[random.random(weight.shape) < 0.6] = 0
    if element == "i8":
        scales = random.random(ROWS).astype(np.float32)
        return weight, pack_integers(weight, scales, form, lanes)
    return weight, pack(weight.astype(np.float32), "fp32", form, lanes)


def tiled(layout: Layout, x: np.ndarray, fill: Any) -> np.ndarray:
    """[features, columns] in one tile, its last lanes ``fill``."""
    out = np.full((x.shape[0], layout.vectors(x.shape[1]) * layout.lanes), fill, x.dtype)
    out[:, : x.shape[1]] = x
    return out


@pytest.mark.parametrize(
    ("element", "form"),
    [("f32", "bitmap"), ("i8", "nested"), ("i8", "dense"), ("f32", "sliced"), ("i8", "sliced")],
)
@pytest.mark.parametrize("columns", [1, 3, MOST_COLUMNS])
def test_the_product(machine: Machine, element: str, form: str, columns: int) -> None:
    layout, random = machine.layout, np.random.default_rng(columns)
    weight, packed = weights(layout.lanes, element, form)
    assert len(layout.tiles(columns)) == 1
    bias = random.standard_normal(ROWS).astype(np.float32)
    stride = layout.vectors(columns) * layout.lanes
    x_scales, x_zeros = np.full(stride, np.nan, np.float32), np.full(stride, 1 << 30, np.int32)
    if element == "i8":
        numbers = random.integers(0, 256, (INPUTS + 2, columns)).astype(np.uint8)
        numbers[INPUTS:] = 0
        x_scales[:columns], x_zeros[:columns] = random.random(columns), random.integers(0, 256, columns)
        source = np.ascontiguousarray(words(numbers.T.view(np.int8)).T).astype(np.int32)
        inner = weight.astype(np.int64) @ (numbers[:INPUTS].astype(np.int64) - x_zeros[:columns])
        expected = inner * packed.scales[:, None].astype(np.float64) * x_scales[:columns] + bias[:, None]
    else:
        source = random.standard_normal((INPUTS, columns)).astype(np.float32)
        expected = weight.astype(np.float64) @ source + bias[:, None]
    y = np.full((ROWS, stride), np.nan, np.float32)
    # What pads a vector is never read: here it is anything.
    x = tiled(layout, source, 12345 if element == "i8" else np.nan).reshape(-1)
    room = np.full(4 * packed.words * WORD * columns, 0xFF, np.uint8)
    sizes = (ROWS, len(source), packed.words, columns, stride)
    flat = y.reshape(-1)
    machine.run(
        ready(machine, element, form), *packed.streams, bias, x, room, x_scales, x_zeros, flat, *sizes
    )
    np.testing.assert_allclose(y[:, :columns], expected, rtol=2e-5, atol=2e-3)
    np.testing.assert_array_equal(y[:, columns:], 0)


def with_more(machine: Machine) -> tuple[Ready, tuple[Param, ...]]:
    """The step with relu behind it, and its parameters."""
    few = few_of(machine.layout, "f32", "bitmap")
    inner = step(few, "relu")
    entry = Function("entry", inner.params, (Call(inner.name, inner.params),))
    parts = (finish(machine.layout, "relu"), *functions(few, "relu"), entry)
    return machine.ready(parts), inner.params


def test_residual_and_activation_come_after_the_sum(machine: Machine) -> None:
    layout, columns = machine.layout, 5
    weight, packed = weights(layout.lanes, "f32", "bitmap")
    made, params = with_more(machine)
    random = np.random.default_rng(8)
    x = random.standard_normal((columns, packed.words * WORD)).astype(np.float32)
    residual = random.standard_normal((ROWS, columns)).astype(np.float32) * 200
    stride = layout.vectors(columns) * layout.lanes
    y = np.full(ROWS * stride, np.nan, np.float32)
    given: dict[str, Any] = {
        **{p.name: a for p, a in zip(params, packed.streams, strict=False)},
        "bias": np.ones(ROWS, np.float32),
        "x": x.reshape(-1),
        "x_scales": np.zeros(1, np.float32),
        "x_zeros": np.zeros(1, np.int32),
        "y": y,
        "residual": tiled(layout, residual, 7.0).reshape(-1),
        "rows": ROWS,
        "words": packed.words,
        "columns": columns,
        "row_step": stride,
        "column_step": 1,
        "adds": 1,
    }
    machine.run(made, *(given[p.name] for p in params))
    sums = weight.astype(np.float64) @ x[:, :INPUTS].T + 1 + residual
    got = y.reshape(ROWS, stride)
    np.testing.assert_allclose(got[:, :columns], np.maximum(sums, 0), rtol=2e-5, atol=2e-3)
    # Behind the last column: finite, whatever was there.
    assert np.isfinite(got).all()


def test_gather_is_shared_by_threads_without_gaps() -> None:
    """Every number of the room is written, for features that end within a word or at its end."""
    few = Few(4, 1, "fp32", "bitmap")
    for features in (1, 63, 64, 65):
        padded = -(-features // WORD) * padded_word(few)
        x = np.arange(1, features * 4 + 1, dtype=np.float32)
        numbers = np.full(2 * padded, np.nan, np.float32)
        prepare(Module("m", (gather(few),))).run([x, numbers, features, padded, 2, 4], 5, 1)
        expected = np.zeros((2, padded), np.float32)
        expected[:, :features] = x.reshape(features, 4)[:, :2].T
        np.testing.assert_array_equal(numbers.reshape(2, padded), expected)
