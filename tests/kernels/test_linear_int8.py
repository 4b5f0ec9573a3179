"""Linear layers of 8-bit integers, packed every way, against exact integer sums; every run compared bit for
bit (see ``machine``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from tests.kernels.machine import Machine, Ready

from aerogel.core.errors import InputError
from aerogel.core.target import named
from aerogel.formats.panel import Packed, pack, words
from aerogel.kernels.layout import Layout
from aerogel.kernels.linear import finish, kernel, kernels, step
from aerogel.loop.nodes import Module
from aerogel.native.compiler import generate

INTEGERS = True
Y_AT = 8  # among the arguments of a step
PACKINGS = {
    "dense": ("panel", 0, True),
    "panel": ("panel", 0, False),
    "panel/3": ("panel", 3, False),
    "quad": ("quad", 0, False),
    "quad/3": ("quad", 3, False),
}


@dataclass(frozen=True)
class Layer:
    """Integers and what they stand for: ``x`` u8 [features, columns] with a scale and a zero point each."""

    weight: np.ndarray
    scales: np.ndarray
    bias: np.ndarray
    x: np.ndarray
    x_scales: np.ndarray
    x_zeros: np.ndarray
    residual: np.ndarray | None

    @property
    def sums(self) -> np.ndarray:
        return self.weight.astype(np.int64) @ (self.x.astype(np.int64) - self.x_zeros)

    @property
    def expected(self) -> np.ndarray:
        y = self.scales[:, None].astype(np.float64) * (self.sums * self.x_scales.astype(np.float64))
        y = y + self.bias[:, None]
        return y if self.residual is None else y + self.residual


def layer(rows: int, features: int, columns: int, density: float = 0.4, *, residual: bool = False) -> Layer:
    rng = np.random.default_rng(rows * 1000 + features)
    weight = rng.integers(-127, 128, (rows, features)).astype(np.int8)
    live = rng.random((rows, -(-features // 4))) < density
    weight[~live.repeat(4, axis=1)[:, :features]] = 0

    def some(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    return Layer(
        weight,
        np.abs(some(rows)),
        some(rows),
        rng.integers(0, 256, (features, columns)).astype(np.uint8),
        np.abs(some(columns)),
        rng.integers(0, 256, columns).astype(np.int32),
        some(rows, columns) if residual else None,
    )


@cache
def program(machine: Machine, kind: str, fn: str | None = None) -> Ready:
    """All that one layer needs, the step last."""
    layout = machine.layout
    extra = () if fn is None else (finish(layout, fn),)
    return machine.ready((*kernels(layout, kind, "i8"), *extra, step(layout, kind, fn, "i8")))  # type: ignore[arg-type]


def packed_as(weight: np.ndarray, packing: str, *, pairs: bool) -> Packed:
    kind, block, dense = PACKINGS[packing]
    matrix = words(weight)
    return pack(matrix, kind, block or matrix.shape[1], dense=dense, pairs=pairs)  # type: ignore[arg-type]


def arguments(machine: Machine, item: Layer, packed: Packed) -> list[np.ndarray | int]:
    """What ``program`` takes; its y holds NaN."""
    layout, rows, columns = machine.layout, packed.rows, item.x.shape[1]
    vectors = layout.vectors(columns)
    y = np.full(layout.size(rows, columns), np.nan, np.float32)
    residual = y.copy() if item.residual is None else layout.pack(item.residual)
    four = np.pad(item.x, ((0, -len(item.x) % 4), (0, 0))).reshape(-1, 4, columns).astype(np.uint32)
    x = (four << (8 * np.arange(4, dtype=np.uint32))[None, :, None]).sum(1, dtype=np.uint32)
    scales, zeros = np.ones(vectors * layout.lanes, np.float32), np.zeros(vectors * layout.lanes, np.int32)
    scales[:columns], zeros[:columns] = item.x_scales, item.x_zeros
    return [
        *(packed.values, packed.indices, packed.runs, packed.starts.ravel(), packed.work),
        *(item.bias, layout.pack(x.view(np.float32)).view(np.int32), residual, y),
        *(item.scales, item.weight.sum(1, dtype=np.int32), scales, zeros),
        *(rows, packed.columns, packed.block, int(item.residual is not None), packed.groups, 1, vectors),
    ]


def multiply(
    machine: Machine, item: Layer, packing: str, fn: str | None = None, *, interpreted: bool = True
) -> np.ndarray:
    """y [rows, columns], the same bits from the interpreter and natively, at 1 to 3 threads."""
    packed = packed_as(item.weight, packing, pairs=machine.layout.pairs)
    args = arguments(machine, item, packed)
    machine.run(program(machine, packed.kind, fn), *args, interpreted=interpreted)
    y = args[Y_AT]
    assert isinstance(y, np.ndarray) and np.isfinite(y).all()
    return machine.layout.unpack(y, packed.rows, item.x.shape[1])


def close(got: np.ndarray, item: Layer) -> None:
    """Three roundings of what the sum comes to, one or two of what it ends as."""
    size = np.abs(item.scales[:, None] * (item.sums * item.x_scales)) + np.abs(item.bias)[:, None]
    if item.residual is not None:
        size = size + np.abs(item.residual)
    assert (np.abs(got - item.expected) <= size * 5 * 2.0**-24).all()


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize(
    ("rows", "features", "columns"), [(1, 1, 1), (3, 20, 5), (33, 30, 1), (66, 25, 37), (5, 6, 130)]
)
def test_the_product(machine: Machine, packing: str, rows: int, features: int, columns: int) -> None:
    item = layer(rows, features, columns)
    close(multiply(machine, item, packing), item)


@pytest.mark.parametrize("packing", PACKINGS)
def test_any_shape_stays_inside_its_buffers(machine: Machine, packing: str) -> None:
    """Shapes and zeros as they come, native code alone: every buffer lies against an inaccessible page."""
    if machine.target is None:
        pytest.skip("this CPU lacks the target")
    rng = np.random.default_rng(11)
    for _ in range(12):
        rows, features, columns = (int(rng.integers(1, n)) for n in (71, 71, 41))
        item = layer(rows, features, columns, rng.random(), residual=bool(rng.integers(2)))
        item.weight[rng.random(rows) < 0.2] = 0
        close(multiply(machine, item, packing, interpreted=False), item)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("columns", [1, 21])
def test_a_residual_is_added(machine: Machine, packing: str, columns: int) -> None:
    item = layer(38, 34, columns, residual=True)
    close(multiply(machine, item, packing), item)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("density", [0.0, 0.05, 1.0])
def test_from_all_zeros_to_none(machine: Machine, packing: str, density: float) -> None:
    item = layer(38, 40, 6, density)
    close(multiply(machine, item, packing), item)


@pytest.mark.parametrize("packing", ["panel", "panel/3"])
def test_blocks_of_four_rows(machine: Machine, packing: str) -> None:
    item = layer(36, 48, 20, 1.0)
    live = np.random.default_rng(0).random((9, 12)) < 0.5
    item.weight[~live.repeat(4, axis=0).repeat(4, axis=1)] = 0
    close(multiply(machine, item, packing), item)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("density", [0.3, 1.0])
def test_few_words_that_do_not_fit_pairs(machine: Machine, packing: str, density: float) -> None:
    """As in a network: most sums of two integers are small, some are not, with activations that saturate."""
    item = layer(70, 200, 26, density)
    large = np.random.default_rng(4).random(item.weight.shape) < 0.1
    item.weight[~large] //= 4
    item.x[:, ::2] = 255
    close(multiply(machine, item, packing), item)


def test_an_activation_is_applied(machine: Machine) -> None:
    item = layer(33, 20, 18)
    got = multiply(machine, item, "dense", "relu")
    np.testing.assert_array_equal(got, np.maximum(multiply(machine, item, "dense"), 0))


@pytest.mark.parametrize("packing", ["dense", "panel/3", "quad"])
@pytest.mark.parametrize("integer", [-128, -127, 127])
@pytest.mark.parametrize(("byte", "zero"), [(255, 0), (0, 255), (255, 255)])
def test_the_largest_sums_are_exact(
    machine: Machine, integer: int, byte: int, zero: int, packing: str
) -> None:
    """All inputs at the end of their range: nothing saturates, nothing wraps."""
    if machine.target is None:
        pytest.skip("this CPU lacks the target, and the interpreter takes too long for many inputs")
    item = layer(5, 8192, 3, 1.0)
    item.weight[:], item.x[:], item.x_zeros[:] = integer, byte, zero
    item.scales[:], item.x_scales[:], item.bias[:] = 1, 1, 0
    got = multiply(machine, item, packing, interpreted=False)
    np.testing.assert_array_equal(got, item.sums.astype(np.float32))


@pytest.mark.parametrize(("flags", "instruction"), [((), "vpmaddubsw"), (("avx_vnni",), "vpdpbusd")])
def test_each_cpu_multiplies_bytes_its_own_way(flags: tuple[str, ...], instruction: str) -> None:
    target = named("avx2", flags)
    text = generate(
        Module("kernel", (kernel(Layout.of(target), "panel", 2, "i8"),)), target, show=True
    ).assembly
    assert instruction in text and not re.search(r"vpsr[al]w", text)


def test_more_inputs_than_sums_can_hold_are_refused() -> None:
    with pytest.raises(InputError, match="16385 words of 4 inputs: at most 16384"):
        packed_as(np.zeros((1, 65537), np.int8), "dense", pairs=False)
