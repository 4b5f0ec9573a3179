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
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, InputError, require
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
)
from aerogel.formats.rows import (
    BLOCK,
    ELEMENTS_AT_A_TIME,
    LANES,
    MAX_COLUMNS,
    PADDING_BYTES,
    PANEL,
    STORED,
    WORD,
    Form,
    Number,
    PackedRows,
    forms_of,
    frozen,
    joined,
    rounded_to_bf16,
    words_in,
)
from aerogel.formats.sliced import pack_sliced, unpack_sliced


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
        return pack_sliced(matrix, number, lanes, of_rows)
    rows, columns = matrix.shape
    panels, words = -(-rows // PANEL), words_in(number, form, columns, lanes)
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
        joined(values, STORED[number], PADDING_BYTES // itemsize),
        joined(masks, "uint64"),
        joined(mask_bytes, "uint8", PADDING_BYTES if form == "nested" else 0),
        starts,
        work,
    )
    return frozen(number, form, lanes, (rows, columns, nonzeros), (*streams, *of_rows))


def _parts(matrix: NDArray[Any], number: Number, lanes: int) -> Iterator[NDArray[Any]]:
    """The matrix as stored numbers [panels, words, PANEL, WORD], some panels at a time."""
    rows, columns = matrix.shape
    words = words_in(number, "dense", columns, lanes)
    step = max(1, ELEMENTS_AT_A_TIME // (PANEL * WORD * words)) * PANEL
    order = _order(number, lanes)
    for at in range(0, rows, step):
        some = matrix[at : at + step]
        if number == "bf16":
            some = rounded_to_bf16(some)
        elif number == "int4":
            some = in_places(some, lanes)
        missing = -len(some) % PANEL
        if missing or some.shape[1] % WORD:
            some = np.pad(some, ((0, missing), (0, words * WORD - some.shape[1])))
        part = some.reshape(-1, PANEL, words, WORD).transpose(0, 2, 1, 3)
        yield np.ascontiguousarray(part if order is None else part[..., order])


def _order(number: Number, lanes: int) -> NDArray[np.intp] | None:
    """Which column of a word is stored at each place; None where they keep their order."""
    if number != "bf16":
        return None
    return np.arange(WORD).reshape(-1, 2, lanes).transpose(0, 2, 1).reshape(-1)


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


# --- back again -----------------------------------------------------------------------------


def unpack(packed: PackedRows) -> NDArray[np.float32]:
    """The matrix [rows, columns] again, as float32 of what is stored (integers times their scale).

    FormatError if the streams do not fit each other.
    """
    if packed.form == "sliced":
        return _numbers(packed, unpack_sliced(packed))
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
