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
from aerogel.convert.chunks import even_cuts, whole_runs
from aerogel.convert.folding import Duplicates
from aerogel.convert.sort import BITS
from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError, UnsupportedError, refuse
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
    columns: Sequence[NDArray[Any]],
    values: NDArray[Any],
    duplicates: Duplicates,
    *,
    unique: bool,
    threads: int,
) -> Storage:
    """The storage of sorted entries. ``columns``: coordinates by level, in range, all int32 or all int64.

    ``unique``: no coordinates stand twice; then entries need not be sorted where all levels are dense.
    InputError for duplicates that are refused, UnsupportedError for more memory than there is.
    """
    cuts = even_cuts(len(values), threads)
    if not unique:
        cuts = whole_runs(cuts, columns)
    counts = _count(wanted.format, columns, cuts, unique=unique, threads=threads)
    unique = counts.distinct == len(values)
    if duplicates == "refuse" and not unique:
        _refuse(wanted.format, columns)
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
    source = DType.of(columns[0].dtype) if columns else wanted.index
    kernel = _kernel(Kind(levels, source, wanted.index, bits, fold, unique))
    bases = np.zeros(counts.opened.shape, np.int64)
    np.cumsum(counts.opened[:-1], axis=0, out=bases[1:])
    flat = [array for level in arrays for array in level]
    given, target = values.view(bits.numpy()), out.view(bits.numpy())
    scalars = (*sizes, *positions)
    pieces = len(cuts) - 1
    kernel(pieces, cuts, *columns, given, bases.reshape(-1), *scalars, *flat, target, threads=threads)
    return Storage(wanted.format, wanted.shape, arrays, out, wanted.fill, wanted.index)


@cache
def _kernel(kind: Kind) -> native.Compiled:
    return native.compile(assemble_module(kind))


@cache
def _count_kernel(ends: tuple[int, ...], rank: int, source: DType) -> native.Compiled:
    return native.compile(count_module(ends, rank, source))


def _count(
    form: Format, columns: Sequence[NDArray[Any]], cuts: NDArray[np.int64], *, unique: bool, threads: int
) -> _Counts:
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
    kernel = _count_kernel(asked, len(columns), DType.of(columns[0].dtype))
    kernel(pieces, cuts, *columns, found, threads=threads)
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


def _refuse(form: Format, columns: Sequence[NDArray[Any]]) -> None:
    """InputError that names coordinates which stand twice."""
    same = np.ones(max(len(columns[0]) - 1, 0) if columns else 1, np.bool_)
    for column in columns:
        same &= column[1:] == column[:-1]
    at = int(same.argmax())
    by_level = [int(column[at]) for column in columns]
    by_mode = [0] * form.rank
    for k, mode in enumerate(form.order):
        by_mode[mode] = by_level[k]
        if form.block:
            by_mode[mode] = by_level[k] * form.block[mode] + by_level[form.rank + k]
    where = ", ".join(map(str, by_mode))
    refuse(
        InputError,
        f"coordinates ({where}) stand twice: give them once, or say what becomes of duplicates, as in 'add'",
    )
