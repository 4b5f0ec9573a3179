"""Coordinates and values, in any order, to a storage of any format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.assemble import Wanted, assemble
from aerogel.convert.buckets import is_unique, rows_of, suits
from aerogel.convert.chunks import thread_count
from aerogel.convert.entries import Columns, Entries
from aerogel.convert.folding import DUPLICATES, Duplicates
from aerogel.convert.sort import sort
from aerogel.convert.survey import Survey, survey
from aerogel.core.dtypes import DType
from aerogel.core.errors import FormatError, InputError, require
from aerogel.core.scratch import Scratch
from aerogel.core.suggest import unknown
from aerogel.formats.storage import INDICES, MOST_INDEX, VALUES, Fill, Storage, check_shape, index_type
from aerogel.formats.tensor_format import Format

_NAME = "the tensor"


def pack(  # noqa: PLR0913 (keywords, each a choice of its own)
    coords: Sequence[NDArray[Any]],
    values: NDArray[Any],
    shape: Sequence[int],
    format: Format,  # noqa: A002 (the word of the public face)
    *,
    duplicates: Duplicates = "add",
    fill: Fill = 0,
    index: DType | None = None,
    threads: int | None = None,
) -> Storage:
    """The storage of ``values`` at ``coords``: one 1-D integer array per mode, in any order.

    Entries that share their coordinates are folded in the order in which they come. Explicit zeros are kept.
    ``index``: the type of positions and coordinates; None: int32 where every extent and the number of entries
    fit. InputError for arrays that do not fit each other and coordinates out of range, FormatError for a
    format that does not fit the shape, UnsupportedError where memory is short. Arrays must not change
    meanwhile.
    """
    shape = tuple(int(size) for size in shape)
    check_fit(format, shape)
    if duplicates not in DUPLICATES:
        raise InputError(unknown("duplicates", duplicates, DUPLICATES))
    modes, values = _arrays(coords, values, shape)
    wanted = Wanted(format, shape, fill_of(fill, values.dtype), _index(index, shape, len(values)))
    pieces = thread_count(len(values), threads)
    if not modes:
        # A number: all entries fall together.
        seen = Survey((), (), 0, unique=len(values) < 2)
        return pack_surveyed(wanted, Columns((), values), seen, duplicates, pieces)
    seen = survey(modes, pieces)
    _check_range(seen, modes, shape)
    columns = by_level(modes, format)
    if format.block or format.order != tuple(range(len(shape))):
        seen = survey(columns, pieces)
    return pack_surveyed(wanted, Columns(columns, values), seen, duplicates, pieces)


def pack_surveyed(
    wanted: Wanted,
    given: Columns,
    seen: Survey,
    duplicates: Duplicates,
    pieces: int,
) -> Storage:
    """The storage of entries in any order, of which ``seen`` is the survey."""
    sizes = wanted.format.level_sizes(wanted.shape)
    if suits(wanted.format, sizes, len(given.values)):
        if seen.sorted_from:
            return _by_rows(wanted, given, sizes, duplicates, pieces)
        if seen.unique:
            return _rows_there(wanted, given, sizes[0])
    entries: Entries = given
    with Scratch() as scratch:
        if seen.sorted_from and not (wanted.format.dense and seen.unique):
            entries = sort(given, seen.most, seen.sorted_from, wanted.index, pieces, scratch)
        return assemble(wanted, entries, duplicates, unique=seen.unique, threads=pieces)


def _by_rows(
    wanted: Wanted, given: Columns, sizes: Sequence[int], duplicates: Duplicates, pieces: int
) -> Storage:
    """A CSR or CSC of unsorted entries."""
    pos, crd, values = rows_of(given.columns, given.values, sizes, wanted.index, pieces)
    if is_unique(pos, crd):
        return Storage(wanted.format, wanted.shape, ((), (pos, crd)), values, wanted.fill, wanted.index)
    rows = np.repeat(np.arange(sizes[0], dtype=crd.dtype), np.diff(pos))
    return assemble(wanted, Columns((rows, crd), values, kept=True), duplicates, unique=False, threads=pieces)


def _rows_there(wanted: Wanted, given: Columns, rows: int) -> Storage:
    """A CSR or CSC of entries that are in order already: only where each row begins is to be found."""
    kind = wanted.index.numpy()
    pos = np.zeros(rows + 1, kind)
    np.cumsum(np.bincount(given.columns[0], minlength=rows), out=pos[1:])
    copy = None if given.kept else True
    crd, values = np.array(given.columns[1], kind, copy=copy), np.array(given.values, copy=copy)
    return Storage(wanted.format, wanted.shape, ((), (pos, crd)), values, wanted.fill, wanted.index)


def check_fit(form: Format, shape: tuple[int, ...]) -> None:
    """FormatError unless a tensor of ``shape`` can have format ``form``."""
    check_shape(shape, _NAME)
    if form.rank != len(shape):
        raise FormatError(
            f"format {form.short} has {form.rank} modes, but the shape is {shape}: choose another"
        )
    for mode, size in enumerate(form.block):
        require(
            shape[mode] % size == 0,
            FormatError,
            f"mode {mode} has size {shape[mode]}, no multiple of the block's {size}: choose another block",
        )


def fill_of(fill: Fill, dtype: np.dtype[Any]) -> int | float | bool:
    """``fill`` as a number of ``dtype``; InputError where that has no such number."""
    if dtype.kind == "f":
        return float(fill)
    kind = bool if dtype.kind == "b" else int
    with np.errstate(all="ignore"):
        exact = fill == fill and abs(fill) < 2**63 and kind(fill) == fill  # noqa: PLR0124 (NaN)
    if dtype.kind == "i":
        limits = np.iinfo(dtype)
        exact = exact and limits.min <= fill <= limits.max
    require(exact, InputError, f"fill {fill!r} is no {dtype}: give one that is, or values of another type")
    return kind(fill)


def by_level(modes: Sequence[NDArray[Any]], form: Format) -> tuple[NDArray[Any], ...]:
    """Coordinates by mode to coordinates by level."""
    if not form.block:
        return tuple(modes[mode] for mode in form.order)
    # divmod of NumPy takes several times as long.
    sizes = [modes[mode].dtype.type(form.block[mode]) for mode in form.order]
    outer = [modes[mode] // size for mode, size in zip(form.order, sizes, strict=True)]
    inner = [modes[m] - each * size for m, each, size in zip(form.order, outer, sizes, strict=True)]
    return (*outer, *inner)


def _index(index: DType | None, shape: tuple[int, ...], count: int) -> DType:
    smallest = index_type(shape, count)
    if index is None:
        return smallest
    require(index in INDICES, InputError, f"index type {index.short} is no index type: use i32 or i64")
    require(
        smallest is DType.I32 or index is DType.I64,
        InputError,
        f"shape {shape} with {count} entries needs index type i64: i32 ends at {MOST_INDEX[index]}",
    )
    return index


def _arrays(
    coords: Sequence[NDArray[Any]], values: NDArray[Any], shape: tuple[int, ...]
) -> tuple[list[NDArray[Any]], NDArray[Any]]:
    """Contiguous coordinates of one type, int32 or int64, and contiguous values."""
    values = np.ascontiguousarray(values)
    # Messages take longer to write than all else here: only where they are needed.
    if values.ndim != 1:
        raise InputError(f"values are 1-D, but have shape {values.shape}: pass values.ravel()")
    if DType.of(values.dtype) not in VALUES:
        raise InputError(f"values are {values.dtype}: cast to float64, float32, int64, int32 or bool")
    if len(coords) != len(shape):
        raise InputError(
            f"{len(coords)} arrays of coordinates for {len(shape)} modes: give one for each mode"
        )
    arrays = [np.asarray(array) for array in coords]
    for mode, array in enumerate(arrays):
        if array.ndim != 1 or array.dtype.kind not in "iu":
            text = f"are {array.dtype} of shape {array.shape}: give a 1-D integer array"
            raise InputError(f"coordinates of mode {mode} {text}")
        if len(array) != len(values):
            raise InputError(f"mode {mode} has {len(array)} coordinates, but there are {len(values)} values")
        if array.dtype == np.uint64 and len(array) and int(array.max()) > MOST_INDEX[DType.I64]:
            _out_of_range(mode, int(array.max()), shape[mode])
    small = all(array.dtype == np.int32 for array in arrays)
    return [np.ascontiguousarray(array, np.int32 if small else np.int64) for array in arrays], values


def _check_range(seen: Survey, modes: Sequence[NDArray[Any]], shape: tuple[int, ...]) -> None:
    for mode, size in enumerate(shape):
        least, most = seen.least[mode], seen.most[mode]
        if least < 0 or most >= size:
            at = int(modes[mode].argmin() if least < 0 else modes[mode].argmax())
            _out_of_range(mode, least if least < 0 else most, size, at)


def _out_of_range(mode: int, value: int, size: int, at: int | None = None) -> None:
    entry = "" if at is None else f" (entry {at})"
    raise InputError(
        f"mode {mode}: coordinate {value}{entry} is outside 0 .. {size - 1}, its extent being {size}: "
        "correct it, or give a larger shape"
    )
