"""A storage of any format to coordinates and values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel import native
from aerogel.convert.assemble import Wanted, memory
from aerogel.convert.bits import BITS
from aerogel.convert.chunks import CHUNKS, CUTS, each_piece, thread_count
from aerogel.convert.counting import narrowed
from aerogel.convert.visit import Visited, arguments, root_cuts
from aerogel.core.dtypes import DType
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import Buf, BufferType, Expr, Function, Load, Module


def coordinates(
    storage: Storage, *, threads: int | None = None
) -> tuple[tuple[NDArray[Any], ...], NDArray[Any]]:
    """(a 1-D array of coordinates for each mode, values), in the order in which they are stored.

    Coordinates are of type ``storage.index``; explicit zeros are kept, and so is every position of a dense
    level. Arrays may be the storage's own: do not write to them. UnsupportedError where memory is short.
    """
    if all(level.compact for level in storage.format.levels):
        return _compact(storage, threads), storage.values
    return _gaps(storage)


def _own(form: Format) -> dict[int, int]:
    """Modes whose coordinates the storage has as they are: one for each value. Mode: level."""
    found: dict[int, int] = {}
    if form.block:
        return found
    for k in reversed(range(form.rank)):
        level = form.levels[k]
        if level.located:
            break
        found[form.order[k]] = k
        if not level.branchless:
            break
    return found


def _compact(storage: Storage, threads: int | None) -> tuple[NDArray[Any], ...]:
    """Positions have no gaps: the value at a position goes to the same place."""
    form = storage.format
    own = _own(form)
    modes = tuple(mode for mode in range(form.rank) if mode not in own)
    count = len(storage.values)
    wanted = Wanted(form, storage.shape, storage.fill, storage.index)
    out = {mode: memory(count, storage.index.numpy(), wanted) for mode in modes}
    if modes:
        pieces = thread_count(count, threads)
        cuts = root_cuts(storage, pieces)
        kernel = _kernel(form, storage.index, modes)
        kernel(pieces, cuts, *arguments(storage), *out.values(), threads=pieces)
    return tuple(out[mode] if mode in out else storage.levels[own[mode]][-1] for mode in range(form.rank))


def _gaps(storage: Storage) -> tuple[tuple[NDArray[Any], ...], NDArray[Any]]:
    """Some positions hold nothing: what is there is written one after another."""
    form, most = storage.format, len(storage.values)
    bits = storage.values.view(BITS[storage.values.itemsize].numpy())
    wanted = Wanted(form, storage.shape, storage.fill, storage.index)
    out = [memory(most, storage.index.numpy(), wanted) for _ in range(form.rank)]
    found, count = np.empty(most, bits.dtype), np.zeros(1, np.int64)
    kernel = _gaps_kernel(form, storage.index, DType.of(bits.dtype))
    kernel(1, root_cuts(storage, 1), *arguments(storage), bits, *out, found, count)
    stored = int(count[0])
    return tuple(array[:stored] for array in out), found[:stored].view(storage.values.dtype)


@cache
def _kernel(form: Format, index: DType, modes: tuple[int, ...]) -> native.Compiled:
    return native.compile(unpack_module(form, index, modes))


@cache
def _gaps_kernel(form: Format, index: DType, bits: DType) -> native.Compiled:
    return native.compile(gaps_module(form, index, bits))


def unpack_module(form: Format, index: DType, modes: Sequence[int]) -> Module:
    """``unpack(chunks, cuts, size0 ..., arrays ..., out ...)``: the coordinates of ``modes``, by position."""
    visited, out = Visited(form, index), [Buf(f"mode{mode}", BufferType(index)) for mode in modes]
    code = Code()

    def leaf(at: Sequence[Expr], position: Expr) -> None:
        for mode, buf in zip(modes, out, strict=True):
            code.store(buf, position, narrowed(coordinate_of(form, at, mode), index))

    with each_piece(code) as (_, begin, end):
        visited.loops(code, begin, end, leaf)
    params = (CHUNKS, CUTS, *visited.params, *out)
    return Module("unpack", (Function("unpack", params, code.done()),))


def gaps_module(form: Format, index: DType, bits: DType) -> Module:
    """``unpack_gaps(chunks, cuts, size0 ..., arrays ..., values, mode0 ..., found, count)``: in one piece."""
    visited, out = Visited(form, index), [Buf(f"mode{m}", BufferType(index)) for m in range(form.rank)]
    values, found = Buf("values", BufferType(bits, const=True)), Buf("found", BufferType(bits))
    count = Buf("count", BufferType(DType.I64))
    code = Code()
    with each_piece(code) as (_, begin, end):
        next_ = code.define(i64(0), "next")

        def leaf(at: Sequence[Expr], position: Expr) -> None:
            for mode, buf in enumerate(out):
                code.store(buf, next_, narrowed(coordinate_of(form, at, mode), index))
            code.store(found, next_, Load(values, position))
            code.assign(next_, next_ + 1)

        visited.loops(code, begin, end, leaf)
        code.store(count, i64(0), next_)
    params = (CHUNKS, CUTS, *visited.params, values, *out, found, count)
    return Module("unpack_gaps", (Function("unpack_gaps", params, code.done()),))


def coordinate_of(form: Format, at: Sequence[Expr], mode: int) -> Expr:
    """The coordinate of a mode from those by level."""
    k = form.order.index(mode)
    return at[k] * form.block[mode] + at[form.rank + k] if form.block else at[k]
