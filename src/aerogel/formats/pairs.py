"""Words whose products fit 16 bits two by two, for CPUs that sum bytes that way.

Before byte dot products, x86 multiplies 8-bit integers quickest by an instruction that sums two products of
neighbours in 16 bits, and saturates. An activation is at most 255, so nothing saturates where two weights
come to at most 128 in size: 255 x 128 = 32,640. Two of unlike sign always do. Where they do not, the second
leaves its word and is stored as one of its own, which meets the same activations: the sum is exact again. In
a network whose rows are scaled to 127 that is 1 to 5 words of 100.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST = 128
"""What two weights of like sign may add up to."""


def split(words: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """``words`` [rows, columns] of 4 int8 as two that have no byte in common, each of which fits: nearly all,
    and what is left."""
    pairs = np.ascontiguousarray(words, "<i4").view(np.int8).reshape(*words.shape, 2, 2)
    sums = np.abs(pairs.sum(axis=-1, dtype=np.int16))
    left = np.zeros_like(pairs)
    np.copyto(left[..., 1], pairs[..., 1], where=sums > MOST)
    rest = left.reshape(words.shape[0], -1).view("<i4").astype(np.int32, copy=False)
    return words ^ rest, rest
