"""Which digits a number is sorted by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# One pass as long as its counters stay in the cache of a core and are not many more than the entries;
# else digits of so many bits each.
MOST_BITS = 17
SPLIT_BITS = 11


@dataclass(frozen=True, slots=True)
class Pass:
    """One digit: ``number >> shift & mask``, below ``buckets``."""

    shift: int
    mask: int
    buckets: int


def passes(most: int, count: int, shift: int = 0) -> Iterator[Pass]:
    """The digits that sort ``count`` numbers of 0 .. most, from bit ``shift`` on, lowest first; none where
    nothing stands there."""
    end = most.bit_length()
    bits = end - shift
    once = max(SPLIT_BITS, min(MOST_BITS, (2 * count).bit_length()))
    left = -(-bits // once)
    while left > 0:
        width = -(-(end - shift) // left)
        yield Pass(shift, (1 << width) - 1, min(1 << width, (most >> shift) + 1))
        shift, left = shift + width, left - 1
