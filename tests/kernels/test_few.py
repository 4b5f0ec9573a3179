"""Layers at one to eight columns, every number and form, against float64; every run compared bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.kernels.machine import SHAPES, Machine, Ready

from aerogel.core.target import Target
from aerogel.formats.bitmap import unpack
from aerogel.formats.nibbles import encode4, in_columns
from aerogel.formats.rows import WORD, PackedRows, forms_of
from aerogel.kernels.few import kernels, step
from aerogel.kernels.few_params import Few
from aerogel.kernels.few_x import prepare, program
from aerogel.kernels.quantise import quantise
from aerogel.tune.few import few_functions, pack_rows

NUMBERS = ("fp32", "bf16", "int8", "int4")
INTEGERS = ("int8", "int4")
FORMS = ("dense", "bitmap", "nested", "sliced")
# How masks are nested does not depend on what they select: the fast suite sees it with one number.
WAYS = [
    pytest.param(
        n, f, marks=pytest.mark.slow if (f == "nested" and n != "int8") or (n, f) == ("int4", "dense") else ()
    )
    for n in NUMBERS
    for f in forms_of(n)
]

# Their rows are summed block by block, four columns to a lane.
SORTED_FLOATS = [("fp32", "sliced"), ("bf16", "sliced")]


def plain(machine: Machine) -> Target:
    """The machine's shape, whether or not this CPU has it."""
    name = next(n for n, (bits, _) in SHAPES.items() if bits == machine.layout.lanes * 32)
    return Target(name, "x86_64", *SHAPES[name], ())


@dataclass(frozen=True)
class Layer:
    """One product: x [columns, inputs]."""

    packed: PackedRows
    x: np.ndarray
    bias: np.ndarray

    @property
    def expected(self) -> np.ndarray:
        """[columns, outputs] of what is stored, in float64; of activations as the number has them."""
        x = self.x.astype(np.float64)
        if self.packed.number == "bf16":
            x = halves(self.x)
        if self.packed.number in INTEGERS:
            x = np.stack([grid(column) for column in self.x])
        return x @ unpack(self.packed).astype(np.float64).T + self.bias


def halves(x: np.ndarray) -> np.ndarray:
    """The nearest bf16 (ties to even), 0 below 2^-56."""
    spacing = np.exp2(np.floor(np.log2(np.maximum(np.abs(x.astype(np.float64)), 2.0**-200))) - 7)
    nearest = np.round(x / spacing) * spacing
    return np.where(np.abs(nearest) < 2.0**-56, 0, nearest)


def grid(column: np.ndarray) -> np.ndarray:
    """A column as its nearest multiples of the scale."""
    low, high = min(0.0, float(column.min())), max(0.0, float(column.max()))
    scale = max((high - low) / 255, 1e-36)
    zero = np.floor(0.5 - low / scale)
    return scale * (np.clip(np.floor(column / scale + zero + 0.5), 0, 255) - zero)


def layer(
    machine: Machine, number: str, form: str, shape: tuple[int, int, int], density: float = 0.4
) -> Layer:
    rows, inputs, columns = shape
    rng = np.random.default_rng(rows * 1000 + inputs)
    weight = rng.standard_normal((rows, inputs)).astype(np.float32)
    weight[rng.random((rows, inputs)) >= density] = 0
    packed = pack_rows(weight, number, form, plain(machine))  # type: ignore[arg-type]
    x = rng.standard_normal((columns, inputs)).astype(np.float32)
    return Layer(packed, x, rng.standard_normal(rows).astype(np.float32))


@cache
def ready(machine: Machine, number: str, form: str) -> Ready:
    few = Few.of(plain(machine), number, form)  # type: ignore[arg-type]
    return machine.ready(few_functions(few).functions)


def arguments(item: Layer, *, tiled: int = 0) -> tuple[list[Any], np.ndarray]:
    """(what the program takes, y); y and the room for x start as NaN or 7. ``tiled``: lanes of a vector whose
    columns x and y share, instead of columns in one piece."""
    packed, (columns, inputs) = item.packed, item.x.shape
    count, padded = columns, packed.words * WORD
    source, y = item.x.reshape(-1), np.full(columns * packed.rows, np.nan, np.float32)
    steps = (1, inputs, 1, packed.rows)
    if tiled:
        source = np.zeros((inputs, tiled), np.float32)
        source[:, :columns] = item.x.T
        source, y = source.reshape(-1), np.full(packed.rows * tiled, np.nan, np.float32)
        steps = (tiled, 1, tiled, 1)
    few = Few(packed.lanes, 1, packed.number, packed.form)
    room = (
        np.full(count * padded, np.nan, np.float32),
        np.full(count * padded * few.x_bytes, 7, np.uint8),
        np.full(count, np.nan, np.float32),
        np.full(count, 7, np.int32),
    )
    sizes = (inputs, steps[0], steps[1], packed.rows, packed.words, columns, steps[2], steps[3])
    return [*packed.streams, item.bias, y, source, *room, *sizes], y


def multiply(machine: Machine, item: Layer) -> np.ndarray:
    """y [columns, rows], the same bits from the interpreter and natively, at 1 to 3 threads."""
    args, y = arguments(item)
    machine.run(ready(machine, item.packed.number, item.packed.form), *args)
    return y.reshape(len(item.x), item.packed.rows)


def close(got: np.ndarray, item: Layer) -> None:
    """Within what summing in float32 may lose, and one step of the grid where a number lies half-way."""
    inputs = item.packed.columns
    size = np.abs(item.x.astype(np.float64)) @ np.abs(unpack(item.packed)).T + np.abs(item.bias) + 10
    slack = 0.0
    if item.packed.number in INTEGERS:
        reach = item.x.max(axis=1, initial=0) - item.x.min(axis=1, initial=0)
        slack = reach[:, None] / 255 * np.abs(unpack(item.packed)).max() * 1.01
    np.testing.assert_array_less(np.abs(got - item.expected), size * inputs * 2**-24 + slack + 1e-30)


@pytest.mark.parametrize(("number", "form"), WAYS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 64, 8), (9, 130, 2)])
def test_the_product(machine: Machine, number: str, form: str, shape: tuple[int, int, int]) -> None:
    item = layer(machine, number, form, shape)
    close(multiply(machine, item), item)


@pytest.mark.parametrize(("number", "form"), WAYS)
def test_any_shape_stays_inside_its_buffers(machine: Machine, number: str, form: str) -> None:
    """Shapes and zeros as they come, native code alone: every buffer lies against an inaccessible page."""
    if machine.target is None:
        pytest.skip("this CPU lacks the target")
    rng = np.random.default_rng(12)
    for _ in range(8):
        shape = int(rng.integers(1, 40)), int(rng.integers(1, 700)), int(rng.integers(1, 9))
        item = layer(machine, number, form, shape, rng.random())
        args, y = arguments(item)
        machine.run(ready(machine, number, form), *args, interpreted=False)
        close(y.reshape(shape[2], shape[0]), item)


@pytest.mark.parametrize(
    ("number", "form"),
    [("bf16", "bitmap"), ("int8", "bitmap"), ("int8", "nested"), ("int4", "bitmap"), ("fp32", "sliced")],
)
@pytest.mark.parametrize("density", [0.0, 0.05, 1.0])
def test_from_all_zeros_to_none(machine: Machine, number: str, form: str, density: float) -> None:
    item = layer(machine, number, form, (5, 130 if form == "bitmap" else 577, 1), density)
    got = multiply(machine, item)
    close(got, item)
    if density == 0:
        np.testing.assert_array_equal(got, item.bias[None])


@pytest.mark.parametrize("form", FORMS)
def test_rows_and_words_without_a_weight(machine: Machine, form: str) -> None:
    """Nine blocks of columns, so that nested masks cross a block; a whole panel and a whole block empty."""
    item = layer(machine, "int8", form, (10, 576 + 64, 1), 0.3)
    weight = unpack(item.packed)
    weight[[0, 4, 5, 6, 7]] = 0
    weight[:, 64:128] = weight[:, 512:] = 0
    packed = pack_rows(weight, "int8", form, plain(machine))  # type: ignore[arg-type]
    item = replace(item, packed=packed)
    got = multiply(machine, item)
    close(got, item)
    np.testing.assert_array_equal(got[0, [0, 4, 7]], item.bias[[0, 4, 7]])


@pytest.mark.parametrize("number", NUMBERS)
def test_each_column_is_summed_as_if_alone(machine: Machine, number: str) -> None:
    """Whatever the tiles: seven columns make tiles of several widths."""
    item = layer(machine, number, "bitmap", (5, 150, 7))
    together = multiply(machine, item)
    few = ready(machine, number, "bitmap").program
    for column in range(7):
        args, y = arguments(replace(item, x=item.x[column : column + 1]))
        few.run(args)
        np.testing.assert_array_equal(y, together[column])


@pytest.mark.parametrize(("number", "form"), [way for way in WAYS if way.values not in SORTED_FLOATS])
def test_zeros_that_are_stored_change_no_bit(machine: Machine, number: str, form: str) -> None:
    """Sums of integers are exact; of floats every form but sliced rows sums in the same order."""
    dense, item = (layer(machine, number, f, (7, 200, 2)) for f in ("dense", form))
    results: list[np.ndarray] = []
    for one in (dense, item):
        args, y = arguments(one)
        ready(machine, number, one.packed.form).program.run(args)
        results.append(y)
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize("form", ["dense", "sliced"])
def test_a_dot_product_of_pairs_changes_no_bit(machine: Machine, form: Any) -> None:
    """The CPU's own flushes subnormal numbers: there are none. Weights and inputs around the least bf16."""
    item = layer(machine, "bf16", form, (4, 130, 2), 1.0)
    x = (item.x * np.exp2(np.linspace((-60, -10), (-50, 100), 130).T)).astype(np.float32)
    rows = (unpack(item.packed) * np.exp2(np.linspace(-50, -60, 130))).astype(np.float32)
    tiny = pack_rows(rows, "bf16", form, plain(machine))
    few = replace(Few.of(plain(machine), "bf16", form), width=1)
    got: list[np.ndarray] = []
    for dot2 in (False, True):
        args, y = arguments(replace(item, x=x, packed=tiny, bias=item.bias * 0))
        machine.run(machine.ready(few_functions(replace(few, dot2=dot2)).functions), *args)
        got.append(y)
    np.testing.assert_array_equal(got[0].view(np.uint32), got[1].view(np.uint32))
    assert np.isfinite(got[0]).all() and np.abs(got[0]).min() < 1e-30


def test_bf16_rounds_activations_to_nearest_even_and_tiny_ones_to_zero(machine: Machine) -> None:
    """A weight of ones, so that y is the sum of the rounded inputs."""
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0xBF807FFF], np.uint32)
    x = np.concatenate((bits.view(np.float32), np.float32([2.0**-57, -(2.0**-56), 3e-39, 1e-16])))
    wanted = np.array([1, 1.015625, 1.0078125, -1, 0, -(2.0**-56), 0, 1.0018e-16])
    packed = pack_rows(np.eye(8, dtype=np.float32), "bf16", "bitmap", plain(machine))
    got = multiply(machine, Layer(packed, x[None], np.zeros(8, np.float32)))
    np.testing.assert_allclose(got[0], wanted, rtol=3e-3, atol=0)
    np.testing.assert_array_equal(got[0], halves(x))


@pytest.mark.parametrize("density", [0.4, 1.0])
def test_groups_are_scaled_as_defined_bit_for_bit(machine: Machine, density: float) -> None:
    """int4: exact sums of a lane's groups, one fused multiply-add each, then lanes by halves."""
    lanes, inputs = machine.layout.lanes, 700
    item = layer(machine, "int4", "bitmap", (6, inputs, 1), density)
    args, y = arguments(item)
    ready(machine, "int4", "bitmap").program.run(args)
    integers, scales = encode4(unpack(item.packed))
    blocks = -(-inputs // (32 * lanes))
    numbers, scale, zero = (args[10 + i] for i in (1, 2, 3))
    x = in_columns(numbers.view(np.int8)[None], blocks * 32 * lanes, lanes)[0].view(np.uint8)
    total = np.zeros((6, lanes), np.float32)
    for block in range(blocks):
        for lane in range(lanes):
            group = block * lanes + lane
            if group < scales.shape[1]:
                part = slice(32 * group, min(32 * group + 32, inputs))
                exact = 16 * (integers[:, part].astype(np.int64) @ x[part].astype(np.int64))
                total[:, lane] = exact * scales[:, group].astype(np.float64) + total[:, lane]
    while total.shape[1] > 1:
        half = total.shape[1] // 2
        total = total[:, :half] + total[:, half:]
    sums = item.packed.sums.astype(np.float64)
    exact = (total[:, 0] - float(zero[0]) * sums).astype(np.float32)
    wanted = (exact.astype(np.float64) * (scale[0] * np.float32(1 / 16)) + item.bias).astype(np.float32)
    np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("number", ["bf16", "int8", "int4"])
def test_how_it_is_shared_changes_no_bit(machine: Machine, number: str) -> None:
    """One thread, and more than there are panels or columns."""
    item = layer(machine, number, "bitmap", (13, 70, 3))
    few = ready(machine, number, "bitmap").program
    results: list[np.ndarray] = []
    for threads, order in ((1, None), (2, 3), (7, 5)):
        args, y = arguments(item)
        few.run(args, threads, order)
        results.append(y)
    assert np.isfinite(results[0]).all()
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


@pytest.mark.parametrize(
    ("number", "form"), [*((number, "bitmap") for number in NUMBERS), ("fp32", "sliced")]
)
def test_columns_may_share_a_vector(machine: Machine, number: str, form: str) -> None:
    """x and y as a model keeps them: feature after feature, lanes hold columns; others stay untouched."""
    lanes, columns = machine.layout.lanes, 3
    item = layer(machine, number, form, (6, 90, columns))
    args, y = arguments(item, tiled=lanes)
    machine.run(ready(machine, number, form), *args)
    got = y.reshape(6, lanes)
    np.testing.assert_array_equal(got[:, :columns].T, multiply(machine, item))
    assert np.isnan(got[:, columns:]).all()


def test_integers_are_those_that_tiles_of_columns_get(machine: Machine) -> None:
    """The grid of a column does not depend on the kernel: large, tiny, one-sided, constant, zero."""
    inputs, layout = 70, machine.layout
    rng = np.random.default_rng(3)
    x = rng.standard_normal((6, inputs)).astype(np.float32)
    x[1] *= 1e37
    x[2] *= 1e-30
    x[3] = np.abs(x[3])
    x[4] = -5.25
    x[5] = 0
    item = replace(layer(machine, "int8", "bitmap", (1, inputs, 1)), x=x)
    args, _ = arguments(item)
    ready(machine, "int8", "bitmap").program.run(args)
    vectors = layout.vectors(6) * layout.lanes
    words = -(-inputs // 4)
    tiled = np.zeros(layout.size(words, 6), np.int32)
    scales, zeros = np.zeros(vectors, np.float32), np.zeros(vectors, np.int32)
    machine.ready(quantise(layout)).program.run([layout.pack(x.T.copy()), tiled, scales, zeros, inputs, 6])
    numbers = layout.unpack(tiled.view(np.float32), words, 6).view(np.int32)
    wanted = np.ascontiguousarray(numbers.T).view(np.uint8).reshape(6, -1)[:, :inputs]
    np.testing.assert_array_equal(args[10 + 1].reshape(6, -1)[:, :inputs], wanted)
    np.testing.assert_array_equal(args[10 + 2], scales[:6])
    np.testing.assert_array_equal(args[10 + 3], zeros[:6])


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_spoils_its_column_alone(machine: Machine, number: str, value: float) -> None:
    """All of it: the zeros of a word meet its inputs too, and a grid without ends has no scale."""
    item = layer(machine, number, "bitmap", (5, 80, 3), 1.0)
    item.x[1, 3] = value
    got = multiply(machine, item)
    assert not np.isfinite(got[1]).any()
    assert np.isfinite(got[[0, 2]]).all()


def test_what_is_not_finite_reaches_the_rows_that_use_it(machine: Machine) -> None:
    """Sliced rows: a row that does not use it may stay finite."""
    item = layer(machine, "fp32", "sliced", (40, 300, 1), 0.2)
    item.x[0, 299] = np.inf
    got = multiply(machine, item)[0]
    used = unpack(item.packed)[:, 299] != 0
    assert used.any() and not np.isfinite(got[used]).any() and np.isfinite(got[~used]).all()


@pytest.mark.parametrize("change", ["masks", "values", "starts", "sums", "scales"])
def test_a_change_of_any_stream_is_seen(machine: Machine, change: str) -> None:
    """The comparison can fail."""
    item = layer(machine, "int8", "bitmap", (9, 130, 2))
    streams = {n: getattr(item.packed, n).copy() for n in ("masks", "values", "starts", "sums", "scales")}
    match change:
        case "masks":
            streams["masks"][0] ^= np.uint64(0b11)
            if streams["masks"][0] & np.uint64(3) in (0, 3):
                streams["masks"][0] ^= np.uint64(0b01)
        case "starts":
            streams["starts"][1, 0] += 1
        case "scales":
            streams["scales"][2] *= 2
        case _:
            streams[change][5] += 9
    args, y = arguments(replace(item, packed=replace(item.packed, **streams)))
    ready(machine, "int8", "bitmap").program.run(args)
    with pytest.raises(AssertionError):
        close(y.reshape(2, 9), item)


def test_the_program_is_made_of_its_parts() -> None:
    few = Few.of(Target("avx2", "x86_64", 256, 16, ()), "int8", "nested")
    names = [f.name for f in few_functions(few).functions]
    assert names == ["few_prepare", *(f"few_int8_nested_{n}" for n in ("1", "2", "step")), "few_layer"]
    parts = (prepare(few), *kernels(few), step(few), program(few))
    assert few_functions(few).functions == parts


def test_a_wide_register_file_takes_four_columns_at_a_time() -> None:
    assert Few.of(Target("avx512", "x86_64", 512, 32, ()), "fp32", "bitmap").width == 4
    assert Few.of(Target("sse2", "x86_64", 128, 16, ()), "fp32", "bitmap").width == 2
