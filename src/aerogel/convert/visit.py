"""Loops through everything that a storage holds, in the order in which it is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.chunks import even_cuts
from aerogel.core.dtypes import DType
from aerogel.formats.levels import View
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import I64, Buf, Expr, Var

Leaf = Callable[[Sequence[Expr], Expr], None]
"""Emits what is done with one stored value, of its coordinates by level and its position."""


class Visited:
    """One operand of a kernel: the parameters by which it comes in, and the loops through it."""

    def __init__(self, form: Format, index: DType) -> None:
        self.levels = form.levels
        self.sizes = [Var(f"size{k}", I64) for k in range(len(form.levels))]
        self.views = [View(f"in{k}", size, index) for k, size in enumerate(self.sizes)]

    @property
    def params(self) -> tuple[Var | Buf, ...]:
        """The extents of the levels, then their arrays."""
        arrays = (
            view.buffer(name, element)
            for view, level in zip(self.views, self.levels, strict=True)
            for name, element in level.arrays
        )
        return (*self.sizes, *arrays)

    def loops(self, code: Code, begin: Expr, end: Expr, leaf: Leaf) -> None:
        """Loops over the piece ``begin`` to ``end`` of the first level, as ``root_cuts`` cuts it."""
        self._level(code, 0, i64(0), (), leaf, (begin, end))

    def _level(
        self,
        code: Code,
        k: int,
        parent: Expr,
        coordinates: tuple[Expr, ...],
        leaf: Leaf,
        piece: tuple[Expr, Expr] | None = None,
    ) -> None:
        if k == len(self.levels):
            leaf(coordinates, parent)
            return
        level, view = self.levels[k], self.views[k]
        if level.located:
            begin, end = piece or (i64(0), view.size)
            with code.for_(begin, end, "c") as at:
                position = code.let(level.locate(view, parent, at), "position")
                with code.when(level.present(view, position)):
                    self._level(code, k + 1, position, (*coordinates, at), leaf)
        elif level.branchless:
            here = code.let(level.coordinate(view, parent), "c")
            self._level(code, k + 1, parent, (*coordinates, here), leaf)
        else:
            begin, end = piece or level.span(code, view, parent)
            with code.for_(begin, end, "p") as position:
                here = code.let(level.coordinate(view, position), "c")
                self._level(code, k + 1, position, (*coordinates, here), leaf)


def arguments(storage: Storage) -> tuple[int | NDArray[np.generic], ...]:
    """What the parameters of ``Visited`` take for a storage."""
    sizes = storage.format.level_sizes(storage.shape)
    return (*sizes, *(array for level in storage.levels for array in level))


def root_cuts(storage: Storage, pieces: int) -> NDArray[np.int64]:
    """The first level cut into pieces of about as much work: by coordinate where it is located, else by
    position."""
    levels, counts = storage.format.levels, storage.counts()
    if not levels:
        return even_cuts(1, pieces)
    below = storage.levels[1] if len(levels) > 1 else ()
    if len(below) > 1 and len(below[0]) == counts[0] + 1:
        # Where fibers begin: so many entries stand before each of them.
        pos = below[0]
        targets = even_cuts(int(pos[-1]), pieces).astype(pos.dtype)
        cuts = np.searchsorted(pos, targets).astype(np.int64)
        cuts[0], cuts[-1] = 0, counts[0]
        return cuts
    return even_cuts(counts[0], pieces)
