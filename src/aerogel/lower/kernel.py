"""A scheduled einsum as machine code, and the calls of it: memory for the output, threads, phases."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError, require
from aerogel.core.memory import address_of
from aerogel.core.scratch import Scratch
from aerogel.core.target import Target
from aerogel.einsum.arithmetic import FOLDS
from aerogel.einsum.nodes import ReduceOp, accesses
from aerogel.formats.storage import MOST_INDEX, Storage
from aerogel.lower.algebra import fold_of
from aerogel.lower.bound import may_fill_once, row_bound
from aerogel.lower.emit import Phase, module
from aerogel.lower.operand import Stored
from aerogel.lower.scheduled import PARTS, Scheduled
from aerogel.lower.split import cuts
from aerogel.lower.workspace import sizes
from aerogel.native.calling import Compiled, words_type
from aerogel.native.compiler import compile as compile_
from aerogel.native.pool import pool

ROOM = 1 << 26
"""Elements that are asked for, at most, before it is known how many are needed."""
COPIED_BYTES = 16 << 20
"""Up to so much room, a result of rows is made elsewhere first: fresh memory is slow to touch."""
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
class Call:
    """One call: its operands, extents and threads, and the words that machine code takes first. ``cuts``: in
    memory of their own, or None for one thread, whose part is all of the outermost loop. ``room``: where each
    thread's part of a result of rows begins, once that is known; None where it would be too much. At first
    it is ``bounded``; once the call was made it is ``exact``, and no part has to be moved again. ``counted``:
    of a result that is counted first, where each row, or each thread's part, begins."""

    storages: Mapping[str, Storage]
    extents: Mapping[str, int]
    threads: int
    head: list[int]
    cuts: NDArray[np.int64] | None
    room: NDArray[np.int64] | None = None
    bounded: bool = False
    exact: bool = False
    counted: NDArray[np.int64] | None = None


class Kernel:
    """The machine code of one schedule; compiled when first called, phase by phase."""

    def __init__(self, scheduled: Scheduled, target: Target) -> None:
        self.scheduled, self.target = scheduled, target
        self._phases: dict[Phase, Compiled] = {}
        self._spaces: list[tuple[tuple[int, int], list[NDArray[Any]]]] = []
        self._marks: list[tuple[tuple[int, ...], list[NDArray[Any]]]] = []
        self._fold: ReduceOp = fold_of(scheduled.assignment.expr)
        self.covers = _covers(scheduled)
        self._once = may_fill_once(scheduled)
        self._names = [operand.name for operand in scheduled.operands]

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
        threads = pool().ready(threads) if self.scheduled.parallel and threads > 1 else 1
        return self.make(self.call(storages, extents, threads))

    def call(self, storages: Mapping[str, Storage], extents: Mapping[str, int], threads: int) -> Call:
        """A call to be made once or more often, on as many threads as ``Pool.ready`` said."""
        scheduled, order = self.scheduled, self.scheduled.order
        outer = extents[order[0]] if order else 1
        head: list[int] = []
        for name in self._names:
            head += storages[name].addresses()
        for index in order:
            head.append(extents[index])
        if scheduled.partial:
            bounds = cuts(scheduled, storages, outer, PARTS)
        else:
            bounds = cuts(scheduled, storages, outer, threads) if threads > 1 else None
        return Call(storages, extents, threads, head, bounds)

    def make(self, call: Call) -> Storage | Listed:
        """The output of one call."""
        try:
            return self._made(call)
        except MemoryError as error:
            name, form = self.scheduled.assignment.out.tensor, self.scheduled.out.short
            raise InputError(
                f"the result {name} as {form}: {error}: ask for a sparser format with out_format="
            ) from error

    def _made(self, call: Call) -> Storage | Listed:
        match self.scheduled.assembly:
            case "dense":
                return self._dense(call)
            case "pattern":
                return self._pattern(call)
            case "rows":
                return self._rows(call)
            case "coordinates":
                return self._listed(call)

    def _run(self, phase: Phase, call: Call, arrays: list[NDArray[Any]]) -> None:
        compiled = self._phases.get(phase) or self.phase(phase)
        marks = self._borrow_marks(call) if self.scheduled.hoists else []
        arrays += marks
        words = call.head.copy()
        words.append(0)
        for array in arrays:
            words.append(address_of(array))
        count, order = len(words), self.scheduled.order
        # Behind the arguments lie the cuts of a single thread: all of the outermost loop.
        words += (0, call.extents[order[0]] if order else 1)
        block = words_type(count + 2)(*words)
        address = ctypes.addressof(block)
        block[len(call.head)] = address + 8 * count if call.cuts is None else address_of(call.cuts)
        pool().launch(compiled.address, address, call.threads)
        if marks:
            self._marks.append((tuple(array.size for array in marks), marks))

    # --- outputs --------------------------------------------------------------------------------

    def shape(self, extents: Mapping[str, int]) -> tuple[int, ...]:
        return tuple([extents[i] for i in self.scheduled.assignment.out.indices])

    def _dense(self, call: Call) -> Storage:
        scheduled = self.scheduled
        shape = self.shape(call.extents)
        if scheduled.partial:
            parts = np.empty(PARTS, scheduled.dtype.numpy())
            self._run("run", call, [parts])
            return Storage(
                scheduled.out,
                (),
                (),
                np.asarray(FOLDS[self._fold].reduce(parts), parts.dtype).reshape(1),
                scheduled.assignment.zero,
            )
        values = self._array(prod(shape), covered=self.covers)
        self._run("run", call, [values])
        form = scheduled.out
        return Storage(form, shape, ((),) * len(shape), values, scheduled.assignment.zero)

    def _array(self, count: int, *, covered: bool) -> NDArray[Any]:
        """Room for values, set to what they are where nothing is written."""
        dtype = self.scheduled.dtype
        if count * dtype.itemsize >= LARGEST:
            name = self.scheduled.assignment.out.tensor
            text = f"the result {name} would have {count} values: ask for a sparse one with out_format="
            raise InputError(text)
        try:
            if covered:
                return np.empty(count, dtype.numpy())
            zero = self.scheduled.assignment.zero
            return np.zeros(count, dtype.numpy()) if zero == 0 else np.full(count, zero, dtype.numpy())
        except MemoryError as error:
            name, wide = self.scheduled.assignment.out.tensor, count * dtype.itemsize
            raise InputError(
                f"the result {name} takes {wide} bytes, which cannot be had: ask for a sparse one with "
                "out_format="
            ) from error

    def _pattern(self, call: Call) -> Storage:
        scheduled = self.scheduled
        assert scheduled.pattern is not None
        twin = call.storages[scheduled.pattern]
        values = self._array(self.pattern_size(twin, call.extents), covered=self.covers)
        self._run("run", call, [values])
        zero = scheduled.assignment.zero
        levels = self.pattern_levels(twin)
        return Storage(scheduled.out, self.shape(call.extents), levels, values, zero, twin.index)

    def pattern_size(self, twin: Storage, extents: Mapping[str, int]) -> int:
        """How many values an output has that shares the first levels of ``twin``."""
        return twin.counts()[self.scheduled.appended - 1] * prod(self._split(extents)[1])

    def pattern_levels(self, twin: Storage) -> tuple[tuple[NDArray[Any], ...], ...]:
        """The levels of such an output."""
        shared = self.scheduled.appended
        return (*twin.levels[:shared], *((),) * (len(self.scheduled.out_indices) - shared))

    def _rows(self, call: Call) -> Storage:
        if self._once and not call.bounded:
            # Operands do not change: neither does this, when the call is made again.
            call.room, call.bounded = self._bounds(call), True
        return self._counted_rows(call) if call.room is None else self._filled_once(call, call.room)

    def _bounds(self, call: Call) -> NDArray[np.int64] | None:
        """Where each thread's part begins if each gets the room it may need; None where that is too much."""
        counts = np.zeros(call.threads + 1, np.int64)
        if self.scheduled.scatter:
            self._run("bound", call, [counts[1:]])
        else:
            edges = _edges(call, call.extents[self.scheduled.order[0]])
            counts[1:] = row_bound(self.scheduled, call.storages, edges)
        starts = np.cumsum(counts)
        return starts if starts[-1] <= ROOM else None

    def _filled_once(self, call: Call, starts: NDArray[np.int64]) -> Storage:
        """All rows in one pass, each thread into a part of its own; then the parts are moved together."""
        scheduled, extents = self.scheduled, call.extents
        rows, room = extents[scheduled.order[0]], int(starts[-1])
        index, dtype = scheduled.index.numpy(), scheduled.dtype.numpy()
        # Where little may be needed it is filled in memory that stays, and copied; else where it is to stay.
        copied = not call.exact and room * (index.itemsize + dtype.itemsize) <= COPIED_BYTES
        with Scratch() as scratch:
            array = scratch.array if copied else np.empty
            ends, crd, values = scratch.array(rows, np.int64), array(room, index), array(room, dtype)
            spaces = self._borrow(call)
            self._run("once", call, [starts, ends, crd, values, *spaces])
            self._give_back(call, spaces)
            if call.cuts is None:
                pos = np.zeros(rows + 1, index)
                pos[1:] = ends
                total = int(ends[-1]) if rows else 0
                made = (crd[:total].copy(), values[:total].copy()) if copied else (crd, values)
            else:
                pos, parts = _together(ends, starts, call.cuts.tolist(), index)
                total = int(pos[-1])
                made = (np.empty(total, index), np.empty(total, dtype)) if copied else (crd, values)
                for begin, end, at in parts:
                    if copied or begin != at:
                        for target, source in zip(made, (crd, values), strict=True):
                            target[at : at + end - begin] = source[begin:end]
        if not copied:
            # Pages that were never written cost nothing, but a caller may keep the result for long.
            crd.resize(total, refcheck=False)
            values.resize(total, refcheck=False)
        if not call.exact:
            # Operands do not change: made again, the call leaves as much in each part.
            call.room, call.exact = pos[_edges(call, rows)].astype(np.int64), True
        levels = ((), (pos, made[0]))
        zero = scheduled.assignment.zero
        return Storage(scheduled.out, self.shape(extents), levels, made[1], zero, scheduled.index)

    def _counted_rows(self, call: Call) -> Storage:
        """Rows counted in one pass, and filled in in a second."""
        scheduled, extents = self.scheduled, call.extents
        heads, tails = self._split(extents)
        spaces = self._borrow(call)
        starts = self._counts(call, prod(heads[:-1]), spaces)
        total = int(starts[-1])
        self._check_index(total)
        block = prod(tails)
        crd = np.empty(total, scheduled.index.numpy())
        values = self._array(total * block, covered=self.covers)
        self._run("fill", call, [starts, crd, values, *spaces])
        self._give_back(call, spaces)
        pos = starts.astype(scheduled.index.numpy())
        levels = (*((),) * (len(heads) - 1), (pos, crd), *((),) * len(tails))
        zero = scheduled.assignment.zero
        return Storage(scheduled.out, self.shape(extents), levels, values, zero, scheduled.index)

    def _listed(self, call: Call) -> Listed:
        scheduled = self.scheduled
        heads, tails = self._split(call.extents)
        spaces = self._borrow(call)
        starts = self._counts(call, call.threads, spaces)
        total = int(starts[-1])
        block = prod(tails)
        coordinates = [np.empty(total, scheduled.index.numpy()) for _ in heads]
        values = self._array(total * block, covered=self.covers)
        self._run("fill", call, [starts, *coordinates, values, *spaces])
        self._give_back(call, spaces)
        return Listed(scheduled.out_indices[: len(heads)], tuple(coordinates), values)

    def _counts(self, call: Call, parts: int, spaces: list[NDArray[Any]]) -> NDArray[np.int64]:
        """Where each part of the result begins, and where the last one ends: counted when first asked."""
        if call.counted is None:
            counts = np.zeros(parts + 1, np.int64)
            self._run("count", call, [counts[1:], *spaces])
            call.counted = np.cumsum(counts, out=counts)
        return call.counted

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

    def _borrow_marks(self, call: Call) -> list[NDArray[Any]]:
        """Room for spread fibers, all zero; kept from call to call."""
        operands = {operand.name: operand.index for operand in self.scheduled.operands}
        wanted = tuple(call.extents[hoist.along] * call.threads for hoist in self.scheduled.hoists)
        while self._marks:
            found, arrays = self._marks.pop()
            if found == wanted:
                return arrays
        dtypes = [operands[hoist.access.tensor].numpy() for hoist in self.scheduled.hoists]
        return [np.zeros(size, dtype) for size, dtype in zip(wanted, dtypes, strict=True)]

    # --- workspaces -----------------------------------------------------------------------------

    def _borrow(self, call: Call) -> list[NDArray[Any]]:
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

    def _give_back(self, call: Call, spaces: list[NDArray[Any]]) -> None:
        if spaces:
            self._spaces.append(((call.extents[self.scheduled.out_indices[-1]], call.threads), spaces))


def _edges(call: Call, rows: int) -> NDArray[np.int64]:
    """The rows at which the threads' parts begin, and where the last one ends."""
    return np.array([0, rows]) if call.cuts is None else call.cuts


def _together(
    ends: NDArray[np.int64], starts: NDArray[np.int64], edges: Sequence[int], index: np.dtype[Any]
) -> tuple[NDArray[Any], list[tuple[int, int, int]]]:
    """Where each row begins once the parts of all threads lie one after the other; and of each part where it
    begins, where it ends, and where it then lies. ``ends``: of each row, in the part it is in."""
    pos = np.zeros(len(ends) + 1, index)
    parts: list[tuple[int, int, int]] = []
    total = 0
    for begin, first, last in zip(starts[:-1].tolist(), edges[:-1], edges[1:], strict=True):
        if last > first:
            end = int(ends[last - 1])
            np.subtract(ends[first:last], begin - total, out=pos[first + 1 : last + 1], casting="unsafe")
            parts.append((begin, end, total))
            total += end - begin
    return pos, parts


def _covers(scheduled: Scheduled) -> bool:
    """Whether the values of an output are all written: every loop over it visits all there is, but for the
    loops that make, or share, its sparse levels."""
    if scheduled.scatter:
        return False
    operands = {operand.name: operand for operand in scheduled.operands}
    dense = scheduled.out_indices[scheduled.appended :]
    for access in accesses(scheduled.assignment.expr):
        stored = Stored.of(access, operands[access.tensor])
        for at, index in enumerate(stored.indices):
            if index in dense and not stored.level(at).full:
                return False
    return True


@cache
def kernel(scheduled: Scheduled, target: Target) -> Kernel:
    """The kernel of a schedule in this process."""
    return Kernel(scheduled, target)
