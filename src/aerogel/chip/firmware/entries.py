"""Storages of dense and compressed levels as lists of entries, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import ChipError, require
from aerogel.formats.storage import Storage, index_type
from aerogel.formats.tensor_format import Format

Places = tuple[NDArray[np.int64], ...]


def entries(storage: Storage) -> tuple[Places, NDArray[Any]]:
    """Coordinates by mode, and values, in the order of storage; every position of a dense level is one."""
    columns: list[NDArray[np.int64]] = []
    positions = 1
    parts = zip(storage.format.levels, storage.levels, storage.format.order, strict=True)
    for level, arrays, mode in parts:
        if level.full:
            size = storage.shape[mode]
            columns = [np.repeat(column, size) for column in columns]
            columns.append(np.tile(np.arange(size), positions))
            positions *= size
            continue
        require(level.name == "compressed", ChipError, f"the chip has no levels that are {level.name}")
        pos, crd = (array.astype(np.int64) for array in arrays)
        lengths = np.diff(pos)
        columns = [np.repeat(column, lengths) for column in columns]
        columns.append(crd[pos[0] : pos[-1]])
        positions = len(crd)
    by_mode = sorted(zip(storage.format.order, columns, strict=True), key=lambda pair: pair[0])
    return tuple(column for _, column in by_mode), storage.values


def stored(
    places: Places, values: NDArray[Any], shape: Sequence[int], form: Format, *, fill: float = 0
) -> Storage:
    """The storage of entries in any order; those with equal coordinates are added."""
    columns = [places[mode] for mode in form.order]
    sort = np.lexsort(columns[::-1]) if columns else np.arange(len(values))
    columns = [column[sort] for column in columns]
    values = values[sort]
    at = np.zeros(len(values), np.int64)
    positions = 1
    levels: list[tuple[NDArray[np.int64], ...]] = []
    for level, mode, column in zip(form.levels, form.order, columns, strict=True):
        at = at * shape[mode] + column
        if level.full:
            positions *= shape[mode]
            levels.append(())
            continue
        first = np.ones(len(at), np.bool_)
        first[1:] = at[1:] != at[:-1]
        parents = at[first] // max(1, shape[mode])
        pos = np.zeros(positions + 1, np.int64)
        np.cumsum(np.bincount(parents, minlength=positions), out=pos[1:])
        levels.append((pos, column[first]))
        at = np.cumsum(first) - 1
        positions = int(first.sum())
    index = index_type(tuple(shape), positions)
    kept = tuple(tuple(array.astype(index.numpy()) for array in arrays) for arrays in levels)
    return Storage(form, tuple(shape), kept, _summed(at, values, positions, fill), fill, index)


def _summed(at: NDArray[np.int64], values: NDArray[Any], positions: int, fill: float) -> NDArray[Any]:
    """Values at their positions; ``fill`` where there is none."""
    if len(at) == positions and (at[1:] > at[:-1]).all():
        return np.ascontiguousarray(values)
    found = np.full(positions, fill, values.dtype)
    found[at] = 0
    np.add.at(found, at, values)
    return found
