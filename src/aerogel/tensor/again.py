"""The same call again: its arguments lie ready in memory, but for the arrays that differ.

In a loop, most of a small call is finding out once more what is known from the last one. A call with the same
text and options, the very same tensors, and arrays of the same types and shapes is taken from here: it fills
in where its arrays and its result are, and runs. Only calls whose result is dense, or has the pattern of an
operand, are kept.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.memory import address_of
from aerogel.formats.storage import VALUES, Storage
from aerogel.lower.choose import LARGE
from aerogel.lower.split import cuts
from aerogel.native.pool import pool
from aerogel.tensor.request import Prepared
from aerogel.tensor.tensor import Tensor

MOST = 256
"""Calls that are kept; of more, all are forgotten and the next ones kept."""
LARGEST = 1 << 32
"""Bytes of a result, at most: larger ones may not be had, which the long way says better."""
_PLAIN = frozenset(dtype.numpy() for dtype in VALUES)
_kept: dict[Any, Ready] = {}


@dataclass(slots=True)
class Ready:
    """One call. ``words``: its argument block; ``fills``: which of them are addresses of arrays that change;
    ``tensors``: those it was made for, by name. ``levels``: those that a
    sparse result shares with an operand, None of a dense one. ``blocks``: per number of threads, blocks that
    nobody uses."""

    prepared: Prepared
    words: list[int]
    fills: tuple[tuple[int, str], ...]
    tensors: tuple[tuple[str, weakref.ref[Tensor]], ...]
    storages: Mapping[str, Storage]
    shape: tuple[int, ...]
    extents: Mapping[str, int]
    extent: int
    cuts_at: int
    out_at: int
    address: int
    parallel: bool
    covered: bool
    levels: tuple[tuple[NDArray[Any], ...], ...] | None
    index: DType
    blocks: dict[int, list[Any]] = field(default_factory=dict[int, list[Any]])
    shares: dict[int, NDArray[np.int64]] = field(default_factory=dict[int, NDArray[np.int64]])

    def fits(self, operands: Mapping[str, Any]) -> bool:
        """Whether the tensors are those it was made for: another may have got the number of one that is
        gone."""
        return all(ref() is operands[name] for name, ref in self.tensors)

    def run(self, operands: Mapping[str, Any], threads: int) -> Any:
        """The result for arrays like those it was made for."""
        count = pool().ready(threads) if self.parallel and threads > 1 else 1
        scheduled = self.prepared.choice.scheduled
        dtype = scheduled.dtype.numpy()
        zero = scheduled.assignment.zero
        if self.covered:
            out = np.empty(self.shape, dtype)
        else:
            out = np.zeros(self.shape, dtype) if zero == 0 else np.full(self.shape, zero, dtype)
        block = self.block(count)
        for at, name in self.fills:
            block[at] = address_of(operands[name])
        block[self.out_at] = address_of(out)
        if count == 1:
            pool().run(self.address, ctypes.addressof(block), 1)
        else:
            pool().start(self.address, ctypes.addressof(block), count)
        self.blocks[count].append(block)
        if self.levels is not None:
            shape = self.prepared.kernel.shape(self.extents)
            return Tensor(Storage(scheduled.out, shape, self.levels, out, zero, self.index))
        return out if self.shape else out[()]

    def block(self, count: int) -> Any:
        """A block for so many threads that no other call uses."""
        free = self.blocks.setdefault(count, [])
        try:
            return free.pop()
        except IndexError:
            pass
        size = len(self.words)
        # Behind the arguments lie the cuts of a single thread.
        block = (ctypes.c_uint64 * (size + 2))(*self.words, 0, self.extent)
        block[self.cuts_at] = ctypes.addressof(block) + 8 * size if count == 1 else self.share(count)
        return block

    def share(self, count: int) -> int:
        """Where the cuts between so many threads are."""
        found = self.shares.get(count)
        if found is None:
            found = cuts(self.prepared.choice.scheduled, self.storages, self.extent, count)
            found = self.shares.setdefault(count, found)
        return address_of(found)


def signature(spelt: tuple[str, str], wanted: tuple[Any, ...], operands: Mapping[str, Any]) -> Any:
    """What calls that are the same have in common; None where some operand must be looked into first."""
    parts: list[Any] = [spelt, wanted, os.environ.get("AEROGEL_TARGET")]
    for name, value in operands.items():
        kind = type(value)
        if kind is Tensor:
            parts += (name, id(value))
        elif kind is np.ndarray and value.dtype in _PLAIN and value.ndim and value.flags.c_contiguous:
            parts += (name, value.dtype.num, value.shape)
        else:
            return None
    return tuple(parts)


def find(key: Any, operands: Mapping[str, Any]) -> Ready | None:
    """The call that was kept under ``key``."""
    try:
        found = _kept.get(key)
    except TypeError:
        # An option that is not what it should be: the long way says so.
        return None
    return found if found is not None and found.fits(operands) else None


def keep(key: Any, prepared: Prepared, operands: Mapping[str, Any], given: Mapping[str, Storage]) -> None:
    """Keeps a call that was made, where it is one of those that can be; ``given``: the operands' storages."""
    scheduled = prepared.choice.scheduled
    if scheduled.partial or scheduled.hoists or prepared.out != scheduled.out:
        return
    storages = prepared.stored(given)
    if scheduled.assembly == "dense":
        twin = None
        if not scheduled.out.straight:
            return
    elif scheduled.assembly == "pattern" and scheduled.pattern is not None:
        twin = storages[scheduled.pattern]
        if not isinstance(operands[prepared.request.sources[scheduled.pattern]], Tensor):
            return
    else:
        return
    if any(prepared.request.along.values()):
        return
    sources = prepared.request.sources
    arrays = {name for name, value in operands.items() if not isinstance(value, Tensor)}
    words: list[int] = []
    fills: list[tuple[int, str]] = []
    for operand in scheduled.operands:
        source = sources[operand.name]
        storage = storages[operand.name]
        if source in arrays:
            if not storage.format.dense or not storage.format.straight:
                return
            fills.append((len(words), source))
        words += storage.addresses()
    extents = prepared.extents(given)
    words += [extents[index] for index in scheduled.order]
    shape = prepared.kernel.shape(extents) if twin is None else (prepared.kernel.pattern_size(twin, extents),)
    if prod(shape) * scheduled.dtype.itemsize >= LARGEST:
        return
    if len(_kept) >= MOST:
        _kept.clear()
    tensors = {name: value for name, value in operands.items() if isinstance(value, Tensor)}
    # What arrays held is not kept: their next ones come with the call.
    held = {name: storage for name, storage in storages.items() if sources[name] in tensors}
    _kept[key] = Ready(
        prepared=prepared,
        words=[*words, 0, 0],
        fills=tuple(fills),
        tensors=tuple((name, weakref.ref(t, lambda _: _kept.pop(key, None))) for name, t in tensors.items()),
        storages=held,
        shape=shape,
        extents=extents,
        extent=extents[scheduled.order[0]] if scheduled.order else 1,
        cuts_at=len(words),
        out_at=len(words) + 1,
        address=prepared.kernel.phase("run").address,
        parallel=scheduled.parallel and prepared.choice.work > LARGE,
        covered=prepared.kernel.covers or (twin is not None and scheduled.appended == scheduled.out.rank),
        levels=None if twin is None else prepared.kernel.pattern_levels(twin),
        index=scheduled.index if twin is None else twin.index,
    )
