"""Entries of a sparse array as plain NumPy: what every library is given, and what its result is compared
as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Entries:
    """``coords``: one array of int32 for each mode; ``values``: what stands there. No place stands twice; in
    which order they stand, whoever makes them says."""

    shape: tuple[int, ...]
    coords: tuple[Ints, ...]
    values: NDArray[Any]

    @property
    def stored(self) -> int:
        return len(self.values)

    def keys(self) -> NDArray[np.int64]:
        """Each place as one number, row-major."""
        wide = tuple(coord.astype(np.int64) for coord in self.coords)
        return np.ravel_multi_index(wide, self.shape).astype(np.int64)

    def in_order(self) -> Entries:
        """The same, row-major."""
        keys = self.keys()
        if bool(np.all(keys[1:] > keys[:-1])):
            return self
        order = np.argsort(keys, kind="stable")
        return Entries(self.shape, tuple(coord[order] for coord in self.coords), self.values[order])

    def pointer(self) -> Ints:
        """Of entries in order: where each row begins, as CSR has it."""
        return pointer_of(self.coords[0], self.shape[0])

    def csr(self) -> tuple[Ints, Ints, NDArray[Any]]:
        """Pointer, columns, values of a matrix whose entries are in order."""
        return self.pointer(), self.coords[1], self.values

    def fibers(self) -> Fibers:
        """Of a tensor of three modes whose entries are in order: its last mode as rows, empty ones left
        out."""
        first, second, third = self.coords
        new = np.ones(self.stored, np.bool_)
        new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        starts = np.flatnonzero(new)
        pointer = np.append(starts, self.stored).astype(np.int32)
        return Fibers(self.shape, first[starts], second[starts], pointer, third, self.values)


@dataclass(frozen=True, slots=True)
class Fibers:
    """A tensor of three modes: fiber ``f`` at (``first[f]``, ``second[f]``) holds the entries
    ``pointer[f] .. pointer[f + 1]`` of ``third`` and ``values``."""

    shape: tuple[int, ...]
    first: Ints
    second: Ints
    pointer: Ints
    third: Ints
    values: NDArray[Any]

    @property
    def count(self) -> int:
        return len(self.first)

    def slices(self) -> Ints:
        """Where the fibers of each first coordinate begin."""
        return pointer_of(self.first, self.shape[0])


def pointer_of(rows: Ints, count: int) -> Ints:
    """Where each of ``count`` rows begins among entries whose rows are sorted."""
    pointer = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(rows, minlength=count), out=pointer[1:])
    return pointer


def columns_of(first: Ints, second: Ints, values: NDArray[Any], shape: tuple[int, ...]) -> Entries:
    """Entries of a tensor whose last mode is dense: ``values[f, r]`` stands at (first[f], second[f], r)."""
    count, columns = values.shape
    third = np.tile(np.arange(columns, dtype=np.int32), count)
    return Entries(shape, (np.repeat(first, columns), np.repeat(second, columns), third), values.reshape(-1))


def rows_of(pointer: NDArray[Any]) -> Ints:
    """The row of each entry of a matrix in CSR."""
    return np.repeat(np.arange(len(pointer) - 1, dtype=np.int32), np.diff(pointer))
