"""One linear layer's kernel by itself, and what it takes: for trials, and for benchmarks."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.memory import copy_aligned
from aerogel.core.target import Target
from aerogel.formats.panel import Kind, Matrix, Packed
from aerogel.kernels.layout import Layout
from aerogel.kernels.linear import kernels, step
from aerogel.kernels.tile import Element
from aerogel.loop.nodes import Module
from aerogel.native import Compiled, compile

# A chunk of packed weights that stays in a typical L2 cache beside a tile of activations.
CHUNK_BYTES = 400_000


def kernel_arguments(
    packed: Packed,
    x: Matrix,
    y: NDArray[np.float32],
    target: Target,
    columns: int,
    grids: tuple[NDArray[Any], ...] | None = None,
) -> tuple[NDArray[Any] | int, ...]:
    """What the step of ``kernel_module`` takes for a product by itself, without a bias. ``x``: tiled, as
    ``sample`` gives it; ``y``: tiled. ``grids``: scales and sums of an integer layer's rows, scales and zero
    points of columns; by default every scale is 1 and every zero point 0."""
    layout = Layout.of(target)
    vectors, zeros = layout.vectors(columns), np.zeros(packed.rows, np.float32)
    streams = (packed.values, packed.indices, packed.runs, packed.starts.ravel(), packed.work)
    extra: tuple[NDArray[Any], ...] = ()
    if element_of(packed.values) == "i8":
        padded = vectors * layout.lanes
        scales, columns_ = np.ones(packed.rows, np.float32), np.ones(padded, np.float32)
        sums, points = np.zeros(packed.rows, np.int32), np.zeros(padded, np.int32)
        extra = grids or (scales, sums, columns_, points)
    sizes = (packed.rows, packed.columns, packed.block, 0, packed.groups, chunk_of(packed), vectors)
    return (*streams, zeros, x, zeros, y, *extra, *sizes)


def element_of(values: Matrix) -> Element:
    """What a matrix is made of."""
    return "f32" if values.dtype == np.float32 else "i8"


def sample(size: int, element: Element) -> Matrix:
    """Activations to time a kernel with: normal numbers, or words of any bytes."""
    rng = np.random.default_rng(0)
    if element == "f32":
        return copy_aligned(rng.standard_normal(size, dtype=np.float32))
    return copy_aligned(rng.integers(-(1 << 31), 1 << 31, size).astype(np.int32))


@cache
def kernel_module(target: Target, kind: Kind, element: Element = "f32") -> Compiled:
    """The kernels of one packing, compiled for ``target``."""
    layout = Layout.of(target)
    functions = (*kernels(layout, kind, element), step(layout, kind, None, element))
    return compile(Module(f"linear_{kind}_{element}", functions), target)


def chunk_of(packed: Packed) -> int:
    """How many groups make a chunk of about CHUNK_BYTES."""
    return max(1, int(CHUNK_BYTES * packed.groups // max(1, packed.nbytes)))
