"""Rows for one to eight columns as steps of entries: sliced ELLPACK with bytes for indices.

A *panel* is 4 x lanes rows, cut into blocks of 256 columns. In each block the panel's rows are sorted by
how many of their columns are stored there, most first, and ``lanes`` neighbours of that order are a *slice*:
one row for each lane. A slice is stored in *steps* of four entries for every lane; a lane whose row has no
more is filled up with zeros of column 0. Sorting keeps the rows of a slice alike, so little is filled up:
1.07, 1.18 and 1.28 entries for a non-zero at 30, 10 and 5 % of random non-zeros and 16 lanes.

A step is 4 x lanes bytes, the columns of its entries in the block, and then their values, v bytes each, as
four vectors' worth of four numbers, by a quarter of the lanes if v is 1. Bytes per weight at density d: about
(1 + v) d, times what was filled up, and 1/256 for the order of the rows.

Lanes that share 16 bytes lie together, so that a kernel which looks up the bytes of its inputs one after the
other, and interleaves them, has numbers in their lanes: entry k of lane l has its column in byte ``place``

    v = 1:  4 l + k          v = 2:  16 (l / 4) + 8 (k / 2) + 2 (l mod 4) + k mod 2
    v = 4:  16 (l / 4) + 4 k + l mod 4

and its value is number k x lanes + l for v = 4, (k / 2) x 2 lanes + 2 l + k mod 2 for v = 2, 4 l + k for
v = 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, require
from aerogel.formats.rows import (
    BLOCK_COLUMNS,
    ELEMENTS_AT_A_TIME,
    ENTRIES,
    PADDING_BYTES,
    SLICES,
    STORED,
    WORD,
    Number,
    PackedRows,
    frozen,
    joined,
    panel_rows,
    rounded_to_bf16,
    step_bytes,
    words_in,
)

# How many bits of a block's word tell the steps of one slice.
STEP_BITS = 16


class Slices(NamedTuple):
    """Some panels, stored. ``entries`` u8: the steps, one after the other; ``steps`` u64 [panel x block]: how
    many each slice has, 16 bits for each; ``ranks`` u8 [panel x block x row]: the place of each row in its
    block's order; ``starts`` [panels + 1]: the first byte of each panel."""

    entries: NDArray[np.uint8]
    steps: NDArray[np.uint64]
    ranks: NDArray[np.uint8]
    starts: NDArray[np.int64]


def slice_rows(stored: NDArray[Any], lanes: int) -> Slices:
    """``stored`` [rows, columns], rows a multiple of 4 x lanes, columns one of 256; what is not 0 is kept."""
    height, itemsize = SLICES * lanes, stored.dtype.itemsize
    panels, blocks = len(stored) // height, stored.shape[1] // BLOCK_COLUMNS
    cut = stored.reshape(panels, height, blocks, BLOCK_COLUMNS).transpose(0, 2, 1, 3)
    panel, block, row, column = np.nonzero(cut)
    counts = np.count_nonzero(cut, axis=3)  # [panel, block, row]
    order = np.argsort(-counts, axis=2, kind="stable")
    ranks = np.argsort(order, axis=2, kind="stable")
    longest = np.take_along_axis(counts, order, axis=2)[:, :, ::lanes]
    steps = -(-longest // ENTRIES)  # [panel, block, slice]
    ends = np.cumsum(steps.reshape(-1)) * step_bytes(lanes, itemsize)
    firsts = np.concatenate((np.zeros(1, np.int64), ends))
    entries = np.zeros(int(firsts[-1]), np.uint8)
    # Non-zeros are in the order of panel, block, row, column: each row's begin where those before it end.
    before = np.cumsum(counts.reshape(-1)) - counts.reshape(-1)
    of_row = (panel * blocks + block) * height + row
    number = np.arange(len(row)) - before[of_row]
    rank = ranks.reshape(-1)[of_row]
    piece = (panel * blocks + block) * SLICES + rank // lanes
    base = firsts[piece] + number // ENTRIES * step_bytes(lanes, itemsize)
    lane, k = rank % lanes, number % ENTRIES
    entries[base + column_place(lane, k, itemsize)] = column
    values = np.ascontiguousarray(cut[panel, block, row, column]).view(np.uint8).reshape(-1, itemsize)
    at = base + ENTRIES * lanes + itemsize * value_place(lane, k, itemsize, lanes)
    for byte in range(itemsize):
        entries[at + byte] = values[:, byte]
    shifts = np.arange(SLICES, dtype=np.uint64) * np.uint64(STEP_BITS)
    words = (steps.astype(np.uint64) << shifts).sum(axis=2, dtype=np.uint64)
    return Slices(entries, words.reshape(-1), ranks.astype(np.uint8).reshape(-1), firsts[:: blocks * SLICES])


def unslice(found: Slices, rows: int, columns: int, lanes: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """[rows, columns] again, both as ``slice_rows`` takes them. FormatError if the parts do not fit."""
    height, blocks = SLICES * lanes, columns // BLOCK_COLUMNS
    panels, itemsize = rows // height, dtype.itemsize
    _expect("masks", found.steps.size, panels * blocks)
    _expect("mask_bytes", found.ranks.size, panels * blocks * height)
    shifts = np.arange(SLICES, dtype=np.uint64) * np.uint64(STEP_BITS)
    steps = (found.steps[:, None] >> shifts & np.uint64((1 << STEP_BITS) - 1)).astype(np.int64)
    ends = np.cumsum(steps.reshape(-1)) * step_bytes(lanes, itemsize)
    firsts = np.concatenate((np.zeros(1, np.int64), ends))
    _expect("values", found.entries.size, int(firsts[-1]))
    right = np.array_equal(found.starts, firsts[:: blocks * SLICES])
    require(right, FormatError, "a panel does not start where the one before it ends")
    ranks = found.ranks.reshape(-1, height)
    sorted_ = np.array_equal(np.sort(ranks, axis=1), np.broadcast_to(np.arange(height), ranks.shape))
    require(sorted_, FormatError, "the rows of a block are not in an order")
    order = np.argsort(ranks, axis=1)
    many = steps.reshape(-1)
    piece = np.repeat(np.arange(len(many)), many)  # of every step
    base = (np.arange(len(piece)) * step_bytes(lanes, itemsize))[:, None, None]
    lane, k = (part[None] for part in np.meshgrid(np.arange(lanes), np.arange(ENTRIES), indexing="ij"))
    column = found.entries[base + column_place(lane, k, itemsize)]
    at = base + ENTRIES * lanes + itemsize * value_place(lane, k, itemsize, lanes)
    bytes_ = np.stack([found.entries[at + byte] for byte in range(itemsize)], axis=-1)
    value = np.ascontiguousarray(bytes_).view(dtype)[..., 0]
    block_of, slice_of = piece // SLICES, piece % SLICES
    row = order[block_of[:, None], slice_of[:, None] * lanes + np.arange(lanes)][:, :, None]
    out = np.zeros((panels, blocks, height, BLOCK_COLUMNS), dtype)
    panel, block = (part[:, None, None] for part in np.divmod(block_of, max(blocks, 1)))
    kept = value != 0
    where = (np.broadcast_to(part, value.shape)[kept] for part in (panel, block, row, column))
    out[tuple(where)] = value[kept]
    return out.transpose(0, 2, 1, 3).reshape(rows, columns)


def column_place(lane: Any, k: Any, itemsize: int) -> Any:
    """In which byte of a step the column of entry ``k`` of ``lane`` is."""
    match itemsize:
        case 1:
            return ENTRIES * lane + k
        case 2:
            return lane // 4 * 16 + k // 2 * 8 + lane % 4 * 2 + k % 2
        case _:
            return lane // 4 * 16 + k * 4 + lane % 4


def value_place(lane: Any, k: Any, itemsize: int, lanes: int) -> Any:
    """Which of a step's values is that of entry ``k`` of ``lane``."""
    together = ENTRIES // itemsize  # entries that one vector has of a lane
    return k // together * (together * lanes) + lane * together + k % together


def _expect(name: str, found: int, wanted: int) -> None:
    require(found == wanted, FormatError, f"{name} has {found} entries, needs {wanted}")


# --- whole weights ------------------------------------------------------------------------


def pack_sliced(
    matrix: NDArray[Any], number: Number, lanes: int, of_rows: tuple[NDArray[Any], NDArray[Any]]
) -> PackedRows:
    """``matrix`` [rows, columns], of what ``number`` is stored as or, for bf16, is rounded from; ``of_rows``:
    scales and sums. Some panels at a time."""
    columns = matrix.shape[1]
    width = words_in(number, "sliced", columns, lanes) * WORD
    height = panel_rows("sliced", lanes)
    step = max(1, ELEMENTS_AT_A_TIME // (height * width)) * height
    parts: list[Slices] = []
    nonzeros = 0
    for at in range(0, len(matrix), step):
        some = matrix[at : at + step]
        if number == "bf16":
            some = rounded_to_bf16(some)
        nonzeros += int(np.count_nonzero(some))
        parts.append(slice_rows(np.pad(some, ((0, -len(some) % height), (0, width - columns))), lanes))
    sizes = np.concatenate([np.diff(part.starts) for part in parts])
    starts = np.zeros((len(sizes) + 1, 2), np.int64)
    np.cumsum(sizes, out=starts[1:, 0])
    of_order = width // BLOCK_COLUMNS * (height + 8)
    streams = (
        joined([part.entries for part in parts], "uint8", PADDING_BYTES),
        joined([part.steps for part in parts], "uint64"),
        joined([part.ranks for part in parts], "uint8"),
        starts,
        starts[:, 0] + np.arange(len(starts)) * of_order,
    )
    return frozen(number, "sliced", lanes, (len(matrix), columns, nonzeros), (*streams, *of_rows))


def unpack_sliced(packed: PackedRows) -> NDArray[Any]:
    """What is stored, in whole panels and blocks. FormatError if the streams do not fit each other."""
    entries = packed.values[: len(packed.values) - PADDING_BYTES]
    found = Slices(entries, packed.masks, packed.mask_bytes, packed.starts[:, 0])
    rows = packed.panels * panel_rows(packed.form, packed.lanes)
    return unslice(found, rows, packed.words * WORD, packed.lanes, np.dtype(STORED[packed.number]))
