"""Affine addresses: what a memory tile walks through in dense mode, loop within loop, told by no token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

from aerogel.core.errors import ChipError, require

LOOPS = 7
"""Of an address generator; loops it does not need go round once."""
MOST_EXTENT, STRIDE_BITS = (1 << 16) - 1, 32


@dataclass(frozen=True, slots=True)
class Affine:
    """Word ``base + i0 * s0 + i1 * s1 + ...`` for i0 below e0, i1 below e1 and so on, the last one fastest.

    ``loops``: (extent, stride) of each, outermost first; strides may be negative or 0.
    """

    base: int
    loops: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        require(
            len(self.loops) <= LOOPS,
            ChipError,
            f"{len(self.loops)} loops within each other: an address generator has {LOOPS}",
        )
        for extent, stride in self.loops:
            require(
                1 <= extent <= MOST_EXTENT and abs(stride) < 1 << (STRIDE_BITS - 1),
                ChipError,
                f"a loop of {extent} with stride {stride}: an address generator takes 1 to {MOST_EXTENT} "
                f"steps of less than 2 ** {STRIDE_BITS - 1}",
            )

    @property
    def count(self) -> int:
        """How many addresses there are."""
        return prod(extent for extent, _ in self.loops)

    @property
    def low(self) -> int:
        """The lowest address."""
        return self.base + sum(min(0, (extent - 1) * stride) for extent, stride in self.loops)

    @property
    def high(self) -> int:
        """The highest address."""
        return self.base + sum(max(0, (extent - 1) * stride) for extent, stride in self.loops)

    def addresses(self) -> Iterator[int]:
        """All of them, in order: the definition."""
        strides = [stride for _, stride in self.loops]
        for at in product(*(range(extent) for extent, _ in self.loops)):
            yield self.base + sum(i * stride for i, stride in zip(at, strides, strict=True))

    def parameters(self) -> tuple[int, ...]:
        """As a cell has them: the base, the extents, the strides as two's complement; see ``opcodes.py``."""
        loops = ((1, 0),) * (LOOPS - len(self.loops)) + self.loops
        strides = (stride & ((1 << STRIDE_BITS) - 1) for _, stride in loops)
        return (self.base, *(extent for extent, _ in loops), *strides)

    @staticmethod
    def of(params: tuple[int, ...]) -> Affine:
        """What ``parameters`` made."""
        half = 1 << (STRIDE_BITS - 1)
        strides = tuple((stride ^ half) - half for stride in params[1 + LOOPS :])
        return Affine(params[0], tuple(zip(params[1 : 1 + LOOPS], strides, strict=True)))
