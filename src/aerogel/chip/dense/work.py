"""Dense work as the grid does it: which words each row and column of multipliers walks through.

A ``Job`` is one pass over operands that fit the global buffer: the two arrays, the walks, and what the sums
of each row are. ``product`` and ``convolution`` make them; ``run.py`` runs them on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.dense.grid import Walks
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.affine import Affine
from aerogel.core.errors import InputError, require

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Job:
    """``left``, ``right``: what rows and columns walk in, laid out and padded with zeros; ``output``: the
    result of the sums of each row, in the order in which they leave it. ``macs``: those that were asked for;
    the grid does more where sizes are no multiples of its own."""

    name: str
    left: Numbers
    right: Numbers
    walks: Walks
    output: Callable[[Sequence[Numbers]], Numbers]
    macs: int

    @property
    def words(self) -> int:
        """Of operands and sums, in the global buffer."""
        sums = self.walks.sums * len(self.walks.rows) * len(self.walks.columns)
        return len(self.left) + len(self.right) + sums


def product(a: NDArray[Any], b: NDArray[Any], grid: tuple[int, int]) -> Job:
    """``a @ b`` for a of shape (M, K) and b of (K, N), on ``grid`` = rows x columns of multipliers, at most.

    Cell (p, q) makes the results whose row is p, and whose column is q, within blocks of the grid's size; all
    blocks of rows come for a block of columns before the next, whose operands stay in their tiles meanwhile.
    """
    a, b = _matrix(a, "a"), _matrix(b, "b")
    require(
        a.shape[1] == b.shape[0] and a.size > 0 and b.size > 0,
        InputError,
        f"a @ b of shapes {a.shape} and {b.shape}: a's columns must be as many as b's rows, and none be 0",
    )
    (m, k), n = a.shape, b.shape[1]
    p, q = min(grid[0], m), min(grid[1], n)
    high, wide = -(-m // p), -(-n // q)
    left = _padded(a, (high * p, k))
    right = _padded(b.T, (wide * q, k))
    rows = tuple(Affine(r * k, ((wide, 0), (high, p * k), (k, 1))) for r in range(p))
    columns = tuple(Affine(c * k, ((wide, q * k), (high, 0), (k, 1))) for c in range(q))

    def output(sums: Sequence[Numbers]) -> Numbers:
        # A row's sums leave it last cell first, block of rows by block of rows.
        blocks = np.stack([one.reshape(wide, high, q)[..., ::-1] for one in sums])
        return blocks.transpose(2, 0, 1, 3).reshape(high * p, wide * q)[:m, :n]

    name = f"product of {m} x {k} and {k} x {n}"
    return Job(name, left.ravel(), right.ravel(), Walks(rows, columns, k), output, m * k * n)


def convolution(
    image: NDArray[Any], weights: NDArray[Any], grid: tuple[int, int], *, stride: int = 1, padding: int = 0
) -> Job:
    """The cross-correlation of ``image`` (C, H, W) with ``weights`` (O, C, KH, KW), as torch's conv2d has it.

    Row p of the grid has output channels p, p + rows and so on; column q has every q-th result along a line.
    No patch of the image is copied: addresses walk over it. Lines are padded to a multiple of the columns.
    """
    image, weights = np.asarray(image, np.float64), np.asarray(weights, np.float64)
    require(
        image.ndim == 3 and weights.ndim == 4 and image.shape[0] == weights.shape[1] and image.size > 0,
        InputError,
        f"image of shape {image.shape}, weights of {weights.shape}: give (C, H, W) and (O, C, KH, KW)",
    )
    require(stride >= 1 and padding >= 0, InputError, f"stride {stride}, padding {padding}: 1 and 0 at least")
    (channels, h, w), (outs, _, kh, kw) = image.shape, weights.shape
    high, wide = (h + 2 * padding - kh) // stride + 1, (w + 2 * padding - kw) // stride + 1
    require(
        min(high, wide, outs) > 0,
        InputError,
        f"a kernel of {kh} x {kw} does not fit an image of {h} x {w} with padding {padding}",
    )
    p, q = min(grid[0], outs), min(grid[1], wide)
    groups, runs = -(-outs // p), -(-wide // q)
    line, lines = (runs * q - 1) * stride + kw, (high - 1) * stride + kh
    scene = np.zeros((channels, max(lines, h + padding), max(line, w + padding)))
    scene[:, padding : padding + h, padding : padding + w] = image
    scene = scene[:, :lines, :line]
    count = channels * kh * kw
    left = _padded(weights.reshape(outs, count), (groups * p, count))
    rows = tuple(Affine(r * count, ((groups, p * count), (high * runs, 0), (count, 1))) for r in range(p))
    within = ((channels, lines * line), (kh, line), (kw, 1))
    columns = tuple(
        Affine(c * stride, ((groups, 0), (high, stride * line), (runs, q * stride), *within))
        for c in range(q)
    )

    def output(sums: Sequence[Numbers]) -> Numbers:
        blocks = np.stack([one.reshape(groups, high, runs, q)[..., ::-1] for one in sums])
        return blocks.transpose(1, 0, 2, 3, 4).reshape(groups * p, high, runs * q)[:outs, :, :wide]

    name = f"convolution of {channels} x {h} x {w} with {outs} x {channels} x {kh} x {kw}"
    return Job(
        name, left.ravel(), scene.ravel(), Walks(rows, columns, count), output, outs * high * wide * count
    )


def largest_words(fabric: Fabric) -> int:
    """Words of values that the global buffer holds."""
    return fabric.buffer_bytes * 8 // fabric.word_bits


def _matrix(x: NDArray[Any], name: str) -> Numbers:
    found = np.asarray(x)
    require(
        found.ndim == 2 and found.dtype.kind in "fiub",
        InputError,
        f"{name} is of shape {found.shape} and type {found.dtype}: give a matrix of numbers",
    )
    return found.astype(np.float64)


def _padded(x: Numbers, shape: tuple[int, int]) -> Numbers:
    found = np.zeros(shape)
    found[: x.shape[0], : x.shape[1]] = x
    return found
