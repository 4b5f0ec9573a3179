"""Where the extents of indices are cut, and the pieces of tensors that come of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.firmware.entries import Places, entries, stored
from aerogel.core.errors import ChipError, require
from aerogel.formats.storage import Storage

_LONGER = (1.0, 1.15, 1.3, 1.5, 2.0, 3.0, 4.0)
"""How much longer than on average the longest part may be: each is tried."""
_HALVINGS = 16

Numbers = Mapping[str, int]
"""Which part of each index a piece is of."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """``bounds``: for each index, outermost loop first, where its parts begin, and its extent at last.

    Every part is run as if it were as long as the longest, ``size``: beyond its end it is empty. ``beside``:
    the index whose parts come one after the other, and so run side by side; None: the innermost.
    """

    bounds: Mapping[str, tuple[int, ...]]
    beside: str | None = None

    def size(self, index: str) -> int:
        return max((after - before for before, after in pairwise(self.bounds[index])), default=0)

    def parts(self, index: str) -> int:
        return len(self.bounds[index]) - 1

    def span(self, index: str, part: int) -> tuple[int, int]:
        """The first coordinate of a part, and the first behind it."""
        return self.bounds[index][part], self.bounds[index][part + 1]

    @property
    def pieces(self) -> int:
        return int(np.prod([self.parts(index) for index in self.bounds], dtype=np.int64))

    def numbers(self) -> Iterator[Numbers]:
        """Every piece, parts of ``beside`` next to each other."""
        names = sorted(self.bounds, key=lambda index: index == self.beside)
        for numbers in product(*(range(self.parts(index)) for index in names)):
            yield dict(zip(names, numbers, strict=True))

    def text(self) -> str:
        """Which indices are cut, in words; "" where none is."""
        cut = [index for index in self.bounds if self.parts(index) > 1]
        return ", ".join(f"{i} into {self.parts(i)} parts of up to {self.size(i)}" for i in cut)


def even(extent: int, parts: int) -> tuple[int, ...]:
    """The bounds of parts that are all as long, or one shorter."""
    parts = max(1, min(parts, extent))
    return tuple(extent * part // parts for part in range(parts + 1))


def balanced(weights: NDArray[np.float64], parts: int, each: float) -> tuple[int, ...]:
    """The bounds of parts, at most so many, of which the one with the most work has as little as is found.

    The work of a part: the sum of its ``weights``, and ``each`` for every coordinate of the longest part, for
    all are run as if they were as long.
    """
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    listed = sums.tolist()
    best, least = even(len(weights), parts), np.inf
    for longer in _LONGER:
        longest = min(len(weights), int(np.ceil(longer * len(weights) / parts)))
        bounds = _filled(listed, parts, longest)
        work = np.diff(sums[list(bounds)]).max() + each * np.diff(bounds).max()
        if work < least:
            best, least = bounds, work
    return best


def _filled(sums: Sequence[float], parts: int, longest: int) -> tuple[int, ...]:
    """Parts up to ``longest`` coordinates long, each filled up to what lets them be enough."""
    low, high = sums[-1] / parts, sums[-1]
    found = _up_to(sums, high, longest, parts)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        bounds = _up_to(sums, middle, longest, parts)
        if bounds[-1] == len(sums) - 1:
            found, high = bounds, middle
        else:
            low = middle
    return found


def _up_to(sums: Sequence[float], weight: float, longest: int, parts: int) -> tuple[int, ...]:
    """Parts as long as ``longest`` and ``weight`` allow, but of one coordinate at the least; as many as there
    may be, though they do not reach the end."""
    bounds, extent = [0], len(sums) - 1
    while bounds[-1] < extent and len(bounds) <= parts:
        at = bounds[-1]
        # Sums of floats in another order: a hair more is as much.
        full = bisect_right(sums, (sums[at] + weight) * (1 + 1e-12), at) - 1
        bounds.append(min(extent, at + longest, max(at + 1, full)))
    return tuple(bounds)


def by_weight(weights: NDArray[np.int64], parts: int) -> tuple[int, ...]:
    """The bounds of parts with about the same sum of ``weights``, one for each coordinate."""
    whole = np.cumsum(weights)
    if not len(whole) or whole[-1] == 0:
        return even(len(weights), parts)
    aims = whole[-1] * np.arange(1, parts) / parts
    inner = np.searchsorted(whole, aims, side="left") + 1
    return tuple(int(at) for at in np.unique([0, *inner, len(weights)]))


def piece_numbers(places: Places, indices: tuple[str, ...], cuts: Cuts) -> tuple[NDArray[np.int64], int]:
    """Which piece of a tensor each entry is in, and how many pieces there are."""
    number = np.zeros(len(places[0]) if places else 1, np.int64)
    count = 1
    for index, column in zip(indices, places, strict=True):
        part = np.searchsorted(np.asarray(cuts.bounds[index]), column, side="right") - 1
        number = number * cuts.parts(index) + part
        count *= cuts.parts(index)
    return number, count


class Pieces:
    """The pieces of one tensor whose modes are ``indices``."""

    def __init__(self, storage: Storage, indices: tuple[str, ...], cuts: Cuts) -> None:
        self.storage, self.indices, self.cuts = storage, indices, cuts
        self.shape = tuple(cuts.size(index) for index in indices)
        self._whole = all(cuts.parts(index) == 1 for index in indices)
        if not self._whole:
            self._sort()

    def key(self, numbers: Numbers) -> tuple[int, ...]:
        """What tells a piece of this tensor from the others."""
        return tuple(numbers[index] for index in self.indices)

    def empty(self, numbers: Numbers) -> bool:
        """Whether nothing but zeros is in a piece, of a tensor of which what is not stored is 0."""
        first, last = self._range(numbers)
        return self.storage.fill == 0 and not self._values[first:last].any()

    def absent(self, numbers: Numbers) -> bool:
        """Whether nothing is stored in a piece, not even a zero."""
        first, last = self._range(numbers)
        return self.storage.fill == 0 and first == last

    def piece(self, numbers: Numbers) -> Storage:
        """The storage of a piece, of shape ``shape``."""
        if self._whole:
            return self.storage
        first, last = self._range(numbers)
        pairs = zip(self.indices, self._places, strict=True)
        places = tuple(
            column[first:last] - self.cuts.span(index, numbers[index])[0] for index, column in pairs
        )
        own = self.storage
        return stored(places, self._values[first:last], self.shape, own.format, fill=own.fill)

    def nothing(self) -> Storage:
        """A piece without entries."""
        own = self.storage
        none = tuple(np.zeros(0, np.int64) for _ in self.indices)
        return stored(none, own.values[:0], self.shape, own.format, fill=own.fill)

    def _sort(self) -> None:
        places, values = entries(self.storage)
        number, count = piece_numbers(places, self.indices, self.cuts)
        sort = np.argsort(number, kind="stable")
        self._places = tuple(column[sort] for column in places)
        self._entries = values[sort]
        self._starts = np.searchsorted(number[sort], np.arange(count + 1))

    @property
    def _values(self) -> NDArray[Any]:
        return self.storage.values if self._whole else self._entries

    def _range(self, numbers: Numbers) -> tuple[int, int]:
        if self._whole:
            return 0, len(self.storage.values)
        at = 0
        for index in self.indices:
            require(0 <= numbers[index] < self.cuts.parts(index), ChipError, f"{index} has no such part")
            at = at * self.cuts.parts(index) + numbers[index]
        return int(self._starts[at]), int(self._starts[at + 1])
