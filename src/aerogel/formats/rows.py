"""Packed weights of a layer for one to eight columns, whatever the form of its rows: see ``bitmap`` for
bitmaps and dense rows, ``sliced`` for sliced ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from aerogel.core.memory import aligned
from aerogel.formats.nibbles import words_of

# Sliced rows: columns of a block, as many as a byte can name; slices of a panel, entries of a lane in a step.
BLOCK_COLUMNS = 256
SLICES, ENTRIES = 4, 4

Number = Literal["fp32", "bf16", "int8", "int4"]
Form = Literal["dense", "bitmap", "nested", "sliced"]

PANEL = 4
WORD = 64
# Words whose masks one summary describes.
BLOCK = 8
# A row's sum of products with unsigned bytes must fit 32 bits: 127 x 255 x 65,536 does.
MAX_COLUMNS = 1 << 16
LANES = (4, 8, 16)
# A kernel reads a whole vector from any value on.
PADDING_BYTES = 64

STORED: dict[Number, str] = {"fp32": "float32", "bf16": "uint16", "int8": "int8", "int4": "uint8"}
# What is packed at a time: its copies should not fill the memory.
ELEMENTS_AT_A_TIME = 1 << 22
# The bits of 2^-56. Weights and activations as bf16 are 0 below it, or at least this large: then every
# product, and every sum of products, is a multiple of 2^-126. So none is subnormal, and CPUs whose dot
# product of bf16 flushes what is give the same bits as those that multiply in float32.
SMALLEST_BF16 = (127 - 56) << 7


@dataclass(frozen=True)
class PackedRows:
    """A packed matrix; every array is 1-D (``starts`` 2-D), contiguous, aligned and read-only.

    ``values``: ``stored_dtype``, PADDING_BYTES of zeros at the end. ``masks`` u64: [panel, word, row] of a
    bitmap, summaries [panel, block of words, row] if nested, else empty. ``mask_bytes`` u8: the masks' bytes
    that are not 0, [panel, block, row, word, byte], padded like ``values``; only if nested. If sliced, values
    are bytes, the steps; masks their numbers, [panel, block], and mask_bytes the ranks. ``starts`` i64
    [panels + 1, 2]: where each panel begins in values and in mask_bytes. ``work`` i64 [panels + 1]: bytes
    streamed before each panel, by which threads share the rows. ``scales`` f32 and ``sums`` i32, a row each:
    what an integer stands for, and the sum of the row's integers (1 and 0 for floats). Of int4 ``scales`` are
    the bits of bf16, u16 [panel, block of 32 x lanes columns, row, lane], and ``sums`` f32 16 x the sum of
    the row's weights.
    """

    number: Number
    form: Form
    lanes: int
    rows: int
    columns: int
    nonzeros: int
    values: NDArray[Any]
    masks: NDArray[np.uint64]
    mask_bytes: NDArray[np.uint8]
    starts: NDArray[np.int64]
    work: NDArray[np.int64]
    scales: NDArray[Any]
    sums: NDArray[Any]

    @property
    def panels(self) -> int:
        return -(-self.rows // panel_rows(self.form, self.lanes))

    @property
    def words(self) -> int:
        return words_in(self.number, self.form, self.columns, self.lanes)

    @property
    def blocks(self) -> int:
        return -(-self.words // BLOCK)

    @property
    def multiplied(self) -> int:
        """Weights that meet an activation, zeros that the kernel does not skip among them."""
        if self.form != "sliced":
            return self.panels * PANEL * self.words * WORD
        return self._steps * ENTRIES * self.lanes

    def loads(self, columns: int) -> int:
        """Vectors that a kernel loads, of weights and of inputs."""
        vectors = self.x_vectors
        if self.form != "sliced":
            # The inputs of every column once for the rows of a panel.
            return vectors * (PANEL + columns)
        return columns * (vectors + (self.values.nbytes - PADDING_BYTES) // (4 * self.lanes))

    @property
    def x_vectors(self) -> int:
        """Vectors of inputs that a kernel loads for each column."""
        bits = 8 * np.dtype(STORED[self.number]).itemsize
        return self.panels * self.words * (WORD * bits // (32 * self.lanes))

    @property
    def _steps(self) -> int:
        size = step_bytes(self.lanes, np.dtype(STORED[self.number]).itemsize)
        return (self.values.nbytes - PADDING_BYTES) // size

    @property
    def streams(self) -> tuple[NDArray[Any], ...]:
        """The arrays, in the order in which the kernels take them."""
        starts = self.starts.reshape(-1)
        return (self.values, self.masks, self.mask_bytes, starts, self.work, self.scales, self.sums)

    @property
    def nbytes(self) -> int:
        """Bytes a kernel streams."""
        return sum(array.nbytes for array in self.streams)


def step_bytes(lanes: int, itemsize: int) -> int:
    """Of columns and values."""
    return ENTRIES * lanes * (1 + itemsize)


def forms_of(number: Number) -> tuple[Form, ...]:
    """How rows of such numbers can be stored; dense is first."""
    forms: tuple[Form, ...] = get_args(Form)
    return tuple(form for form in forms if (number, form) != ("int4", "sliced"))


def panel_rows(form: Form, lanes: int) -> int:
    """Rows that are stored together."""
    return SLICES * lanes if form == "sliced" else PANEL


def stored_dtype(number: Number, form: Form) -> str:
    """What values are: of sliced rows, bytes of columns and values."""
    return "uint8" if form == "sliced" else STORED[number]


def words_in(number: Number, form: Form, columns: int, lanes: int) -> int:
    """Words of 64 columns that a row is filled up to."""
    if form == "sliced":
        return -(-columns // BLOCK_COLUMNS) * (BLOCK_COLUMNS // WORD)
    return words_of(columns, lanes) if number == "int4" else -(-columns // WORD)


def rounded_to_bf16(weight: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of the nearest bf16, ties to even; 0 below SMALLEST_BF16."""
    bits = np.ascontiguousarray(weight).view(np.uint32)
    found = ((bits + (np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)))) >> np.uint32(16)).astype(
        np.uint16
    )
    found[found & 0x7FFF < SMALLEST_BF16] = 0
    return found


def joined(parts: list[NDArray[Any]], dtype: str, padding: int = 0) -> NDArray[Any]:
    """One aligned array of all parts, with zeros behind."""
    out = aligned(sum(part.size for part in parts) + padding, dtype)
    at = 0
    for part in parts:
        out[at : at + part.size] = part.reshape(-1)
        at += part.size
    return out


def frozen(
    number: Number, form: Form, lanes: int, sizes: tuple[int, int, int], arrays: tuple[NDArray[Any], ...]
) -> PackedRows:
    """The packing of these streams, of which scales and sums are the caller's."""
    kept = (*arrays[:-2], *(array.copy() for array in arrays[-2:]))
    for array in kept:
        array.setflags(write=False)
    return PackedRows(number, form, lanes, *sizes, *kept)
