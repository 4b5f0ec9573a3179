"""Levels from sorted coordinates: equal entries are folded, and what every level keeps is written.

The levels themselves emit what they write (``insert`` and ``close`` of ``Level``); ``assemble_kernel`` has
the loops around them, and here is the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel import native
from aerogel.convert.assemble_kernel import Kind, assemble_module, count_module, counted, run_end
from aerogel.convert.bits import BITS
from aerogel.convert.chunks import even_cuts, whole_runs
from aerogel.convert.entries import Columns, ColumnsKey, Entries, WordsKey
from aerogel.convert.folding import Duplicates
from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError, UnsupportedError, refuse
from aerogel.formats.levels import LEVELS, Compressed, Singleton
from aerogel.formats.storage import Fill, Storage
from aerogel.formats.tensor_format import Format

MOST_BYTES = 1 << 48
"""An array beyond it cannot be addressed on the CPUs of today."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made: a storage of this format, shape, fill and index type."""

    format: Format
    shape: tuple[int, ...]
    fill: Fill
    index: DType


@dataclass(frozen=True, slots=True)
class _Counts:
    """Entries of distinct coordinates; positions that the entries of a piece open, [piece, counted level]."""

    distinct: int
    opened: NDArray[np.int64]


def assemble(
    wanted: Wanted,
    entries: Entries,
    duplicates: Duplicates,
    *,
    unique: bool,
    threads: int,
) -> Storage:
    """The storage of sorted entries, whose coordinates are in range.

    ``unique``: no coordinates stand twice; then entries need not be sorted where all levels are dense.
    InputError for duplicates that are refused, UnsupportedError for more memory than there is.
    """
    if unique and isinstance(entries, Columns) and _lists(wanted.format):
        return _listed(wanted, entries)
    values = entries.values
    cuts = even_cuts(len(values), threads)
    if not unique:
        cuts = whole_runs(cuts, entries)
    counts = _count(wanted.format, entries, cuts, unique=unique, threads=threads)
    unique = counts.distinct == len(values)
    if duplicates == "refuse" and not unique:
        _refuse(wanted.format, entries)
    levels = wanted.format.levels
    sizes = wanted.format.level_sizes(wanted.shape)
    positions = _positions(wanted.format, sizes, counts)
    arrays = _arrays(wanted, positions)
    out = _values(wanted, positions, values.dtype)
    bits = DType.of(values.dtype)
    fold = "last" if unique or duplicates == "refuse" else duplicates
    if fold == "last":
        # Nothing is computed: one kernel for all values of a width.
        bits = BITS[values.itemsize]
    kernel = _kernel(Kind(levels, entries.key, wanted.index, bits, fold, unique))
    bases = np.zeros(counts.opened.shape, np.int64)
    np.cumsum(counts.opened[:-1], axis=0, out=bases[1:])
    flat = [array for level in arrays for array in level]
    given, target = values.view(bits.numpy()), out.view(bits.numpy())
    scalars = (*sizes, *positions)
    pieces = len(cuts) - 1
    kernel(
        pieces, cuts, *entries.arguments, given, bases.reshape(-1), *scalars, *flat, target, threads=threads
    )
    return Storage(wanted.format, wanted.shape, arrays, out, wanted.fill, wanted.index)


def _lists(form: Format) -> bool:
    """Whether a storage is a list of coordinates: all hang below the root, one for each value."""
    first, *rest = form.levels or (LEVELS["dense"],)
    return isinstance(first, Compressed) and all(isinstance(level, Singleton) for level in rest)


def _listed(wanted: Wanted, entries: Columns) -> Storage:
    """Entries that are a list already: nothing is to be done, or the columns are copied."""
    index = wanted.index.numpy()
    copy = None if entries.kept else True
    columns = [np.array(column, index, copy=copy) for column in entries.columns]
    pos = np.array([0, len(entries.values)], index)
    values = np.array(entries.values, copy=copy)
    levels = ((pos, columns[0]), *((column,) for column in columns[1:]))
    return Storage(wanted.format, wanted.shape, levels, values, wanted.fill, wanted.index)


@cache
def _kernel(kind: Kind) -> native.Compiled:
    return native.compile(assemble_module(kind))


@cache
def _count_kernel(reader: ColumnsKey | WordsKey, ends: tuple[int, ...]) -> native.Compiled:
    return native.compile(count_module(reader, ends))


def _count(form: Format, given: Entries, cuts: NDArray[np.int64], *, unique: bool, threads: int) -> _Counts:
    last = len(form.levels) - 1
    ends = [run_end(form.levels, k) for k in counted(form.levels)]
    pieces, entries = len(cuts) - 1, np.diff(cuts)
    if last < 0:
        # A number: all entries fall together.
        return _Counts(min(1, int(cuts[-1])), np.zeros((pieces, 0), np.int64))
    if unique and all(end == last for end in ends):
        return _Counts(int(cuts[-1]), np.repeat(entries[:, None], len(ends), axis=1))
    asked = tuple(sorted({*ends, last}))
    found = np.empty(pieces * len(asked), np.int64)
    kernel = _count_kernel(given.key, asked)
    kernel(pieces, cuts, *given.arguments, found, threads=threads)
    rows = found.reshape(pieces, len(asked))
    opened = rows[:, [asked.index(end) for end in ends]]
    return _Counts(int(rows[:, -1].sum()), opened)


def _positions(form: Format, sizes: Sequence[int], counts: _Counts) -> list[int]:
    """How many positions each level has."""
    totals = dict(zip(counted(form.levels), counts.opened.sum(axis=0).tolist(), strict=True))
    found: list[int] = []
    parents = 1
    for k, level in enumerate(form.levels):
        if level.located:
            parents *= sizes[k]
        parents = totals.get(k, parents)
        found.append(parents)
    return found


def _arrays(wanted: Wanted, positions: Sequence[int]) -> tuple[tuple[NDArray[Any], ...], ...]:
    made: list[tuple[NDArray[Any], ...]] = []
    parents = 1
    for level, here in zip(wanted.format.levels, positions, strict=True):
        room = level.room(parents, here)
        made.append(
            tuple(
                memory(length, wanted.index.numpy(), wanted) if element == "index"
                else memory(length, np.dtype("uint8"), wanted, 0)
                for length, (_, element) in zip(room, level.arrays, strict=True)
            )
        )  # fmt: skip
        parents = here
    return tuple(made)


def _values(wanted: Wanted, positions: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values; where positions stay that no entry reaches, they are ``fill``."""
    levels = wanted.format.levels
    gaps = not levels or levels[-1].located
    return memory(positions[-1] if levels else 1, dtype, wanted, wanted.fill if gaps else None)


def memory(count: int, dtype: np.dtype[Any], wanted: Wanted, fill: Fill | None = None) -> NDArray[Any]:
    """``count`` elements, all ``fill`` where that is given; UnsupportedError where there is no room."""
    too_large = count * dtype.itemsize > MOST_BYTES
    try:
        if not too_large and fill is None:
            return np.empty(count, dtype)
        if not too_large:
            value = np.asarray(fill, dtype)
            # Zeros come from the system as they are: nothing is written.
            return np.full(count, value) if value.tobytes().strip(b"\0") else np.zeros(count, dtype)
    except MemoryError:
        pass
    raise UnsupportedError(
        f"a tensor of shape {wanted.shape} as {wanted.format.short} takes an array of {count:,} elements of "
        f"{dtype}, for which there is no memory: use a format that stores less, such as coo or csf"
    )


def _refuse(form: Format, entries: Entries) -> None:
    """InputError that names coordinates which stand twice."""
    by_level, by_mode = entries.coordinates(entries.twice()), [0] * form.rank
    for k, mode in enumerate(form.order):
        by_mode[mode] = by_level[k]
        if form.block:
            by_mode[mode] = by_level[k] * form.block[mode] + by_level[form.rank + k]
    where = ", ".join(map(str, by_mode))
    refuse(
        InputError,
        f"coordinates ({where}) stand twice: give them once, or say what becomes of duplicates, as in 'add'",
    )
