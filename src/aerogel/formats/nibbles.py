"""4-bit integers with a scale for every 32 consecutive columns of a row: the number ``int4`` of ``bitmap``.

Of a group the scale is max |w| / 7, rounded to bf16 (two bytes that neither over- nor underflow where float16
would), and each weight the nearest of -7 .. 7 times it. So no weight is off by more than
max |w| x (1 + 2^-8) / 14, nor by more than 2^-120 where all of the group is smaller than that.

A register of 32-bit lanes sums products of four inputs in each, and scales differ between groups; so every
lane gets a group of its own. A *block* is 32 x ``lanes`` columns; step t of 8 meets columns 4 t to 4 t + 3 of
each of its groups:

    place t x 4 lanes + 4 l + j of a block  <-  column 32 l + 4 t + j

Sums of a lane are scaled once per block, by the vector of its groups' scales. Columns are filled up to whole
blocks. The integers of 64 places of a row (of the non-zero ones, where there is a mask) begin at a whole
byte, two in each, the lower half first, as two's complement.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, InputError, require

GROUP = 32
LARGEST = 7
_WORD = 64


def words_of(columns: int, lanes: int) -> int:
    """64-place words of a row, in whole blocks."""
    return blocks_of(columns, lanes) * (GROUP * lanes // _WORD)


def blocks_of(columns: int, lanes: int) -> int:
    return -(-columns // (GROUP * lanes))


def encode4(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(integers [rows, columns] in -7 .. 7, scales [rows, groups]) nearest to ``weight``, float32
    [rows, columns]; InputError for another rank or dtype, and for numbers that are not finite."""
    require(
        weight.ndim == 2 and weight.dtype == np.float32,
        InputError,
        f"4 bits are made from a float32 matrix, got {weight.dtype} of shape {weight.shape}",
    )
    require(bool(np.isfinite(weight).all()), InputError, "the weight holds NaN or infinity: repair it first")
    groups = in_groups(weight)
    wanted = np.abs(groups).max(axis=2, initial=0) / np.float32(LARGEST)
    scales = _bf16(wanted)
    scales[scales < np.float32(2.0**-126)] = 0
    steps = np.divide(groups, scales[:, :, None], out=np.zeros_like(groups), where=scales[:, :, None] > 0)
    integers = np.clip(np.rint(steps), -LARGEST, LARGEST).astype(np.int8)
    return np.ascontiguousarray(integers.reshape(len(weight), -1)[:, : weight.shape[1]]), scales


def in_groups(matrix: NDArray[Any]) -> NDArray[Any]:
    """[rows, groups, GROUP], the last group filled up with zeros."""
    rows, columns = matrix.shape
    padded = np.pad(matrix, ((0, 0), (0, -columns % GROUP)))
    return padded.reshape(rows, -1, GROUP)


def _bf16(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """The nearest bf16, ties to even, as float32."""
    bits = np.ascontiguousarray(numbers).view(np.uint32)
    rounded = bits + (np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


def check4(integers: NDArray[np.int8], scales: NDArray[np.float32]) -> None:
    """InputError unless ``scales`` are float32 [rows, groups], finite, at least 0 and exact as bf16, and the
    integers are -7 .. 7."""
    wanted = (integers.shape[0], -(-integers.shape[1] // GROUP))
    fit = scales.dtype == np.float32 and scales.shape == wanted
    require(fit, InputError, f"scales are float32 {wanted}, got {scales.dtype} of shape {scales.shape}")
    usable = bool((np.isfinite(scales) & (scales >= 0)).all())
    require(usable, InputError, "a scale is negative, infinite or NaN")
    exact = bool((_bf16(scales) == scales).all())
    require(exact, InputError, "a scale is no bf16: take those of encode4")
    inside = -LARGEST <= int(integers.min()) and int(integers.max()) <= LARGEST
    require(inside, InputError, f"an integer lies beyond -{LARGEST} to {LARGEST}")


def in_places(integers: NDArray[np.int8], lanes: int) -> NDArray[np.int8]:
    """[rows, columns] -> [rows, words x 64]: columns in the order of their places, zeros in between."""
    rows, columns = integers.shape
    blocks = blocks_of(columns, lanes)
    padded = np.pad(integers, ((0, 0), (0, blocks * GROUP * lanes - columns)))
    by_step = padded.reshape(rows, blocks, lanes, GROUP // 4, 4).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(by_step).reshape(rows, -1)


def in_columns(places: NDArray[np.int8], columns: int, lanes: int) -> NDArray[np.int8]:
    """What ``in_places`` was given."""
    rows = len(places)
    by_step = places.reshape(rows, blocks_of(columns, lanes), GROUP // 4, lanes, 4)
    return np.ascontiguousarray(by_step.transpose(0, 1, 3, 2, 4)).reshape(rows, -1)[:, :columns]


def laid_scales(scales: NDArray[np.float32], columns: int, lanes: int, panel: int) -> NDArray[np.uint16]:
    """[rows, groups] -> the bits of bf16 [panel, block, row, lane], zeros where there is no row or group."""
    rows, blocks = len(scales), blocks_of(columns, lanes)
    padded = np.pad(scales, ((0, -rows % panel), (0, blocks * lanes - scales.shape[1])))
    laid = padded.reshape(-1, panel, blocks, lanes).transpose(0, 2, 1, 3)
    return (np.ascontiguousarray(laid).view(np.uint32) >> np.uint32(16)).astype(np.uint16).reshape(-1)


def read_scales(
    laid: NDArray[np.uint16], shape: tuple[int, int], lanes: int, panel: int
) -> NDArray[np.float32]:
    """[rows, groups] again, of a weight of ``shape``; FormatError for a size or scales that cannot be."""
    (rows, columns), blocks = shape, blocks_of(shape[1], lanes)
    wanted = -(-rows // panel) * panel * blocks * lanes
    require(laid.size == wanted, FormatError, f"scales has {laid.size} entries, needs {wanted}")
    numbers = (laid.astype(np.uint32) << np.uint32(16)).view(np.float32)
    require(
        bool((np.isfinite(numbers) & (numbers >= 0)).all()),
        FormatError,
        "a scale is negative, infinite or NaN",
    )
    by_row = numbers.reshape(-1, blocks, panel, lanes).transpose(0, 2, 1, 3).reshape(-1, blocks * lanes)
    return np.ascontiguousarray(by_row[:rows, : -(-columns // GROUP)])


def row_sums(integers: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """16 x the sum of a row's weights, rounded once: what the zero point of x is multiplied with. InputError
    where float32 cannot hold it."""
    of_groups = in_groups(integers).sum(axis=2, dtype=np.int64)
    found = 16 * (of_groups * scales.astype(np.float64)).sum(axis=1)
    fits = bool((np.abs(found) <= float(np.finfo(np.float32).max)).all())
    require(fits, InputError, "a row's weights add up to more than 2e37: too large for 4-bit integers")
    return found.astype(np.float32)


def folded(integers: NDArray[np.int8], counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """``integers`` two in a byte; of each of ``counts`` consecutive ones the first begins a byte."""
    at, half, size = _nibbles(counts)
    out, bits = np.zeros(size, np.uint8), integers.view(np.uint8) & np.uint8(15)
    out[at[~half]] = bits[~half]
    out[at[half]] |= bits[half] << np.uint8(4)
    return out


def unfolded(bytes_: NDArray[np.uint8], counts: NDArray[np.int64]) -> NDArray[np.int8]:
    """The integers again; FormatError for -8, and for a half that is left over and not 0."""
    at, half, size = _nibbles(counts)
    require(bytes_.size == size, FormatError, f"values has {bytes_.size} bytes, needs {size}")
    bits = np.where(half, bytes_[at] >> np.uint8(4), bytes_[at] & np.uint8(15))
    integers = ((bits ^ np.uint8(8)).astype(np.int8) - np.int8(8)).astype(np.int8)
    require(not bool((integers == -8).any()), FormatError, "an integer is -8: symmetric 4 bits end at -7")
    same = bool(np.array_equal(folded(integers, counts), bytes_))
    require(same, FormatError, "a half byte that holds no integer is not 0")
    return integers


def bytes_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes that so many integers take."""
    return (counts + 1) // 2


def _nibbles(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_], int]:
    """(the byte of each integer, whether it is the upper half, how many bytes there are)."""
    ends, firsts = np.cumsum(bytes_of(counts)), np.cumsum(counts) - counts
    within = np.arange(int(counts.sum())) - np.repeat(firsts, counts)
    begin = np.repeat(ends - bytes_of(counts), counts)
    return begin + within // 2, (within & 1).astype(bool), int(ends[-1]) if counts.size else 0
