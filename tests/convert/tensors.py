"""Random tensors for tests of packing and converting, and what they hold in plain Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from aerogel.core.errors import FormatError
from aerogel.formats.levels import LEVELS
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format, named

DTYPES = ("float64", "float32", "int64", "int32", "bool")


def every_format(rank: int) -> list[Format]:
    """All lists of level kinds that a tensor of ``rank`` modes can have, modes in order."""
    found: list[Format] = []
    for kinds in product(LEVELS.values(), repeat=rank):
        try:
            found.append(Format(kinds, tuple(range(rank))))
        except FormatError:
            continue
    return found


FORMATS = {rank: every_format(rank) for rank in range(3)}
FORMATS[2] += [named(name, 2) for name in ("csc", "dcsc", "bsr:2x3", "bsr:1x1", "bitmap,compressed@1,0")]
FORMATS[2] += [named("compressed_nonunique,singleton@1,0", 2), named("dense,dense@1,0", 2)]
FORMATS[3] = [
    named(text, 3)
    for text in (
        "csf", "coo", "dense", "dense,compressed,compressed@2,0,1", "compressed,dense,bitmap",
        "compressed_nonunique,singleton,bitmap", "dense,compressed_nonunique,singleton@1,2,0",
    )
]  # fmt: skip


@dataclass(frozen=True)
class Entries:
    """Coordinates by mode in any order, duplicates among them, and values."""

    shape: tuple[int, ...]
    coords: tuple[NDArray[Any], ...]
    values: NDArray[Any]

    def folded(self, op: str = "add") -> dict[tuple[int, ...], Any]:
        """By coordinates, duplicates folded one after the other."""
        found: dict[tuple[int, ...], Any] = {}
        for at, value in enumerate(self.values):
            where = tuple(int(column[at]) for column in self.coords)
            found[where] = fold(op, found[where], value) if where in found else value
        return found

    def distinct(self) -> Entries:
        """The last of equal entries alone, in the order in which they first come."""
        folded = self.folded("last")
        columns = np.array(list(folded), np.int64).reshape(len(folded), len(self.shape)).T
        return Entries(self.shape, tuple(columns), np.array(list(folded.values()), self.values.dtype))


def fold(op: str, a: Any, b: Any) -> Any:
    """What folding means, in NumPy."""
    if op == "last":
        return b
    if op == "or":
        return np.asarray(bool(a) or bool(b)).astype(b.dtype)[()]
    function = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}[op]
    with np.errstate(all="ignore"):
        return function(a, b)


@st.composite
def entries(
    draw: st.DrawFn,
    rank: int | None = None,
    *,
    most: int = 5,
    distinct: bool = False,
    dtypes: Sequence[str] = ("float64",),
) -> Entries:
    """Entries of a tensor of 0 to 3 modes; extents may be 0, values -0.0, NaN and infinite."""
    rank = draw(st.integers(0, 3)) if rank is None else rank
    shape = tuple(draw(st.integers(0, most)) for _ in range(rank))
    count = draw(st.integers(0, 12)) if all(shape) else 0
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    coords = tuple(rng.integers(0, size, count) for size in shape)
    values = some_values(rng, count, draw(st.sampled_from(dtypes)))
    found = Entries(shape, coords, values)
    return found.distinct() if distinct else found


def some_values(rng: np.random.Generator, count: int, dtype: str) -> NDArray[Any]:
    """Values among which special ones are frequent."""
    if dtype == "bool":
        return rng.integers(0, 2, count).astype(bool)
    if dtype.startswith("int"):
        limits = np.iinfo(dtype)
        return rng.choice(np.array([0, 1, -3, limits.max, limits.min], dtype), count)
    return rng.choice(np.array([0.0, -0.0, 1.5, -2.25, np.nan, np.inf, 1e-3], dtype), count)


def fits(form: Format, shape: tuple[int, ...]) -> bool:
    """Whether a tensor of ``shape`` can have the format: blocks must divide it."""
    return all(size % block == 0 for size, block in zip(shape, form.block, strict=False))


def held(storage: Storage) -> dict[tuple[int, ...], Any]:
    """What is stored, by coordinates, found with nothing but the levels' definitions."""
    form = storage.format
    parents = np.arange(1)
    columns: list[NDArray[np.int64]] = []
    live = np.ones(1, np.bool_)
    for level, arrays, size in zip(form.levels, storage.levels, form.level_sizes(storage.shape), strict=True):
        above, coordinate = level.expand(arrays, parents, size)
        columns = [*(column[above] for column in columns), coordinate]
        live = live[above]
        for (_, element), array in zip(level.arrays, arrays, strict=True):
            if element == "flag":
                live = live & (array == 1)
        parents = np.arange(len(above))
    by_mode = list(columns[: form.rank])
    for k, mode in enumerate(form.order):
        outer, inner = columns[k], columns[form.rank + k] if form.block else 0
        by_mode[mode] = outer * form.block[mode] + inner if form.block else outer
    return {
        tuple(int(column[at]) for column in by_mode): storage.values[at]
        for at in np.flatnonzero(live).tolist()
    }


def with_padding(
    expected: Mapping[tuple[int, ...], Any], found: Mapping[tuple[int, ...], Any], fill: Any
) -> dict[tuple[int, ...], Any]:
    """What was put in, and ``fill`` at the other coordinates that ``found`` stores."""
    return {where: expected.get(where, fill) for where in found} | dict(expected)


def same(a: Mapping[tuple[int, ...], Any], b: Mapping[tuple[int, ...], Any]) -> bool:
    """Equal coordinates and bits; one NaN is as good as another."""
    if a.keys() != b.keys():
        return False
    mine, other = (np.array([x[where] for where in sorted(a)]) for x in (a, b))
    return same_bits(mine, other)


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Equal bits, but one NaN is as good as another."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return np.array_equal(a, b)
    signs = (np.signbit(x) & ~np.isnan(x) for x in (a, b))
    return np.array_equal(a, b, equal_nan=True) and np.array_equal(*signs)
