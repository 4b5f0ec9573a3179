"""Linear layers, packed every way, against float64; every run compared bit for bit (see ``machine``)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from tests.kernels.machine import SHAPES, Machine, Ready

from aerogel.formats.panel import GROUP, Packed, pack
from aerogel.kernels.layout import Layout
from aerogel.kernels.linear import finish, kernels, step

PACKINGS = {
    "dense": ("panel", 0, True),
    "panel": ("panel", 0, False),
    "panel/8": ("panel", 8, False),
    "quad": ("quad", 0, False),
    "quad/8": ("quad", 8, False),
}
ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu", "tanh", "sigmoid")


@dataclass(frozen=True)
class Layer:
    """One product: ``residual`` None where none is added."""

    weight: np.ndarray
    x: np.ndarray
    bias: np.ndarray
    residual: np.ndarray | None

    @property
    def expected(self) -> np.ndarray:
        y = self.weight.astype(np.float64) @ self.x + self.bias[:, None]
        return y if self.residual is None else y + self.residual


def layer(rows: int, features: int, columns: int, density: float = 0.4, *, residual: bool = False) -> Layer:
    rng = np.random.default_rng(rows * 1000 + features)

    def some(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    weight = np.where(rng.random((rows, features)) < density, some(rows, features), np.float32(0))
    return Layer(weight, some(features, columns), some(rows), some(rows, columns) if residual else None)


def packed_as(weight: np.ndarray, packing: str) -> Packed:
    kind, block, dense = PACKINGS[packing]
    return pack(weight, kind, block or weight.shape[1], dense=dense)  # type: ignore[arg-type]


@cache
def program(machine: Machine, kind: str, fn: str | None = None) -> Ready:
    """All that one layer needs, the step last."""
    layout = machine.layout
    extra = () if fn is None else (finish(layout, fn),)
    return machine.ready((*kernels(layout, kind), *extra, step(layout, kind, fn)))  # type: ignore[arg-type]


def arguments(layout: Layout, item: Layer, packed: Packed, chunk: int = 1) -> tuple[list[object], np.ndarray]:
    """(what the step takes, y among it); y starts as NaN, and so does a residual that is not to be read."""
    columns = item.x.shape[1]
    y = np.full(layout.size(packed.rows, columns), np.nan, np.float32)
    residual = y.copy() if item.residual is None else layout.pack(item.residual)
    adds = int(item.residual is not None)
    streams = (packed.values, packed.indices, packed.runs, packed.starts.ravel(), packed.work)
    sizes = (packed.rows, packed.columns, packed.block, adds, packed.groups, chunk, layout.vectors(columns))
    return [*streams, item.bias, layout.pack(item.x), residual, y, *sizes], y


def multiply(
    machine: Machine, item: Layer, packing: str, *, fn: str | None = None, chunk: int = 1
) -> np.ndarray:
    """y [rows, columns], the same bits from the interpreter and natively, at 1 to 3 threads."""
    packed, layout = packed_as(item.weight, packing), machine.layout
    args, y = arguments(layout, item, packed, chunk)
    machine.run(program(machine, packed.kind, fn), *args)  # type: ignore[arg-type]
    # What pads the last vector goes on into the next step: it must be a number.
    assert np.isfinite(item.x).all() <= np.isfinite(y).all()
    return layout.unpack(y, packed.rows, item.x.shape[1])


def close(got: np.ndarray, item: Layer) -> None:
    """Within what summing in float32 may lose."""
    features = item.weight.shape[1]
    size = np.abs(item.weight.astype(np.float64)) @ np.abs(item.x) + np.abs(item.bias)[:, None] + 10
    assert (np.abs(got - item.expected) <= size * features * 2**-24).all()


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize(
    ("rows", "features", "columns"), [(1, 1, 1), (3, 20, 5), (33, 9, 1), (66, 9, 37), (5, 3, 130)]
)
def test_the_product(machine: Machine, packing: str, rows: int, features: int, columns: int) -> None:
    item = layer(rows, features, columns)
    close(multiply(machine, item, packing), item)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("columns", [1, 21])
def test_a_residual_is_added(machine: Machine, packing: str, columns: int) -> None:
    item = layer(38, 10, columns, residual=True)
    close(multiply(machine, item, packing), item)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("density", [0.0, 0.05, 1.0])
def test_from_all_zeros_to_none(machine: Machine, packing: str, density: float) -> None:
    item = layer(38, 12, 6, density)
    close(multiply(machine, item, packing), item)


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_zeros_in_blocks_of_rows(machine: Machine, rows: int) -> None:
    """Whole panels, halves of them, and rows by themselves have loops of their own."""
    item = layer(36, 24, 20, 1.0)
    live = np.random.default_rng(0).random((36 // rows, 24)) < 0.5
    item.weight[~live.repeat(rows, axis=0)] = 0
    close(multiply(machine, item, "panel/8"), item)


@pytest.mark.parametrize("packing", ["dense", "panel/8", "quad/8"])
def test_rows_and_columns_without_a_weight(machine: Machine, packing: str) -> None:
    item = layer(40, 16, 9, 0.5)
    item.weight[[0, 7, 39]] = 0
    item.weight[4:8] = 0
    item.weight[:, 8:] = 0
    got = multiply(machine, item, packing)
    close(got, item)
    np.testing.assert_array_equal(got[[0, 4, 39]], np.repeat(item.bias[[0, 4, 39], None], 9, axis=1))


def reference(fn: str, x: np.ndarray) -> np.ndarray:
    erf = np.vectorize(math.erf)
    return {
        "gelu": lambda: 0.5 * x * (1 + erf(x / math.sqrt(2))),
        "gelu_tanh": lambda: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        "relu": lambda: np.maximum(x, 0),
        "silu": lambda: x / (1 + np.exp(-x)),
        "tanh": lambda: np.tanh(x),
        "sigmoid": lambda: 1 / (1 + np.exp(-x)),
    }[fn]()


@pytest.mark.parametrize(("packing", "fn"), [("panel/8", "gelu"), *(("quad", fn) for fn in ACTIVATIONS)])
def test_an_activation_follows_the_sum(machine: Machine, fn: str, packing: str) -> None:
    item = layer(37, 6, machine.layout.lanes + 1, residual=True)
    got = multiply(machine, item, packing, fn=fn)
    # gelu is exact to 7.5e-7 max(1, |x|), and x itself to what summing loses.
    room = 2e-6 * np.maximum(1, np.abs(item.expected))
    assert (np.abs(got - reference(fn, item.expected)) <= room).all()


@pytest.mark.parametrize("packing", ["panel/8", "quad/8"])
@pytest.mark.parametrize("columns", [1, 70])
def test_how_it_is_shared_changes_no_bit(machine: Machine, packing: str, columns: int) -> None:
    """Threads up to more than there are groups and tiles, chunks of one group and of all."""
    item = layer(2 * GROUP + 2, 9, columns, residual=True)
    packed, layout = packed_as(item.weight, packing), machine.layout
    ready = program(machine, packed.kind, "gelu").program
    results: list[np.ndarray] = []
    for threads, chunk in ((1, 1), (2, 100), (5, 1)):
        args, y = arguments(layout, item, packed, chunk)
        ready.run(args, threads, threads)
        results.append(y)
    assert np.isfinite(results[0]).all()
    for other in results[1:]:
        np.testing.assert_array_equal(other.view(np.uint32), results[0].view(np.uint32))


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_target_sums_in_the_same_order(packing: str) -> None:
    """But for tiles of one vector: 64 columns make none on any target."""
    item = layer(35, 19, 64, residual=True)
    packed = packed_as(item.weight, packing)
    results: list[np.ndarray] = []
    for name in SHAPES:
        machine = Machine.named(name)
        args, y = arguments(machine.layout, item, packed)
        program(machine, packed.kind).program.run(args)
        results.append(machine.layout.unpack(y, 35, 64))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_a_residual_that_is_not_added_is_not_read(machine: Machine) -> None:
    """``arguments`` fills it with NaN."""
    item = layer(8, 4, 3)
    assert np.isfinite(multiply(machine, item, "panel")).all()


# --- activations that are not finite -------------------------------------------------------------


@pytest.mark.parametrize("packing", ["panel", "panel/8", "quad", "quad/8"])
@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_a_weight_of_zero_meets_no_activation(machine: Machine, packing: str, number: float) -> None:
    item = layer(45, 20, 12, 0.3)
    item.x[[3, 11], 5] = number
    meets = (item.weight[:, [3, 11]] != 0).any(axis=1)
    assert meets.any() and not meets.all()
    got = multiply(machine, item, packing)
    spoilt = ~np.isfinite(got)
    np.testing.assert_array_equal(spoilt[:, 5], meets)
    assert not np.delete(spoilt, 5, axis=1).any()


def test_an_infinity_in_panels_stays_one(machine: Machine) -> None:
    item = layer(45, 20, 12, 0.3)
    item.x[3, 5] = np.inf
    meets = item.weight[:, 3] != 0
    got = multiply(machine, item, "panel")
    np.testing.assert_array_equal(got[meets, 5], np.copysign(np.inf, item.weight[meets, 3]))


def test_zeros_stored_densely_meet_it_like_any_number(machine: Machine) -> None:
    item = layer(9, 20, 12, 0.3)
    item.x[3, 5] = np.inf
    got = multiply(machine, item, "dense")
    np.testing.assert_array_equal(np.isnan(got[:, 5]), item.weight[:, 3] == 0)
    assert np.isfinite(np.delete(got, 5, axis=1)).all()
