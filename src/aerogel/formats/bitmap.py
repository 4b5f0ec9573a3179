"""Packed weights of a linear layer for one to eight columns: rows as a bitmap and the non-zeros.

A row is cut into *words* of 64 columns; four rows, a *panel*, are stored word by word side by side, so that a
kernel walks one stream of masks and one of values, and knows the offsets of four rows at once. A matrix whose
rows are no multiple of four is filled up with empty rows, columns that are no multiple of 64 with zeros.

Forms, in bytes per weight at density d, v bytes a value:

- ``bitmap``: a 64-bit mask per word, least significant bit first; then the non-zeros. v d + 1/8.
- ``nested``: the mask of a word is itself kept as a bitmap: of its 8 bytes only those that are not 0, and for
  eight words of a row one 64-bit *summary*, bit 8 i + b for byte b of word i. v d + (9 - 8 (1 - d)^8) / 64:
  less than ``bitmap`` below 23 % density, and decoded without a branch, eight words at once. (4-bit steps to
  the next non-zero take less still, 0.163 against 0.187 at 10 % and int8, but must be summed one after the
  other before anything can be multiplied.)
- ``sliced``: no bitmap, but the columns of the non-zeros, a byte each, rows sorted by their length (see
  ``sliced``; not for int4). About 1.2 (1 + v) d where 10 % are left: no less than a bitmap for int8, but
  only what is stored is multiplied, instead of whole words.
- ``dense``: every number, v. The control.

Numbers: ``fp32``; ``bf16``, rounded to nearest even, 0 below 2^-56; ``int8``, integers with a float32 scale
per row; ``int4``, two integers in a byte with a scale for every 32 columns (see ``nibbles``: v is 1/2, to
which 1/16 comes for the scales).
For bf16, a group of 2 x ``lanes`` columns is stored in the order 0, lanes, 1, lanes + 1 ...: so the even
halves of a register of 32-bit words are ``lanes`` consecutive columns, and so are the odd ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, InputError, require
from aerogel.core.memory import aligned
from aerogel.formats.nibbles import (
    GROUP,
    bytes_of,
    check4,
    folded,
    in_columns,
    in_places,
    laid_scales,
    read_scales,
    row_sums,
    unfolded,
    words_of,
)
from aerogel.formats.sliced import BLOCK_COLUMNS, SLICES, Slices, slice_rows, step_bytes, unslice

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
_ELEMENTS_AT_A_TIME = 1 << 22
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
        return _words(self.number, self.form, self.columns, self.lanes)

    @property
    def blocks(self) -> int:
        return -(-self.words // BLOCK)

    @property
    def multiplied(self) -> int:
        """Weights that meet an activation, zeros that the kernel does not skip among them."""
        if self.form != "sliced":
            return self.panels * PANEL * self.words * WORD
        return self._steps * SLICES * self.lanes

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


def pack(weight: NDArray[np.float32], number: Literal["fp32", "bf16"], form: Form, lanes: int) -> PackedRows:
    """Pack ``weight`` [rows, columns] float32; -0.0 counts as zero.

    ``lanes``: 32-bit numbers in a vector of the target (4, 8 or 16). InputError for another rank or dtype,
    an empty matrix, more than 65,536 columns, and numbers that are not finite or not so as bf16.
    """
    require(number in ("fp32", "bf16"), InputError, f"pack stores fp32 or bf16, not {number!r}")
    _check(weight, np.float32, form, lanes)
    require(bool(np.isfinite(weight).all()), InputError, "the weight holds NaN or infinity: repair it first")
    if number == "bf16":
        largest = np.float32(_FINITE_BF16)
        fits = bool((np.abs(weight) < largest).all())
        require(fits, InputError, f"a weight is too large for bf16: keep all below {largest:.5g}")
    rows = weight.shape[0]
    return _pack(weight, number, form, lanes, (np.ones(rows, np.float32), np.zeros(rows, np.int32)))


def pack_integers(
    integers: NDArray[np.int8], scales: NDArray[np.float32], form: Form, lanes: int
) -> PackedRows:
    """Pack ``integers`` [rows, columns] int8 whose row r stands for ``scales[r]`` x integers.

    Otherwise like ``pack``. InputError for scales that are not float32 [rows], finite and at least 0, and
    for -128, which has no counterpart.
    """
    _check(integers, np.int8, form, lanes)
    rows = integers.shape[0]
    fit = scales.dtype == np.float32 and scales.shape == (rows,)
    require(fit, InputError, f"scales are float32 [{rows}], got {scales.dtype} of shape {scales.shape}")
    usable = bool((np.isfinite(scales) & (scales >= 0)).all())
    require(usable, InputError, "a scale is negative, infinite or NaN")
    require(int(integers.min()) > -128, InputError, "an integer is -128: symmetric int8 ends at -127")
    return _pack(integers, "int8", form, lanes, (scales, integers.sum(axis=1, dtype=np.int32)))


def pack_nibbles(
    integers: NDArray[np.int8], scales: NDArray[np.float32], form: Form, lanes: int
) -> PackedRows:
    """Pack ``integers`` [rows, columns] int8 in -7 .. 7, of which 32 consecutive columns of a row stand for
    ``scales`` [rows, groups] x integers, as ``nibbles.encode4`` makes them.

    Otherwise like ``pack``. InputError for integers and scales that do not fit.
    """
    _check(integers, np.int8, form, lanes)
    require(form in forms_of("int4"), InputError, f"int4 is not stored {form}: give bitmap or nested")
    check4(integers, scales)
    laid = laid_scales(scales, integers.shape[1], lanes, PANEL)
    return _pack(integers, "int4", form, lanes, (laid, row_sums(integers, scales)))


# The smallest float32 that rounds to an infinite bf16.
_FINITE_BF16 = np.array(0x7F7F8000, np.uint32).view(np.float32)


def _check(matrix: NDArray[Any], dtype: type[np.generic], form: Form, lanes: int) -> None:
    require(form in get_args(Form), InputError, f"form {form!r} is unknown: {', '.join(get_args(Form))}")
    require(lanes in LANES, InputError, f"a vector has {lanes} lanes: give one of {LANES}")
    wanted = np.dtype(dtype)
    require(
        matrix.ndim == 2 and matrix.dtype == wanted,
        InputError,
        f"rows are packed from a {wanted} matrix, got {matrix.dtype} of shape {matrix.shape}",
    )
    require(matrix.size > 0, InputError, f"cannot pack an empty weight of shape {matrix.shape}")
    columns = matrix.shape[1]
    fits = columns <= MAX_COLUMNS
    require(fits, InputError, f"a weight has {columns} columns: at most {MAX_COLUMNS} can be packed")


def _pack(
    matrix: NDArray[Any],
    number: Number,
    form: Form,
    lanes: int,
    of_rows: tuple[NDArray[Any], NDArray[Any]],
) -> PackedRows:
    if form == "sliced":
        return _pack_sliced(matrix, number, lanes, of_rows)
    rows, columns = matrix.shape
    panels, words = -(-rows // PANEL), _words(number, form, columns, lanes)
    values: list[NDArray[Any]] = []
    masks: list[NDArray[np.uint64]] = []
    mask_bytes: list[NDArray[np.uint8]] = []
    counts = np.zeros((panels, 2), np.int64)
    nonzeros, done = 0, 0
    for part in _parts(matrix, number, lanes):
        live = part != 0
        nonzeros += int(np.count_nonzero(live))
        here = slice(done, done + len(part))
        done += len(part)
        kept = np.ones_like(live) if form == "dense" else live
        of_words = kept.sum(axis=3)
        stored = part[kept]
        values.append(folded(stored, of_words.reshape(-1)) if number == "int4" else stored)
        counts[here, 0] = (bytes_of(of_words) if number == "int4" else of_words).sum(axis=(1, 2))
        if form != "dense":
            found, bytes_, counts[here, 1] = _masks(live, form)
            masks.append(found)
            mask_bytes.append(bytes_)
    starts = np.zeros((panels + 1, 2), np.int64)
    np.cumsum(counts, axis=0, out=starts[1:])
    itemsize = np.dtype(STORED[number]).itemsize
    of_masks = {"dense": 0, "bitmap": words, "nested": -(-words // BLOCK)}[form] * PANEL * 8
    # An empty panel is work too: its rows are still written.
    work = starts[:, 0] * itemsize + starts[:, 1] + np.arange(panels + 1) * (of_masks + 1)
    streams = (
        _joined(values, STORED[number], PADDING_BYTES // itemsize),
        _joined(masks, "uint64"),
        _joined(mask_bytes, "uint8", PADDING_BYTES if form == "nested" else 0),
        starts,
        work,
    )
    return _frozen(number, form, lanes, (rows, columns, nonzeros), (*streams, *of_rows))


def _pack_sliced(
    matrix: NDArray[Any], number: Number, lanes: int, of_rows: tuple[NDArray[Any], NDArray[Any]]
) -> PackedRows:
    columns = matrix.shape[1]
    width = _words(number, "sliced", columns, lanes) * WORD
    height = panel_rows("sliced", lanes)
    step = max(1, _ELEMENTS_AT_A_TIME // (height * width)) * height
    parts: list[Slices] = []
    nonzeros = 0
    for at in range(0, len(matrix), step):
        some = matrix[at : at + step]
        if number == "bf16":
            some = _rounded(some)
        nonzeros += int(np.count_nonzero(some))
        parts.append(slice_rows(np.pad(some, ((0, -len(some) % height), (0, width - columns))), lanes))
    sizes = np.concatenate([np.diff(part.starts) for part in parts])
    starts = np.zeros((len(sizes) + 1, 2), np.int64)
    np.cumsum(sizes, out=starts[1:, 0])
    of_order = width // BLOCK_COLUMNS * (height + 8)
    streams = (
        _joined([part.entries for part in parts], "uint8", PADDING_BYTES),
        _joined([part.steps for part in parts], "uint64"),
        _joined([part.ranks for part in parts], "uint8"),
        starts,
        starts[:, 0] + np.arange(len(starts)) * of_order,
    )
    return _frozen(number, "sliced", lanes, (len(matrix), columns, nonzeros), (*streams, *of_rows))


def _frozen(
    number: Number, form: Form, lanes: int, sizes: tuple[int, int, int], arrays: tuple[NDArray[Any], ...]
) -> PackedRows:
    """The packing of these streams, of which scales and sums are the caller's."""
    kept = (*arrays[:-2], *(array.copy() for array in arrays[-2:]))
    for array in kept:
        array.setflags(write=False)
    return PackedRows(number, form, lanes, *sizes, *kept)


def _parts(matrix: NDArray[Any], number: Number, lanes: int) -> Iterator[NDArray[Any]]:
    """The matrix as stored numbers [panels, words, PANEL, WORD], some panels at a time."""
    rows, columns = matrix.shape
    words = _words(number, "dense", columns, lanes)
    step = max(1, _ELEMENTS_AT_A_TIME // (PANEL * WORD * words)) * PANEL
    order = _order(number, lanes)
    for at in range(0, rows, step):
        some = matrix[at : at + step]
        if number == "bf16":
            some = _rounded(some)
        elif number == "int4":
            some = in_places(some, lanes)
        missing = -len(some) % PANEL
        if missing or some.shape[1] % WORD:
            some = np.pad(some, ((0, missing), (0, words * WORD - some.shape[1])))
        part = some.reshape(-1, PANEL, words, WORD).transpose(0, 2, 1, 3)
        yield np.ascontiguousarray(part if order is None else part[..., order])


def _words(number: Number, form: Form, columns: int, lanes: int) -> int:
    if form == "sliced":
        return -(-columns // BLOCK_COLUMNS) * (BLOCK_COLUMNS // WORD)
    return words_of(columns, lanes) if number == "int4" else -(-columns // WORD)


def _order(number: Number, lanes: int) -> NDArray[np.intp] | None:
    """Which column of a word is stored at each place; None where they keep their order."""
    if number != "bf16":
        return None
    return np.arange(WORD).reshape(-1, 2, lanes).transpose(0, 2, 1).reshape(-1)


def _rounded(weight: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of the nearest bf16, ties to even; 0 below SMALLEST_BF16."""
    bits = np.ascontiguousarray(weight).view(np.uint32)
    found = ((bits + (np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)))) >> np.uint32(16)).astype(
        np.uint16
    )
    found[found & 0x7FFF < SMALLEST_BF16] = 0
    return found


def _masks(
    live: NDArray[np.bool_], form: Form
) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.int64]]:
    """(masks or summaries, the masks' bytes that are not 0, how many of them in each panel)."""
    panels, words = live.shape[:2]
    bytes_ = np.packbits(live, axis=-1, bitorder="little")  # [panel, word, row, 8]
    if form == "bitmap":
        return bytes_.reshape(-1).view("<u8"), np.zeros(0, np.uint8), np.zeros(panels, np.int64)
    missing = -words % BLOCK
    if missing:
        bytes_ = np.pad(bytes_, ((0, 0), (0, missing), (0, 0), (0, 0)))
    in_blocks = bytes_.reshape(panels, -1, BLOCK, PANEL, 8).transpose(0, 1, 3, 2, 4)
    used = np.ascontiguousarray(in_blocks) != 0
    summaries = np.packbits(used.reshape(-1, WORD), axis=-1, bitorder="little").reshape(-1).view("<u8")
    return summaries, in_blocks[used], used.sum(axis=(1, 2, 3, 4), dtype=np.int64)


def _joined(parts: list[NDArray[Any]], dtype: str, padding: int = 0) -> NDArray[Any]:
    """One aligned array of all parts, with zeros behind."""
    out = aligned(sum(part.size for part in parts) + padding, dtype)
    at = 0
    for part in parts:
        out[at : at + part.size] = part.reshape(-1)
        at += part.size
    return out


# --- back again -----------------------------------------------------------------------------


def unpack(packed: PackedRows) -> NDArray[np.float32]:
    """The matrix [rows, columns] again, as float32 of what is stored (integers times their scale).

    FormatError if the streams do not fit each other.
    """
    if packed.form == "sliced":
        return _numbers(packed, _unsliced(packed))
    panels, words = packed.panels, packed.words
    live = _live(packed)
    itemsize = np.dtype(STORED[packed.number]).itemsize
    of_words = live.sum(axis=3)
    if packed.number == "int4":
        of_words = bytes_of(of_words)
    wanted = int(of_words.sum()) + PADDING_BYTES // itemsize
    _expect("values", packed.values.size, wanted)
    counts = of_words.sum(axis=(1, 2))
    require(
        packed.starts.shape == (panels + 1, 2)
        and packed.starts[0, 0] == 0
        and bool((np.diff(packed.starts[:, 0]) == counts).all()),
        FormatError,
        "a panel does not start where the one before it ends",
    )
    found: NDArray[Any] = packed.values[: wanted - PADDING_BYTES // itemsize]
    if packed.number == "int4":
        found = unfolded(found, live.sum(axis=3).reshape(-1))
    out = np.zeros(live.shape, found.dtype)
    out[live] = found
    order = _order(packed.number, packed.lanes)
    if order is not None:
        out[..., order] = out.copy()
    stored: NDArray[Any] = out.transpose(0, 2, 1, 3).reshape(panels * PANEL, words * WORD)
    if packed.number == "int4":
        return _of_groups(packed, in_columns(stored[: packed.rows], packed.columns, packed.lanes))
    return _numbers(packed, stored)


def _numbers(packed: PackedRows, stored: NDArray[Any]) -> NDArray[np.float32]:
    """What is stored in whole panels and words, as float32 [rows, columns]."""
    stored = np.ascontiguousarray(stored[: packed.rows, : packed.columns])
    match packed.number:
        case "bf16":
            return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
        case "int8":
            return stored.astype(np.float32) * packed.scales[:, None]
        case _:
            return stored


def _unsliced(packed: PackedRows) -> NDArray[Any]:
    entries = packed.values[: len(packed.values) - PADDING_BYTES]
    found = Slices(entries, packed.masks, packed.mask_bytes, packed.starts[:, 0])
    rows = packed.panels * panel_rows(packed.form, packed.lanes)
    return unslice(found, rows, packed.words * WORD, packed.lanes, np.dtype(STORED[packed.number]))


def _of_groups(packed: PackedRows, integers: NDArray[np.int8]) -> NDArray[np.float32]:
    """int4: integers times their groups' scales."""
    scales = read_scales(packed.scales, integers.shape, packed.lanes, PANEL)
    same = bool(np.array_equal(packed.sums, row_sums(integers, scales)))
    require(same, FormatError, "sums are not those of the rows")
    return integers * np.repeat(scales, GROUP, axis=1)[:, : packed.columns]


def _live(packed: PackedRows) -> NDArray[np.bool_]:
    """Which numbers are stored: [panels, words, PANEL, WORD]."""
    panels, words, blocks = packed.panels, packed.words, packed.blocks
    shape = (panels, words, PANEL, WORD)
    match packed.form:
        case "dense":
            return np.ones(shape, bool)
        case "bitmap":
            _expect("masks", packed.masks.size, panels * words * PANEL)
            bits = packed.masks.astype("<u8").view(np.uint8)
            return np.unpackbits(bits, bitorder="little").view(bool).reshape(shape)
        case _:
            _expect("masks", packed.masks.size, panels * blocks * PANEL)
            used = np.unpackbits(packed.masks.astype("<u8").view(np.uint8), bitorder="little").view(bool)
            _expect("mask_bytes", packed.mask_bytes.size, int(np.count_nonzero(used)) + PADDING_BYTES)
            bytes_ = np.zeros(used.size, np.uint8)
            bytes_[used] = packed.mask_bytes[:-PADDING_BYTES]
            in_blocks = bytes_.reshape(panels, blocks, PANEL, BLOCK, 8).transpose(0, 1, 3, 2, 4)
            in_words = np.ascontiguousarray(in_blocks.reshape(panels, blocks * BLOCK, PANEL, 8)[:, :words])
            return np.unpackbits(in_words, bitorder="little").view(bool).reshape(shape)


def _expect(name: str, found: int, wanted: int) -> None:
    require(found == wanted, FormatError, f"{name} has {found} entries, needs {wanted}")
