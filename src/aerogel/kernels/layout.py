"""Tiled activations: how ``features x columns`` lies in memory, as Loop IR and as NumPy.

The columns (tokens) are cut into tiles of at most ``width`` vectors of ``lanes`` columns, as equal as
can be. A tile holds its columns for all features, feature after feature, contiguously:

    element (f, n) of tile t  =  features * first[t] * lanes  +  f * w[t] * lanes  +  (n - first[t] * lanes)

with ``first[t]`` the tile's first vector and ``w[t]`` its width in vectors. So a kernel streams a tile
without strides that thrash the cache, lanes always hold different tokens (no horizontal sums), and an
elementwise operation need not know the layout at all. Columns beyond the last token pad the last
vector; every producer keeps them finite, and ``embed`` and ``pack`` make them zero.

The cut depends on the number of columns and the target alone, never on the thread count,
so results have the same bits at any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.target import Target
from aerogel.loop.nodes import I64, Const, Expr, Operand, Select

# Rows of a panel of weights; 4 rows x width vectors of sums must fit the register file
# beside ``width`` vectors of activations and one broadcast weight.
PANEL_ROWS = 4
# Wider tiles gain nothing in the register file, and 4 vectors let a block of 128 features stay in L1.
WIDEST = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """``lanes``: f32 per vector; ``width``: the most vectors a tile is wide; ``pairs``: integer layers sum
    products in pairs of 16 bits, so their weights must be packed for that (see ``formats.pairs``)."""

    lanes: int
    width: int
    pairs: bool = False

    @staticmethod
    def of(target: Target) -> Layout:
        lanes = target.lanes(DType.F32)
        fitting = (target.registers - 1) // (PANEL_ROWS + 1)
        return Layout(lanes, max(1, min(fitting, WIDEST)), target.pairs)

    def vectors(self, columns: int) -> int:
        """Vectors that hold ``columns`` columns."""
        return -(-columns // self.lanes)

    def size(self, features: int, columns: int) -> int:
        """f32 elements of an activation."""
        return features * self.vectors(columns) * self.lanes

    def tiles(self, columns: int) -> list[tuple[int, int]]:
        """(first vector, width in vectors) of each tile."""
        vectors = self.vectors(columns)
        count = -(-vectors // self.width)
        if count == 0:
            return []
        base, extra = divmod(vectors, count)
        return [(t * base + min(t, extra), base + (t < extra)) for t in range(count)]

    def pack(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """[features, columns] -> the tiled buffer (1-D)."""
        features, columns = x.shape
        out = np.zeros(self.size(features, columns), np.float32)
        for first, width in self.tiles(columns):
            part = x[:, first * self.lanes : (first + width) * self.lanes]
            tile = out[features * first * self.lanes : features * (first + width) * self.lanes]
            tile.reshape(features, width * self.lanes)[:, : part.shape[1]] = part
        return out

    def unpack(self, buffer: NDArray[np.float32], features: int, columns: int) -> NDArray[np.float32]:
        """The tiled buffer (1-D) -> [features, columns]."""
        out = np.empty((features, columns), np.float32)
        for first, width in self.tiles(columns):
            tile = buffer[features * first * self.lanes : features * (first + width) * self.lanes]
            part = out[:, first * self.lanes : (first + width) * self.lanes]
            part[:] = tile.reshape(features, width * self.lanes)[:, : part.shape[1]]
        return out

    # --- the same in Loop IR (all i64) ---

    def tile_count(self, vectors: Expr) -> Expr:
        return (vectors + (self.width - 1)) // self.width

    def tile_bounds(self, vectors: Expr, count: Expr, tile: Expr) -> tuple[Expr, Expr]:
        """(first vector, width) of ``tile``; ``count`` = tile_count(vectors), at least 1."""
        base, extra = vectors // count, vectors % count
        return tile * base + Select(tile < extra, tile, extra), base + Select(tile < extra, one(), zero())

    def tile_of(self, vectors: Expr, count: Expr, vector: Expr) -> Expr:
        """The tile that holds ``vector``."""
        base, extra = vectors // count, vectors % count
        wide = extra * (base + 1)
        return Select(vector < wide, vector // (base + 1), extra + (vector - wide) // base)


def zero() -> Expr:
    return index(0)


def one() -> Expr:
    return index(1)


def index(value: Operand) -> Expr:
    """A Python int as an i64 constant; expressions pass through."""
    return Const(value, I64) if isinstance(value, int | float) else value
