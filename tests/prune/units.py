"""The units of each pattern, told apart from what they test: by slices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SIZES = {
    "unstructured": (1, 1),
    "block2x1": (2, 1),
    "block4x1": (4, 1),
    "block1x4": (1, 4),
    "block4x4": (4, 4),
    "panel4": (1, 1),
}
"""Outputs x inputs of a unit."""
FIXED = ("2:4", "1:4", "3:4", "4:8", "1:2", "5:16")


def units(pattern: str, shape: tuple[int, int]) -> Iterator[tuple[tuple[int, int], tuple[slice, slice]]]:
    """(row and column among units, the unit's place in a weight), row-major."""
    rows, columns = SIZES[pattern]
    for i in range(-(-shape[0] // rows)):
        for j in range(-(-shape[1] // columns)):
            yield (i, j), np.s_[rows * i : rows * (i + 1), columns * j : columns * (j + 1)]


def all_of(flags: np.ndarray, pattern: str) -> np.ndarray:
    """Flags of units: is every weight of it flagged?"""
    rows, columns = SIZES[pattern]
    found = np.zeros((-(-flags.shape[0] // rows), -(-flags.shape[1] // columns)), bool)
    for at, place in units(pattern, flags.shape):
        found[at] = flags[place].all()
    return found


def spread(flags: np.ndarray, pattern: str, shape: tuple[int, int]) -> np.ndarray:
    """From units back to weights."""
    found = np.zeros(shape, bool)
    for at, place in units(pattern, shape):
        found[place] = flags[at]
    return found


def dropped(kept: int, of: int, inputs: int) -> int:
    """How many of an output's ``inputs`` weights go by N:M."""
    return sum(max(0, min(of, inputs - left) - kept) for left in range(0, inputs, of))
