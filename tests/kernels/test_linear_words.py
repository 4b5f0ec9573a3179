"""Linear layers that store 8-bit integers make what two steps make, the layer and ``quantise``; every run
compared bit for bit (see ``machine``)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from tests.kernels.machine import Machine, Ready
from tests.kernels.test_linear_int8 import Y_AT, Layer, arguments, layer, packed_as, program

from aerogel.kernels import linear_words
from aerogel.kernels.linear import kernels
from aerogel.kernels.quantise import quantise

INTEGERS = True
BOUNDS = (-40.0, 90.0)


@cache
def fused(machine: Machine, kind: str, fn: str | None) -> Ready:
    layout = machine.layout
    parts = (*kernels(layout, kind, "i8"), linear_words.finish(layout, fn))  # type: ignore[arg-type]
    return machine.ready((*parts, linear_words.step(layout, kind, fn)))  # type: ignore[arg-type]


@cache
def rounding(machine: Machine) -> Ready:
    return machine.ready(quantise(machine.layout, fixed=True))


def room(machine: Machine, rows: int, columns: int) -> list[np.ndarray]:
    layout = machine.layout
    padded = layout.vectors(columns) * layout.lanes
    words = np.full(layout.size(-(-rows // 4), columns), -1, np.int32)
    return [words, np.full(padded, 7, np.float32), np.full(padded, -1, np.int32)]


def both(
    machine: Machine, given: Layer, packing: str, fn: str | None, most: float = 1e30
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Words, scales and zero points as one step makes them, and as two do."""
    if machine.target is None:
        pytest.skip("this CPU lacks the target")
    rows, columns = given.weight.shape[0], given.x.shape[1]
    packed = packed_as(given.weight, packing, pairs=machine.layout.pairs)
    args = arguments(machine, given, packed)
    ready = program(machine, packed.kind, fn)
    machine.run(ready, *args, interpreted=False)
    apart = room(machine, rows, columns)
    machine.run(rounding(machine), args[Y_AT], *apart, *BOUNDS, rows, columns, interpreted=False)
    named = dict(zip((p.name for p in ready.module.entry.params), args, strict=True))
    made = room(machine, rows, columns)
    ready = fused(machine, packed.kind, fn)
    named |= {"words": made[0], "y_scales": made[1], "y_zeros": made[2]}
    named |= {"low": BOUNDS[0], "high": BOUNDS[1], "most": most}
    machine.run(ready, *(named[p.name] for p in ready.module.entry.params))
    return made, apart


@pytest.mark.parametrize("packing", ["dense", "panel/3", "quad/3"])
@pytest.mark.parametrize(("rows", "features", "columns"), [(1, 1, 1), (7, 22, 20), (41, 30, 37)])
def test_words_are_those_of_two_steps(
    machine: Machine, packing: str, rows: int, features: int, columns: int
) -> None:
    made, apart = both(machine, layer(rows, features, columns), packing, None)
    for found, wanted in zip(made, apart, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("fn", ["gelu"])
def test_with_an_activation(machine: Machine, fn: str) -> None:
    made, apart = both(machine, layer(41, 30, 37), "dense", fn)
    for found, wanted in zip(made, apart, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("number", [np.nan, 1e31])
def test_a_column_of_spoilt_or_enormous_inputs_is_spoilt_and_no_other(
    machine: Machine, number: float
) -> None:
    given = layer(9, 12, 20)
    clean, _ = both(machine, given, "dense", "gelu")
    given.x_scales[7] = number
    found, _ = both(machine, given, "dense", "gelu")
    assert np.isnan(found[1][7])
    others = np.arange(20) != 7
    np.testing.assert_array_equal(found[1][:20][others], clean[1][:20][others])
    unpacked = [
        machine.layout.unpack(words.view(np.float32), 3, 20).view(np.int32) for words in (found[0], clean[0])
    ]
    np.testing.assert_array_equal(unpacked[0][:, others], unpacked[1][:, others])


def test_below_the_limit_nothing_overflows() -> None:
    scales, bias = np.array([0.5, 3.0], np.float32), np.array([-1e38, 2.0], np.float32)
    limit = linear_words.most(1000, scales, bias)
    largest = np.float32(np.float32(1000 * 255 * 127) * np.float32(limit)) * scales.max() + np.float32(1e38)
    assert np.isfinite(largest) and largest > 2e38
    assert linear_words.most(10, scales, np.array([3.3e38], np.float32)) == 0
    assert linear_words.most(10, np.array([1e-9], np.float32), bias) * 10 * 255 * 127 <= 3e38
