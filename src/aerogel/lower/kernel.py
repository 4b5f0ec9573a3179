"""A scheduled einsum as machine code, and the calls of it: memory for the output, threads, phases."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError, require
from aerogel.core.target import Target, current
from aerogel.einsum.nodes import accesses
from aerogel.formats.storage import MOST_INDEX, Storage
from aerogel.lower.emit import Phase, module
from aerogel.lower.operand import Stored
from aerogel.lower.scheduled import Scheduled
from aerogel.lower.split import cuts
from aerogel.lower.workspace import sizes
from aerogel.native.calling import Compiled
from aerogel.native.compiler import compile as compile_
from aerogel.native.pool import pool

LARGEST = 1 << 47
"""Bytes of an array, at most: what a process can address."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A sparse output before its levels are made: coordinates in the order of loops, which ascend and are
    unique, one array for each index that is appended; and the values, with dense blocks below each."""

    indices: tuple[str, ...]
    coordinates: tuple[NDArray[Any], ...]
    values: NDArray[Any]


@dataclass(slots=True)
class _Call:
    """One call: its operands, extents and cuts, as the addresses and numbers that machine code takes."""

    storages: Mapping[str, Storage]
    extents: Mapping[str, int]
    threads: int
    head: list[int]
    kept: list[object]


class Kernel:
    """The machine code of one schedule; compiled when first called, phase by phase."""

    def __init__(self, scheduled: Scheduled, target: Target) -> None:
        self.scheduled, self.target = scheduled, target
        self._phases: dict[Phase, Compiled] = {}
        self._spaces: list[tuple[tuple[int, int], list[NDArray[Any]]]] = []
        self._covers = _covers(scheduled)

    def phase(self, phase: Phase) -> Compiled:
        """The machine code of one phase."""
        found = self._phases.get(phase)
        if found is None:
            found = self._phases[phase] = compile_(module(self.scheduled, phase, self.target), self.target)
        return found

    def __call__(
        self, storages: Mapping[str, Storage], extents: Mapping[str, int], threads: int
    ) -> Storage | Listed:
        """The output for operands stored as the schedule says; sizes are taken to fit ``extents``."""
        scheduled = self.scheduled
        threads = pool().threads(threads) if scheduled.parallel and threads > 1 else 1
        outer = extents[scheduled.order[0]] if scheduled.order else 1
        bounds = cuts(scheduled, storages, outer, threads)
        head: list[int] = []
        for operand in scheduled.operands:
            head += storages[operand.name].addresses()
        head += [extents[index] for index in scheduled.order]
        head.append(bounds.ctypes.data)
        call = _Call(storages, extents, threads, head, [bounds])
        match scheduled.assembly:
            case "dense":
                return self._dense(call)
            case "pattern":
                return self._pattern(call)
            case "rows":
                return self._rows(call)
            case "coordinates":
                return self._listed(call)

    def _run(self, phase: Phase, call: _Call, arrays: list[NDArray[Any]]) -> None:
        compiled = self.phase(phase)
        words = [*call.head, *(a.ctypes.data for a in arrays)]
        block = (ctypes.c_uint64 * len(words))(*words)
        pool().run(compiled.address, ctypes.addressof(block), call.threads)

    # --- outputs --------------------------------------------------------------------------------

    def shape(self, extents: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(extents[i] for i in self.scheduled.assignment.out.indices)

    def _dense(self, call: _Call) -> Storage:
        scheduled = self.scheduled
        shape = self.shape(call.extents)
        count = 1
        for size in shape:
            count *= size
        values = self._array(count, covered=self._covers)
        self._run("run", call, [values])
        form = scheduled.out
        return Storage(form, shape, ((),) * len(shape), values, scheduled.assignment.zero)

    def _array(self, count: int, *, covered: bool) -> NDArray[Any]:
        """Room for values, set to what they are where nothing is written."""
        dtype = self.scheduled.dtype
        name = self.scheduled.assignment.out.tensor
        require(
            count * dtype.itemsize < LARGEST,
            InputError,
            f"the result {name} would have {count} values: ask for a sparse one with out_format=",
        )
        try:
            if covered:
                return np.empty(count, dtype.numpy())
            zero = self.scheduled.assignment.zero
            return np.zeros(count, dtype.numpy()) if zero == 0 else np.full(count, zero, dtype.numpy())
        except MemoryError as error:
            wide = count * dtype.itemsize
            raise InputError(
                f"the result {name} takes {wide} bytes, which cannot be had: ask for a sparse one with "
                "out_format="
            ) from error

    def _pattern(self, call: _Call) -> Storage:
        assert self.scheduled.pattern is not None
        twin = call.storages[self.scheduled.pattern]
        values = np.empty(len(twin.values), self.scheduled.dtype.numpy())
        self._run("run", call, [values])
        return replace(twin, values=values, fill=self.scheduled.assignment.zero)

    def _rows(self, call: _Call) -> Storage:
        scheduled, extents = self.scheduled, call.extents
        heads, tails = self._split(extents)
        rows = 1
        for size in heads[:-1]:
            rows *= size
        starts = np.zeros(rows + 1, np.int64)
        spaces = self._borrow(call)
        self._run("count", call, [starts[1:], *spaces])
        np.cumsum(starts, out=starts)
        total = int(starts[-1])
        self._check_index(total)
        block = 1
        for size in tails:
            block *= size
        crd = np.empty(total, scheduled.index.numpy())
        values = self._array(total * block, covered=not tails or self._covers)
        self._run("fill", call, [starts, crd, values, *spaces])
        self._give_back(call, spaces)
        pos = starts.astype(scheduled.index.numpy())
        levels = (*((),) * (len(heads) - 1), (pos, crd), *((),) * len(tails))
        zero = scheduled.assignment.zero
        return Storage(scheduled.out, self.shape(extents), levels, values, zero, scheduled.index)

    def _listed(self, call: _Call) -> Listed:
        scheduled = self.scheduled
        heads, tails = self._split(call.extents)
        counts = np.zeros(call.threads + 1, np.int64)
        spaces = self._borrow(call)
        self._run("count", call, [counts[1:], *spaces])
        starts = np.cumsum(counts)
        total = int(starts[-1])
        block = 1
        for size in tails:
            block *= size
        coordinates = [np.empty(total, scheduled.index.numpy()) for _ in heads]
        values = self._array(total * block, covered=not tails or self._covers)
        self._run("fill", call, [starts, *coordinates, values, *spaces])
        self._give_back(call, spaces)
        return Listed(scheduled.out_indices[: len(heads)], tuple(coordinates), values)

    def _split(self, extents: Mapping[str, int]) -> tuple[list[int], list[int]]:
        """Extents of the levels that are appended to, or stand above one, and of the dense ones below."""
        all_ = [extents[i] for i in self.scheduled.out_indices]
        return all_[: self.scheduled.appended], all_[self.scheduled.appended :]

    def _check_index(self, total: int) -> None:
        most = MOST_INDEX[self.scheduled.index]
        require(
            total <= most,
            InputError,
            f"the result has {total} values, more than {self.scheduled.index.short} counts: ask for "
            "out_format='coo'",
        )

    # --- workspaces -----------------------------------------------------------------------------

    def _borrow(self, call: _Call) -> list[NDArray[Any]]:
        """Workspaces of all threads, clean; kept from call to call."""
        scheduled = self.scheduled
        if not scheduled.scatter:
            return []
        extent = call.extents[scheduled.out_indices[-1]]
        key = (extent, call.threads)
        # Of two callers at once each takes one that no other has.
        while self._spaces:
            found, arrays = self._spaces.pop()
            if found == key:
                return arrays
        dtypes = (scheduled.compute, DType.U64, DType.U64)
        parts = zip(sizes(extent), dtypes, strict=True)
        return [np.zeros(size * call.threads, dtype.numpy()) for size, dtype in parts]

    def _give_back(self, call: _Call, spaces: list[NDArray[Any]]) -> None:
        if spaces:
            self._spaces.append(((call.extents[self.scheduled.out_indices[-1]], call.threads), spaces))


def _covers(scheduled: Scheduled) -> bool:
    """Whether a dense output is written everywhere: every loop over it visits all there is."""
    if scheduled.scatter:
        return False
    operands = {operand.name: operand for operand in scheduled.operands}
    for access in accesses(scheduled.assignment.expr):
        stored = Stored.of(access, operands[access.tensor])
        for at, index in enumerate(stored.indices):
            if index in scheduled.assignment.out.indices and not stored.level(at).full:
                return False
    return True


@cache
def kernel(scheduled: Scheduled, target: Target) -> Kernel:
    """The kernel of a schedule in this process."""
    return Kernel(scheduled, target)


def kernel_of(scheduled: Scheduled) -> Kernel:
    """The kernel of a schedule for the current target."""
    return kernel(scheduled, current())
