"""Parts of a tensor: numbers, slices, ``...``, ``None``, and one array of numbers or booleans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.unpack import coordinates
from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.formats.levels import Compressed, Dense, Singleton
from aerogel.formats.storage import Storage, dense, index_type
from aerogel.formats.tensor_format import Format
from aerogel.tensor.places import grid, packed


@dataclass(frozen=True, slots=True)
class Span:
    """``count`` coordinates from ``start`` on, ``step`` apart."""

    start: int
    step: int
    count: int


Part = int | Span | NDArray[np.int64] | None
"""What is taken of a mode; None: a new mode of extent 1, which takes from none."""


def sliced(a: Storage, key: Any) -> Storage | Any:
    """``a[key]``: a storage, or a number where every mode is fixed. IndexError for what is outside."""
    if a.format.dense:
        return _of_array(a, key)
    a, parts = _led(a, _parts(key, a.shape))
    if len(parts) == a.rank and all(map(_whole, parts, a.shape)):
        return a
    coords, values = coordinates(a)
    taken = [part for part in parts if part is not None]
    at: NDArray[Any] | None = None
    steps: dict[int, NDArray[Any]] = {}
    # What leaves the least comes first.
    for mode in sorted(range(len(taken)), key=lambda mode: (isinstance(taken[mode], Span), mode)):
        part = taken[mode]
        if _whole(part, a.shape[mode]):
            continue
        kept, step = _kept(coords[mode] if at is None else coords[mode][at], part)
        at = kept if at is None else at[kept]
        steps = {m: s[kept] for m, s in steps.items()}
        steps[mode] = step
    for mode in range(a.rank):
        steps.setdefault(mode, coords[mode] if at is None else coords[mode][at])
    return _assembled(a, parts, steps, values if at is None else values[at])


def _whole(part: Part, size: int) -> bool:
    return isinstance(part, Span) and part == Span(0, 1, size)


def _kept(crd: NDArray[Any], part: Part) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which of the coordinates are taken, and which coordinate each becomes."""
    match part:
        case int():
            kept = np.flatnonzero(crd == part)
            return kept, crd[kept]
        case Span(start, step, count):
            last = start + (count - 1) * step
            inside = (
                (crd >= min(start, last)) & (crd <= max(start, last)) if count else np.zeros(len(crd), bool)
            )
            if abs(step) > 1:
                inside &= (crd - start) % step == 0
            kept = np.flatnonzero(inside)
            return kept, (crd[kept] - start) // step
        case _:
            assert part is not None
            return _matches(crd, part)


def _assembled(
    a: Storage, parts: list[Part], steps: dict[int, NDArray[Any]], values: NDArray[Any]
) -> Storage | Any:
    mode = 0
    coords: list[NDArray[Any]] = []
    shape: list[int] = []
    for part in parts:
        if part is None:
            coords.append(np.zeros(len(values), np.int64))
            shape.append(1)
            continue
        if not isinstance(part, int):
            coords.append(steps[mode])
            shape.append(part.count if isinstance(part, Span) else len(part))
        mode += 1
    if not shape:
        return values[0] if len(values) else np.asarray(a.fill).astype(values.dtype)[()]
    return packed(coords, values, tuple(shape), a.format, a.fill)


def _of_array(a: Storage, key: Any) -> Storage | Any:
    try:
        found = grid(a)[key]
    except IndexError as error:
        raise IndexError(f"a tensor of shape {a.shape}: {error}") from error
    return dense(np.array(found), a.fill) if isinstance(found, np.ndarray) else found


def _matches(crd: NDArray[Any], wanted: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which of ``crd`` are taken, as often as they are wanted, and where each goes."""
    order = np.argsort(wanted, kind="stable")
    ordered = wanted[order]
    first, last = np.searchsorted(ordered, crd, "left"), np.searchsorted(ordered, crd, "right")
    times = last - first
    kept = np.repeat(np.arange(len(crd)), times)
    within = np.arange(len(kept)) - np.repeat(np.cumsum(times) - times, times)
    return kept, order[np.repeat(first, times) + within]


# ------------------------------------------------------------------------------------- what is asked for


def _parts(key: Any, shape: tuple[int, ...]) -> list[Part]:
    items = list(key) if isinstance(key, tuple) else [key]
    taking = sum(item is not None and item is not Ellipsis for item in items)
    if taking > len(shape):
        raise IndexError(f"{taking} indices for a tensor of {len(shape)} modes")
    dots = [at for at, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        raise IndexError("'...' may stand once")
    at = dots[0] if dots else len(items)
    items[at : at + 1] = [slice(None)] * (len(shape) - taking)
    sizes = iter(enumerate(shape))
    parts = [None if item is None else _part(item, *next(sizes)) for item in items]
    _check_arrays(parts)
    return parts


def _part(item: Any, mode: int, size: int) -> Part:
    if isinstance(item, slice):
        start, stop, step = item.indices(size)
        count = len(range(start, stop, step))
        return Span(start, step if count > 1 else 1, count)
    if isinstance(item, int | np.integer) and not isinstance(item, bool | np.bool_):
        if not -size <= item < size:
            raise IndexError(f"index {item} is outside mode {mode}, which has {size} coordinates")
        return int(item) % size
    found = np.asarray(item)
    require(
        found.ndim == 1 and (found.dtype.kind in "iub" or not found.size),
        InputError,
        f"mode {mode} is asked for {type(item).__name__}: give a number, a slice, or one array of numbers "
        "or booleans",
    )
    if found.dtype == np.bool_:
        if len(found) != size:
            raise IndexError(f"a mask of {len(found)} for mode {mode}, which has {size} coordinates")
        return np.flatnonzero(found)
    found = found.astype(np.int64)
    wrong = (found < -size) | (found >= size)
    if wrong.any():
        raise IndexError(f"index {found[wrong][0]} is outside mode {mode}, which has {size} coordinates")
    return np.where(found < 0, found + size, found)


def _check_arrays(parts: list[Part]) -> None:
    """One array; and numbers beside it only where NumPy, too, leaves its mode where it stands."""
    arrays = [at for at, part in enumerate(parts) if isinstance(part, np.ndarray)]
    require(
        len(arrays) < 2,
        UnsupportedError,
        "arrays for two modes at once: take one after the other, as in t[rows][:, columns]",
    )
    fixed = [at for at, part in enumerate(parts) if isinstance(part, int)]
    if arrays and fixed:
        span = range(min(arrays + fixed), max(arrays + fixed) + 1)
        require(
            all(at in arrays or at in fixed for at in span),
            UnsupportedError,
            "a number and an array with a slice between them: take one after the other",
        )


# ---------------------------------------------------------------------------- the mode that is stored first


def _led(a: Storage, parts: list[Part]) -> tuple[Storage, list[Part]]:
    """Take what is wanted of the mode that is stored first, without a look at the rest; ``parts`` for what is
    left."""
    taken = [at for at, part in enumerate(parts) if part is not None]
    if a.format.block or not taken or not isinstance(a.format.levels[0], Dense | Compressed):
        return a, parts
    mode = a.format.order[0]
    at = taken[mode]
    part = parts[at]
    located = isinstance(a.format.levels[0], Dense)
    match part:
        case int():
            a = cut(a, part, part + 1)
            if located and a.rank > 1:
                return _without_first(a), parts[:at] + parts[at + 1 :]
            rest: Part = 0
        case Span(start, 1, count):
            a, rest = cut(a, start, start + count) if count else cut(a, 0, 0), Span(0, 1, count)
        case Span(start, step, count) if located:
            a, rest = taken_fibers(a, start + np.arange(count) * step), Span(0, 1, count)
        case np.ndarray() if located:
            a, rest = taken_fibers(a, part), Span(0, 1, len(part))
        case _:
            return a, parts
    return a, [rest if here == at else other for here, other in enumerate(parts)]


def _without_first(a: Storage) -> Storage:
    """``a`` without its first mode in the order of storage, which is dense and has extent 1."""
    gone, form = a.format.order[0], a.format
    order = tuple(mode - (mode > gone) for mode in form.order[1:])
    shape = (*a.shape[:gone], *a.shape[gone + 1 :])
    return replace(a, format=Format(form.levels[1:], order), shape=shape, levels=a.levels[1:])


def taken_fibers(a: Storage, rows: NDArray[np.int64]) -> Storage:
    """Coordinates ``rows``, in any order and as often as wanted, of the mode stored first, which is dense."""
    levels: list[tuple[NDArray[Any], ...]] = [()]
    at = rows
    sizes = a.format.level_sizes(a.shape)
    for level, arrays, size in list(zip(a.format.levels, a.levels, sizes, strict=True))[1:]:
        match level:
            case Compressed():
                pos, crd = arrays
                begins, counts = pos[at].astype(np.int64), pos[at + 1] - pos[at]
                ends = np.cumsum(counts, dtype=np.int64)
                at = np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - ends + counts, counts)
                levels.append((np.append(0, ends).astype(pos.dtype), crd[at]))
            case Singleton():
                levels.append((arrays[0][at],))
            case _:
                at = (at[:, None] * size + np.arange(size)).reshape(-1)
                levels.append(tuple(array[at] for array in arrays))
    mode = a.format.order[0]
    shape = (*a.shape[:mode], len(rows), *a.shape[mode + 1 :])
    if index_type(shape, len(at)) is DType.I64 and a.index is DType.I32:
        raise UnsupportedError(
            f"a part of shape {shape} with {len(at)} values needs larger positions: take less"
        )
    return replace(a, shape=shape, levels=tuple(levels), values=a.values[at])


def cut(a: Storage, low: int, high: int) -> Storage:
    """Coordinates ``low`` to ``high`` of the mode that is stored first, counted from 0; no other is seen."""
    levels: list[tuple[NDArray[Any], ...]] = []
    begin, end = 0, 1
    sizes = a.format.level_sizes(a.shape)
    for at, (level, arrays, size) in enumerate(zip(a.format.levels, a.levels, sizes, strict=True)):
        match level:
            case Compressed() if at == 0:
                crd = arrays[1]
                begin, end = (int(found) for found in np.searchsorted(crd, [low, high]))
                levels.append((np.array([0, end - begin], crd.dtype), crd[begin:end] - crd.dtype.type(low)))
            case Compressed():
                pos = arrays[0][begin : end + 1]
                begin, end = int(pos[0]), int(pos[-1])
                levels.append((pos - pos[0], arrays[1][begin:end]))
            case Singleton():
                levels.append((arrays[0][begin:end],))
            case _:
                begin, end = (low, high) if at == 0 else (begin * size, end * size)
                levels.append(tuple(array[begin:end] for array in arrays))
    mode = a.format.order[0]
    shape = (*a.shape[:mode], high - low, *a.shape[mode + 1 :])
    return replace(a, shape=shape, levels=tuple(levels), values=a.values[begin:end])


def diagonal(a: Storage, offset: int = 0, modes: Sequence[int] = (0, 1)) -> Storage:
    """What stands where coordinate ``modes[1]`` is ``offset`` more than ``modes[0]``; its mode comes last."""
    require(a.rank >= 2, InputError, f"a diagonal needs two modes, the tensor has {a.rank}")
    one, other = (mode % a.rank for mode in modes)
    require(one != other, InputError, "the diagonal of one mode with itself")
    size = max(0, min(a.shape[one] + min(offset, 0), a.shape[other] - max(offset, 0)))
    shape = tuple(n for mode, n in enumerate(a.shape) if mode not in (one, other))
    if a.format.dense:
        return dense(np.array(np.diagonal(grid(a), offset, one, other)), a.fill)
    coords, values = coordinates(a)
    kept = coords[other] - coords[one] == offset if size else np.zeros(len(values), np.bool_)
    offset = offset if size else 0
    left = [crd[kept] for mode, crd in enumerate(coords) if mode not in (one, other)]
    along = coords[one][kept] + min(offset, 0)
    return packed([*left, along], values[kept], (*shape, size), None, a.fill)
