"""Where the buffers of a run lie: one block of memory, shared by buffers whose lives do not overlap.

Every buffer over tokens has a size proportional to the number of token vectors, every buffer over rows one
proportional to the number of row vectors. So the plan counts in *features* and holds for any batch and
length: byte address = feature offset x vectors x lanes x 4. Behind both is *room* of a fixed size, in which a
linear layer of few columns gathers them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aerogel.formats.rows import BLOCK_COLUMNS
from aerogel.kernels.few_tiled import MOST_COLUMNS
from aerogel.model.graph import Columns
from aerogel.model.steps import FetchStep, LinearStep, Place, Step, reads, writes

# Lanes of the vectors that hold MOST_COLUMNS columns, on any target.
_WIDEST_VECTORS = 16


@dataclass(frozen=True, slots=True)
class Arena:
    """``offsets``: buffer -> first feature; ``tokens`` / ``rows``: features in each of the two regions;
    ``room``: bytes behind them."""

    offsets: Mapping[str, int]
    tokens: int
    rows: int
    room: int = 0

    def nbytes(self, token_vectors: int, row_vectors: int, lanes: int) -> int:
        return 4 * lanes * (self.tokens * token_vectors + self.rows * row_vectors) + self.room


def plan(steps: Sequence[Step]) -> Arena:
    """First-fit by decreasing size over the steps in which each buffer is alive."""
    life: dict[str, tuple[int, int]] = {}
    places: dict[str, Place] = {}
    for number, step in enumerate(steps):
        for place in (*reads(step), *writes(step)):
            start, _ = life.get(place.buffer, (number, number))
            life[place.buffer] = (start, number)
            places[place.buffer] = place
    # What the caller fetches is fetched at the end, in one go.
    last = len(steps) - 1
    for step in steps:
        if isinstance(step, FetchStep):
            life[step.x.buffer] = (life[step.x.buffer][0], last)
    offsets: dict[str, int] = {}
    size: dict[Columns, int] = {"tokens": 0, "rows": 0}
    for columns in ("tokens", "rows"):
        mine = sorted(
            (n for n, p in places.items() if p.columns == columns), key=lambda n: (-places[n].total, n)
        )
        for name in mine:
            offsets[name] = _fit(name, mine, offsets, places, life)
            size[columns] = max(size[columns], offsets[name] + places[name].total)
    return Arena(offsets, size["tokens"], size["rows"], max(map(_room, steps), default=0))


def _room(step: Step) -> int:
    """Bytes a linear layer may need for few columns: what it reads, and where it stores integers, the numbers
    that they are of."""
    if not isinstance(step, LinearStep):
        return 0
    numbers = 0 if step.rounded is None else 4 * _WIDEST_VECTORS * step.out.features
    return gathered_bytes(step) + numbers


def gathered_bytes(step: LinearStep) -> int:
    """MOST_COLUMNS columns of what a linear layer reads, each filled up to whole blocks of sliced rows."""
    each = 1 if step.element == "i8" else 4
    return MOST_COLUMNS * each * (-(-step.inputs // BLOCK_COLUMNS) * BLOCK_COLUMNS)


def _fit(
    name: str,
    names: Sequence[str],
    offsets: Mapping[str, int],
    places: Mapping[str, Place],
    life: Mapping[str, tuple[int, int]],
) -> int:
    """The lowest offset at which ``name`` overlaps no buffer alive at the same time."""
    start, end = life[name]
    taken = sorted(
        (offsets[n], offsets[n] + places[n].total)
        for n in names
        if n in offsets and not (life[n][1] < start or end < life[n][0])
    )
    at = 0
    for low, high in taken:
        if at + places[name].total <= low:
            break
        at = max(at, high)
    return at
