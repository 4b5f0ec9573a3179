"""The same call again: its arguments lie ready in memory, but for the arrays that differ.

In a loop, most of a small call is finding out once more what is known from the last one. A call with the same
text and options, the very same tensors, and arrays of the same types and shapes is taken from here: it fills
in where its arrays and its result are, and runs. What is kept goes with the tensors it was made for.
"""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.environment import RAW
from aerogel.core.memory import address_of
from aerogel.formats.storage import VALUES, Storage
from aerogel.lower.kernel import Call
from aerogel.lower.split import cuts
from aerogel.native.calling import words_type
from aerogel.native.pool import pool
from aerogel.tensor.presented import presented
from aerogel.tensor.request import Prepared
from aerogel.tensor.tensor import Tensor

MOST = 256
"""Calls that are kept; of more, all are forgotten and the next ones kept."""
LARGEST = 1 << 32
"""Bytes of a result, at most: larger ones may not be had, which the long way says better."""
NOT_SO: Any = object()
"""What a call that was kept answers where its arguments must be looked into after all."""
_PLAIN = frozenset(dtype.numpy() for dtype in VALUES)
_first: Any = ctypes.c_char.from_buffer
_addressof = ctypes.addressof
_kept: dict[Any, _Again] = {}


class _Again(Protocol):
    """One call; ``gone``: looks out for the end of the tensors it was made for."""

    gone: tuple[weakref.ref[Tensor], ...]

    def run(self, operands: Sequence[Any], threads: int) -> Any:
        """The result for operands like those it was made for, or NOT_SO."""
        ...


@dataclass(slots=True)
class _Filled:
    """A call with a dense result, or one that has the pattern of an operand.

    ``words``: its argument block; ``fills``: which of them are addresses of arrays that change, and which
    operand each is. ``levels``: those that a sparse result shares with an operand, None of a dense one.
    ``blocks``: per number of threads, blocks that nobody uses, each with its address.
    """

    gone: tuple[weakref.ref[Tensor], ...]
    prepared: Prepared
    words: list[int]
    fills: tuple[tuple[int, int], ...]
    storages: Mapping[str, Storage]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    whole: tuple[int, ...]
    extent: int
    cuts_at: int
    out_at: int
    address: int
    covered: bool
    levels: tuple[tuple[NDArray[Any], ...], ...] | None
    index: DType
    blocks: dict[int, list[tuple[Any, int]]] = field(default_factory=dict[int, list[tuple[Any, int]]])
    shares: dict[int, NDArray[np.int64]] = field(default_factory=dict[int, NDArray[np.int64]])

    def run(self, operands: Sequence[Any], threads: int) -> Any:
        count = self.prepared.threads(threads)
        try:
            free = self.blocks[count]
            block, address = free.pop()
        except (KeyError, IndexError):
            free = self.blocks.setdefault(count, [])
            block, address = self.block(count)
        try:
            for at, position in self.fills:
                # Refused for what is not contiguous: the long way copies it.
                block[at] = _addressof(_first(operands[position]))
        except (TypeError, ValueError, BufferError):
            if not self.fill(block, operands):
                return NOT_SO
        if self.covered:
            out = np.empty(self.shape, self.dtype)
        else:
            out = self.blank()
        block[self.out_at] = address_of(out)
        pool().launch(self.address, address, count)
        free.append((block, address))
        if self.levels is not None:
            zero = self.prepared.choice.scheduled.assignment.zero
            form = self.prepared.choice.scheduled.out
            return Tensor(Storage(form, self.whole, self.levels, out, zero, self.index))
        return out if self.shape else out[()]

    def fill(self, block: Any, operands: Sequence[Any]) -> bool:
        """As in ``run``, also for arrays that are empty or must not be written."""
        for at, position in self.fills:
            array = operands[position]
            if not array.flags.c_contiguous:
                return False
            block[at] = array.ctypes.data
        return True

    def blank(self) -> NDArray[Any]:
        """A result as it is where nothing is written."""
        zero = self.prepared.choice.scheduled.assignment.zero
        return np.zeros(self.shape, self.dtype) if zero == 0 else np.full(self.shape, zero, self.dtype)

    def block(self, count: int) -> tuple[Any, int]:
        """A new block for so many threads."""
        size = len(self.words)
        # Behind the arguments lie the cuts of a single thread.
        block = words_type(size + 2)(*self.words, 0, self.extent)
        address = _addressof(block)
        block[self.cuts_at] = address + 8 * size if count == 1 else self.share(count)
        return block, address

    def share(self, count: int) -> int:
        """Where the cuts between so many threads are."""
        found = self.shares.get(count)
        if found is None:
            found = cuts(self.prepared.choice.scheduled, self.storages, self.extent, count)
            found = self.shares.setdefault(count, found)
        return address_of(found)


@dataclass(slots=True)
class _Made:
    """A call of tensors alone, whose result is put together; ``calls``: per number of threads."""

    gone: tuple[weakref.ref[Tensor], ...]
    prepared: Prepared
    given: Mapping[str, Storage]
    calls: dict[int, Call] = field(default_factory=dict[int, Call])

    def run(self, operands: Sequence[Any], threads: int) -> Any:
        del operands
        count = self.prepared.threads(threads)
        call = self.calls.get(count)
        if call is None:
            call = self.calls[count] = self.prepared.call(self.given, count)
        return presented(self.prepared.made(call))


def signature(spelt: Any, wanted: tuple[Any, ...], operands: Sequence[Any]) -> Any:
    """What calls that are the same have in common; None where some operand must be looked into first."""
    parts: list[Any] = [spelt, wanted, RAW.get(b"AEROGEL_TARGET")]
    for value in operands:
        kind = type(value)
        if kind is Tensor:
            # Nobody else gets this number while it lives, and what is kept goes before it does.
            parts.append(id(value))
        elif kind is np.ndarray:
            parts += (value.dtype, value.shape)
        else:
            return None
    return tuple(parts)


def find(key: Any) -> _Again | None:
    """The call that was kept under ``key``."""
    try:
        return _kept.get(key)
    except TypeError:
        # An option that is not what it should be: the long way says so.
        return None


def keep(
    key: Any, prepared: Prepared, names: Sequence[str], operands: Sequence[Any], given: Mapping[str, Storage]
) -> None:
    """Keeps a call that was made, where it is one of those that can be; ``given``: the operands' storages."""
    tensors = [value for value in operands if isinstance(value, Tensor)]
    found = _filled(prepared, names, operands, given)
    if found is None and len(tensors) == len(operands):
        found = _Made((), prepared, given)
    if found is None:
        return
    if len(_kept) >= MOST:
        _kept.clear()
    found.gone = tuple([weakref.ref(tensor, lambda _: _kept.pop(key, None)) for tensor in tensors])
    # Of two options that say the same one may be a list, which cannot be looked for.
    with contextlib.suppress(TypeError):
        _kept[key] = found


def _filled(
    prepared: Prepared, names: Sequence[str], operands: Sequence[Any], given: Mapping[str, Storage]
) -> _Filled | None:
    scheduled = prepared.choice.scheduled
    sources, along = prepared.request.sources, prepared.request.along
    if scheduled.partial or scheduled.hoists or prepared.out != scheduled.out or any(along.values()):
        return None
    storages = prepared.stored(given)
    arrays = {
        name: at
        for at, (name, value) in enumerate(zip(names, operands, strict=True))
        if not isinstance(value, Tensor)
    }
    twin = storages[scheduled.pattern] if scheduled.assembly == "pattern" and scheduled.pattern else None
    if twin is not None:
        assert scheduled.pattern is not None
        if sources[scheduled.pattern] in arrays:
            return None
    elif scheduled.assembly != "dense" or not scheduled.out.straight:
        return None
    words: list[int] = []
    fills: list[tuple[int, int]] = []
    for operand in scheduled.operands:
        at = arrays.get(sources[operand.name])
        storage = storages[operand.name]
        if at is not None:
            if not _is_plain(operands[at], storage):
                return None
            fills.append((len(words), at))
        words += storage.addresses()
    extents = prepared.extents(given)
    words += [extents[index] for index in scheduled.order]
    whole = prepared.kernel.shape(extents)
    shape = whole if twin is None else (prepared.kernel.pattern_size(twin, extents),)
    if prod(shape) * scheduled.dtype.itemsize >= LARGEST:
        return None
    return _Filled(
        gone=(),
        prepared=prepared,
        words=[*words, 0, 0],
        fills=tuple(fills),
        # What arrays held is not kept: their next ones come with the call.
        storages={name: storage for name, storage in storages.items() if sources[name] not in arrays},
        shape=shape,
        dtype=scheduled.dtype.numpy(),
        whole=whole,
        extent=extents[scheduled.order[0]] if scheduled.order else 1,
        cuts_at=len(words),
        out_at=len(words) + 1,
        address=prepared.kernel.phase("run").address,
        covered=prepared.kernel.covers,
        levels=None if twin is None else prepared.kernel.pattern_levels(twin),
        index=scheduled.index if twin is None else twin.index,
    )


def _is_plain(array: NDArray[Any], storage: Storage) -> bool:
    """Whether an array is taken as it lies in memory, as others of its type and shape then are too."""
    held = storage.format
    return bool(array.ndim) and array.dtype in _PLAIN and held.dense and held.straight
