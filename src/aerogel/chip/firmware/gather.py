"""Results of pieces put together: those that do not meet side by side, those of summed parts added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.firmware.cuts import Cuts, Numbers
from aerogel.chip.firmware.entries import entries, stored
from aerogel.chip.graph.build import Plan
from aerogel.core.dtypes import DType
from aerogel.core.errors import ChipError, require
from aerogel.formats.storage import Storage, index_type


class Gathered:
    """The result so far. ``additions``: how many values the host has added to others."""

    def __init__(self, plan: Plan, shape: tuple[int, ...], cuts: Cuts) -> None:
        self.plan, self.shape, self.cuts = plan, shape, cuts
        self.additions = 0
        self._dense: NDArray[np.float64] | None = None
        self._seen: set[tuple[int, ...]] = set()
        self._columns: list[list[NDArray[np.int64]]] = []
        self._values: list[NDArray[np.float64]] = []
        if plan.form.dense:
            self._dense = np.full(shape, float(plan.assignment.zero))

    def add(self, arrays: Mapping[str, NDArray[Any]], numbers: Numbers) -> None:
        """The result of a piece: its arrays by role and level, ``pos0``, ``crd0`` ... ``vals``."""
        out = self.plan.assignment.out.indices
        spans = [self.cuts.span(index, numbers[index]) for index in out]
        if self._dense is not None:
            self._add_dense(arrays["vals"], spans, tuple(numbers[i] for i in out))
            return
        places, values = entries(self._storage(arrays))
        inside = np.ones(len(values), np.bool_)
        moved: list[NDArray[np.int64]] = []
        for column, (first, last) in zip(places, spans, strict=True):
            inside &= column < last - first
            moved.append(column + first)
        self._columns.append([column[inside] for column in moved])
        self._values.append(values[inside])

    def _storage(self, arrays: Mapping[str, NDArray[Any]]) -> Storage:
        """A piece's result, of the extents all pieces have."""
        shape = tuple(self.cuts.size(index) for index in self.plan.assignment.out.indices)
        values = arrays["vals"]
        levels: list[tuple[NDArray[Any], ...]] = []
        for at, level in enumerate(self.plan.form.levels):
            levels.append(() if level.full else (arrays[f"pos{at}"], arrays[f"crd{at}"]))
        index = index_type(shape, len(values))
        return Storage(self.plan.form, shape, tuple(levels), values, self.plan.assignment.zero, index)

    def _add_dense(self, values: NDArray[Any], spans: list[tuple[int, int]], key: tuple[int, ...]) -> None:
        assert self._dense is not None
        out, order = self.plan.assignment.out.indices, self.plan.form.order
        shape = tuple(self.cuts.size(out[mode]) for mode in order)
        # Words that were tampered with may run, and write less.
        require(
            len(values) == prod(shape),
            ChipError,
            f"the chip wrote {len(values)} values of a dense piece of the result that has {prod(shape)}: it "
            "was not configured for this expression",
        )
        grid = values.reshape(shape).transpose([order.index(mode) for mode in range(len(order))])
        grid = grid[tuple(slice(0, last - first) for first, last in spans)]
        where = tuple(slice(first, last) for first, last in spans)
        if key in self._seen:
            self._dense[where] += grid
            self.additions += grid.size
        else:
            self._dense[where] = grid
            self._seen.add(key)

    def storage(self, dtype: DType) -> Storage:
        """The whole result, values of type ``dtype``."""
        fill = self.plan.assignment.zero
        if self._dense is not None:
            order = self.plan.form.order
            values = np.ascontiguousarray(self._dense.transpose(order)).reshape(-1)
            index = index_type(self.shape, 0)
            empty = ((),) * len(self.shape)
            return Storage(self.plan.form, self.shape, empty, _as(values, dtype), fill, index)
        columns = tuple(
            np.concatenate([np.zeros(0, np.int64), *(c[mode] for c in self._columns)])
            for mode in range(len(self.shape))
        )
        values = np.concatenate([np.zeros(0), *self._values])
        found = stored(columns, values, self.shape, self.plan.form, fill=fill)
        if not self.plan.form.levels[-1].full:
            self.additions += len(values) - len(found.values)
        return replace(found, values=_as(found.values, dtype))


def _as(values: NDArray[np.float64], dtype: DType) -> NDArray[Any]:
    """ChipError for a value that ``dtype`` does not have: the array computes in its own type."""
    wanted = dtype.numpy()
    if wanted.kind in "iu":
        values = np.rint(values)
        limits = np.iinfo(wanted)
        # The greatest int64 is no double, the next above it is.
        held = (values >= limits.min) & (values < float(limits.max) + 1)
        if not held.all():
            bad = f"{float(values[~held][0]):g}"
            raise ChipError(f"the result has {bad}, which {dtype.short} does not hold: give floats")
    return values.astype(wanted)
