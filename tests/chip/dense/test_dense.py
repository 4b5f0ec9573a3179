"""Dense mode: matrix products and convolutions come out, cycle for cycle the same on both machines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.chip.dense.grid import Walks, largest, mapped, netlist
from aerogel.chip.dense.run import convolve, grid_of, multiply
from aerogel.chip.dense.work import convolution, product
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.fabric.read import load
from aerogel.chip.machine.affine import LOOPS, Affine
from aerogel.chip.machine.netlist import Opcode, Segment, Values
from aerogel.chip.machine.simulate import simulate
from aerogel.chip.machine.step import step
from aerogel.core.errors import ChipError, InputError

TOY = Fabric("toy", rows=3, columns=16, values="f64")


def whole(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-4, 5, shape).astype(np.float64)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


# --- addresses ----------------------------------------------------------------------------------------

strides = st.integers(-40, 40)
walks = st.builds(
    Affine, st.integers(0, 1000), st.lists(st.tuples(st.integers(1, 4), strides), max_size=LOOPS).map(tuple)
)


@given(walks)
def test_a_walk_stays_between_its_ends_and_survives_its_registers(walk: Affine) -> None:
    found = list(walk.addresses())
    assert (len(found), min(found), max(found)) == (walk.count, walk.low, walk.high)
    again = Affine.of(walk.parameters())
    assert list(again.addresses()) == found


def test_a_walk_of_too_many_loops_is_refused() -> None:
    with pytest.raises(ChipError, match="8 loops within each other: an address generator has 7"):
        Affine(0, ((2, 1),) * 8)
    with pytest.raises(ChipError, match="a loop of 0 with stride 1"):
        Affine(0, ((0, 1),))


# --- both machines ------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    st.tuples(st.integers(1, 7), st.integers(1, 5), st.integers(1, 9)),
    st.sampled_from(["f64", "f32", "bf16", "int16"]),
    st.integers(1, 3),
    st.sampled_from([64, 2048]),
)
def test_the_fast_machine_does_what_the_slow_one_does(
    sizes: tuple[int, int, int], values: Values, depth: int, memory: int
) -> None:
    m, k, n = sizes
    fabric = replace(TOY, values=values, fifo_depth=depth, memory_words=memory)
    rng = np.random.default_rng(m * 100 + k * 10 + n)
    job = product(whole(rng, m, k) / 4, whole(rng, k, n), (2, 3))
    grid = grid_of(job.walks, (len(job.left), len(job.right)), fabric).netlist
    left, right = (x if values != "int16" else np.rint(x) for x in (job.left, job.right))
    arrays = [left, right, *[None] * len(job.walks.rows)]
    slow, fast = step(grid, arrays, fabric), simulate(grid, arrays, fabric)
    assert slow.counts == fast.counts
    assert slow.cells == fast.cells
    assert slow.channels == fast.channels
    for number, array in slow.results.items():
        np.testing.assert_array_equal(array, fast.results[number])


def test_an_int16_sum_that_overflows_is_reported() -> None:
    fabric = replace(TOY, values="int16")
    with pytest.raises(ChipError, match="out of range for int16"):
        multiply(np.full((2, 2), 200.0), np.full((2, 2), 200.0), fabric)
    # Sums are 32 bits wide: what overflows on the way may end within.
    big = multiply(np.array([[200.0, 200.0]]), np.array([[200.0], [-199.0]]), fabric)
    assert big.output.tolist() == [[200.0]]


def test_sums_of_bf16_are_as_wide_as_f32() -> None:
    fabric = replace(TOY, values="bf16")
    # In bf16 alone 256 + 1 would stay 256 for ever.
    found = multiply(np.ones((1, 1024)), np.ones((1024, 1)), fabric)
    assert found.output.tolist() == [[1024.0]]


# --- products and convolutions through words and device -------------------------------------------------


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (3, 4, 12), (7, 5, 13), (1, 9, 30), (20, 1, 2)])
def test_products(rng: np.random.Generator, m: int, k: int, n: int) -> None:
    a, b = whole(rng, m, k), whole(rng, k, n)
    found = multiply(a, b, TOY)
    np.testing.assert_array_equal(found.output, a @ b)
    assert found.macs == m * k * n
    assert found.counts.operations["mul"] >= found.macs
    assert "multiply-accumulates a cycle" in found.text()


def convolved(image: np.ndarray, weights: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """By its definition."""
    (outs, _, kh, kw), wide = weights.shape, np.pad(image, ((0, 0), (padding,) * 2, (padding,) * 2))
    high, across = ((size - k) // stride + 1 for size, k in zip(wide.shape[1:], (kh, kw), strict=True))
    found = np.zeros((outs, high, across))
    for y in range(high):
        for x in range(across):
            patch = wide[:, y * stride : y * stride + kh, x * stride : x * stride + kw]
            found[:, y, x] = np.tensordot(weights, patch, 3)
    return found


@pytest.mark.parametrize(
    ("image", "weights", "stride", "padding"),
    [
        ((1, 1, 1), (1, 1, 1, 1), 1, 0),
        ((2, 6, 7), (5, 2, 3, 3), 1, 1),
        ((3, 8, 17), (4, 3, 3, 2), 2, 1),
        ((1, 5, 4), (2, 1, 5, 4), 1, 0),
        ((2, 3, 3), (1, 2, 1, 1), 3, 2),
    ],
)
def test_convolutions(
    rng: np.random.Generator, image: tuple[int, ...], weights: tuple[int, ...], stride: int, padding: int
) -> None:
    x, w = whole(rng, *image), whole(rng, *weights)
    found = convolve(x, w, TOY, stride=stride, padding=padding)
    np.testing.assert_array_equal(found.output, convolved(x, w, stride, padding))


def test_a_full_grid_on_the_default_fabric(rng: np.random.Generator) -> None:
    fabric = load("onyx-like")
    assert largest(fabric) == (16, 24)
    a, b = whole(rng, 32, 24), whole(rng, 24, 48)
    found = multiply(a, b, fabric)
    np.testing.assert_array_equal(found.output, a @ b)
    assert found.multipliers == 384
    # Every operand goes from neighbour to neighbour: far fewer hops than a wire to each would take.
    assert found.counts.processing_tiles == 384


# --- errors -------------------------------------------------------------------------------------------


def test_what_does_not_fit_says_so(rng: np.random.Generator) -> None:
    small = replace(TOY, buffer_bytes=4096)
    with pytest.raises(ChipError, match=r"takes \d+ bytes with its configuration.*has 4096: cut it"):
        multiply(whole(rng, 9, 40), whole(rng, 40, 9), small)
    with pytest.raises(ChipError, match="has 1 columns of memory tiles: dense mode needs 3"):
        largest(replace(TOY, columns=4))
    with pytest.raises(InputError, match="a's columns must be as many as b's rows"):
        multiply(np.ones((2, 3)), np.ones((2, 3)), TOY)
    with pytest.raises(InputError, match="give a matrix of numbers"):
        product(np.ones(3), np.ones((3, 1)), (1, 1))
    with pytest.raises(InputError, match="a kernel of 3 x 3 does not fit an image of 2 x 2"):
        convolution(np.ones((1, 2, 2)), np.ones((1, 1, 3, 3)), (1, 1))
    with pytest.raises(ChipError, match="do not go together"):
        Walks((Affine(0, ((3, 1),)),), (Affine(0, ((4, 1),)),), 1)


def test_an_address_outside_its_segment_is_found_before_the_run() -> None:
    walk = Walks((Affine(0, ((4, 1),)),), (Affine(1, ((4, 1),)),), 4)
    grid = netlist(walk, (Segment("a", "vals", 4), Segment("b", "vals", 4)), TOY)
    with pytest.raises(ChipError, match=r"columns_0 walks from word 1 to 4 of segment 1 \(b\), which has 4"):
        simulate(grid, [np.ones(4), np.ones(4), None], TOY)


def test_a_grid_too_large_is_refused() -> None:
    walk = Affine(0, ((1, 1),))
    walks = Walks((walk,) * 4, (walk,), 1)
    grid = netlist(walks, (Segment("a", "vals", 4), Segment("b", "vals", 4)), TOY)
    with pytest.raises(ChipError, match="a grid of 4 x 1 multipliers: toy has room for 3 x "):
        mapped(grid, 4, 1, TOY)
    assert sum(cell.opcode is Opcode.MULTIPLY_ADD for cell in grid.cells) == 4
