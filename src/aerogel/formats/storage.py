"""A stored tensor: its format, its shape, the arrays of its levels, and its values."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.errors import FormatError, InputError, OrderError, require
from aerogel.core.memory import address_of
from aerogel.formats.levels import LEVELS, Singleton
from aerogel.formats.tensor_format import Format

Fill = float | bool
"""What stands where nothing is stored."""
VALUES = (DType.F64, DType.F32, DType.I64, DType.I32, DType.BOOL)
"""What values can be."""
INDICES = (DType.I32, DType.I64)
"""What positions and coordinates can be; one type for all the arrays of a tensor."""
MOST_INDEX = {DType.I32: 2**31 - 1, DType.I64: 2**63 - 1}


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """``levels[k]`` holds the arrays of level k as its kind lists them, ``values`` one value per position of
    the last level; all are 1-D and contiguous. What is not stored is ``fill``.

    Made of parts that are known to fit; ``check`` proves it for parts that come from outside. ``memo``: what
    was worked out from these very arrays, such as the same tensor in another format.
    """

    format: Format
    shape: tuple[int, ...]
    levels: tuple[tuple[NDArray[Any], ...], ...]
    values: NDArray[Any]
    fill: int | float | bool = 0
    index: DType = DType.I32
    memo: dict[Any, Any] = field(init=False, default_factory=dict[Any, Any], repr=False)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> DType:
        return DType.of(self.values.dtype)

    @property
    def stored(self) -> int:
        """How many values are stored, explicit zeros among them."""
        last = self.levels[-1] if self.levels else ()
        if last and not self.format.levels[-1].compact:
            return int(last[0].sum())
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """Bytes of everything that is kept."""
        return self.values.nbytes + sum(a.nbytes for level in self.levels for a in level)

    def addresses(self) -> tuple[int, ...]:
        """Where its arrays are in memory, level by level, the values last."""
        found = self.memo.get("addresses")
        if found is None:
            arrays = [array for level in self.levels for array in level]
            found = tuple([address_of(array) for array in (*arrays, self.values)])
            self.memo["addresses"] = found
        return found

    def seen_as(self, format: Format, shape: tuple[int, ...]) -> Storage:  # noqa: A002 (what it is)
        """The very same arrays under a format and shape that they suit as well."""
        found = Storage(format, shape, self.levels, self.values, self.fill, self.index)
        # Worked out once for all that share them.
        found.memo["addresses"] = self.addresses()
        return found

    def counts(self) -> tuple[int, ...]:
        """Positions of each level; of the last one, as many as values."""
        found: list[int] = []
        parents = 1
        sizes = self.format.level_sizes(self.shape)
        for level, arrays, size in zip(self.format.levels, self.levels, sizes, strict=True):
            parents = parents * size if level.located else len(arrays[-1])
            found.append(parents)
        return tuple(found)


def check(storage: Storage, name: str) -> Storage:
    """The same storage; FormatError unless every array is what the format says. ``name``: in messages."""
    form = storage.format
    check_shape(storage.shape, name)
    require(
        form.rank == len(storage.shape),
        FormatError,
        f"{name}: format {form.short} has {form.rank} modes, but the shape is {storage.shape}",
    )
    for mode, size in enumerate(form.block):
        require(
            storage.shape[mode] % size == 0,
            FormatError,
            f"{name}: mode {mode} has size {storage.shape[mode]}, which is no multiple of the block's {size}",
        )
    require(
        storage.dtype in VALUES,
        InputError,
        f"{name}: values are {storage.values.dtype}: use float64, float32, int64, int32 or bool",
    )
    parents = 1
    parts = zip(form.levels, storage.levels, form.level_sizes(storage.shape), strict=True)
    for at, (level, arrays, size) in enumerate(parts):
        where = f"{name}, mode {form.order[at % form.rank]} ({level.name})"
        require(
            len(arrays) == len(level.arrays),
            FormatError,
            f"{where}: {len(arrays)} arrays, but it keeps {len(level.arrays)}",
        )
        for array, (what, element) in zip(arrays, level.arrays, strict=True):
            wanted = storage.index.numpy() if element == "index" else np.dtype("uint8")
            _check_array(array, wanted, f"{where}: {what}")
        parents = level.check(arrays, parents, size, where)
        require(parents < 2**62, FormatError, f"{where}: {parents} positions cannot be addressed")
        if isinstance(level, Singleton) and level.unique:
            _check_run(storage, at, name)
    _check_array(storage.values, storage.values.dtype, f"{name}: values")
    require(
        len(storage.values) == parents,
        FormatError,
        f"{name}: {len(storage.values)} values, but the levels have {parents} positions",
    )
    return storage


def _check_run(storage: Storage, last: int, name: str) -> None:
    """OrderError unless the coordinates of the run that ends at level ``last`` ascend and none stands twice.

    A run is a level that is not unique with the singletons below it: their coordinates are compared together.
    """
    first = last
    while isinstance(storage.format.levels[first], Singleton):
        first -= 1
    pos = storage.levels[first][0]
    runs = [arrays[-1] for arrays in storage.levels[first : last + 1]]
    count = len(runs[0])
    behind, same = np.zeros(max(count - 1, 0), np.bool_), np.ones(max(count - 1, 0), np.bool_)
    for crd in runs:
        behind |= same & (crd[1:] < crd[:-1])
        same &= crd[1:] == crd[:-1]
    behind |= same
    # Where a fiber ends, the next coordinates may be anything.
    inner = pos[1:-1]
    behind[inner[(inner > 0) & (inner < count)] - 1] = False
    if behind.any():
        at = int(behind.argmax())
        here = ", ".join(str(crd[at + 1]) for crd in runs)
        wrong = "stand twice" if same[at] else "come before those they follow"
        raise OrderError(
            f"{name}: coordinates ({here}) {wrong}: pass the data through aerogel.tensor, which sorts "
            "and sums"
        )


def _check_array(array: NDArray[Any], wanted: np.dtype[Any], what: str) -> None:
    require(
        array.ndim == 1 and array.flags.c_contiguous and array.dtype == wanted,
        FormatError,
        f"{what} must be a contiguous 1-D array of {wanted}, but is {array.dtype} of shape {array.shape}",
    )


def check_shape(shape: tuple[int, ...], name: str) -> None:
    """FormatError for a negative extent, or one that no coordinate can count."""
    for mode, size in enumerate(shape):
        if size < 0:
            raise FormatError(f"{name}: mode {mode} has size {size}: it must be 0 or more")
        if size >= 2**63:
            raise FormatError(f"{name}: mode {mode} is larger than 2^63 - 1")


def index_type(shape: tuple[int, ...], stored: int) -> DType:
    """The smallest type that counts every coordinate and every position."""
    return DType.I32 if max((stored, *shape), default=0) <= MOST_INDEX[DType.I32] else DType.I64


def dense(values: NDArray[Any], fill: Fill = 0) -> Storage:
    """The storage of a NumPy array, which is not copied where it is contiguous in some order of modes."""
    order = _STRAIGHT[values.ndim]
    if not values.flags.c_contiguous:
        # The order in which strides fall: a transposed array is contiguous in it.
        order = tuple(sorted(order, key=lambda mode: (-abs(values.strides[mode]), mode)))
        if values.transpose(order).flags.c_contiguous:
            values = values.transpose(order)
        else:
            values, order = np.ascontiguousarray(values), _STRAIGHT[values.ndim]
    shape = values.shape
    if order != _STRAIGHT[values.ndim]:
        shape = tuple(shape[order.index(mode)] for mode in range(values.ndim))
    return Storage(dense_format(order), shape, ((),) * values.ndim, values.reshape(-1), fill)


_STRAIGHT = [tuple(range(rank)) for rank in range(65)]
"""The modes in order, for every rank that NumPy has."""


@cache
def dense_format(order: tuple[int, ...]) -> Format:
    """All modes dense, stored in ``order``."""
    return Format((LEVELS["dense"],) * len(order), order)
