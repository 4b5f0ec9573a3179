"""One linear layer by itself, as a call to time: in float32, or in 8-bit integers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import cycle
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.core.memory import aligned
from aerogel.core.target import Target
from aerogel.formats.canonical import encode_rows8, integers_of
from aerogel.formats.panel import WORD, Matrix, Packed, words
from aerogel.kernels.layout import Layout
from aerogel.kernels.quantise import quantise
from aerogel.loop.nodes import Module
from aerogel.native import Compiled, compile
from aerogel.tune.copied import copied
from aerogel.tune.kernel import element_of, kernel_arguments, kernel_module, sample

Precision = Literal["fp32", "int8"]
_COLD_BYTES, _MOST_COPIES = 4 << 20, 32


def in_precision(weight: NDArray[np.float32], precision: Precision) -> Matrix:
    """What is packed: the numbers [outputs, inputs]; or their integers, a scale per output, in words of 4
    inputs."""
    return weight if precision == "fp32" else words(integers_of(encode_rows8(weight))[0])


class LayerCall:
    """``call()``: one call of the kernel of ``packed`` on one thread, with its arguments checked once; where
    weights are integers, finding the activations' grid and rounding them onto it comes first, and counts.

    Calls take turns with copies of the weights, more than fit a cache of one core: in a model other layers'
    weights come between, too; ``near``: one copy does, its weights are where the call before left them.
    Activations stay near. ``x``, ``y``: tiled float32. ``rows``: scale and sum of integers of every row, by
    default 1 and 0, which changes no time."""

    def __init__(
        self,
        packed: Packed,
        target: Target,
        columns: int,
        *,
        rows: tuple[NDArray[np.float32], NDArray[np.int32]] | None = None,
        near: bool = False,
    ) -> None:
        layout = Layout.of(target)
        integers = element_of(packed.values) == "i8"
        features = packed.columns * (WORD if integers else 1)
        self.x = sample(layout.size(features, columns), "f32")
        self.y = aligned(layout.size(packed.rows, columns))
        x, grids, self._first = self.x, None, _nothing
        if integers:
            padded = layout.vectors(columns) * layout.lanes
            x = aligned(layout.size(packed.columns, columns), np.int32)
            scales, zeros = aligned(padded), aligned(padded, np.int32)
            ones = np.ones(packed.rows, np.float32), np.zeros(packed.rows, np.int32)
            grids = (*(rows or ones), scales, zeros)
            found = _quantise(target).bind(self.x, x, scales, zeros, features, columns)
            self._first: Callable[[], None] = lambda: found.run(1)
        kernel = kernel_module(target, packed.kind, element_of(packed.values))
        enough = min(_MOST_COPIES, max(1, -(-_COLD_BYTES // max(1, packed.nbytes))))
        copies = 1 if near else enough
        each = (
            kernel.bind(*kernel_arguments(copied(packed), x, self.y, target, columns, grids))
            for _ in range(copies)
        )
        self._turns = cycle(tuple(each))

    def __call__(self) -> None:
        self._first()
        next(self._turns).run(1)


def _nothing() -> None:
    """Floats are taken as they are."""


@cache
def _quantise(target: Target) -> Compiled:
    return compile(Module("quantise", (quantise(Layout.of(target)),)), target)
