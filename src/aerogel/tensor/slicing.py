"""Parts of a tensor: numbers, slices, ``...``, ``None``, and one array of numbers or booleans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.formats.levels import Compressed, Dense, Singleton
from aerogel.formats.storage import Storage, dense
from aerogel.tensor.places import grid, packed, places


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
    parts = _parts(key, a.shape)
    a, parts = _led(a, parts)
    coords, values = places(a)
    taken = [part for part in parts if part is not None]
    at, steps = np.arange(len(values)), dict[int, NDArray[np.int64]]()
    for mode, part in enumerate(taken):
        crd = coords[mode][at]
        match part:
            case int():
                kept = np.flatnonzero(crd == part)
            case Span():
                steps_of = (crd - part.start) // part.step
                inside = (crd - part.start) % part.step == 0
                kept = np.flatnonzero(inside & (steps_of >= 0) & (steps_of < part.count))
                steps[mode] = steps_of
            case _:
                kept, steps[mode] = _matches(crd, part)
                at = at[kept]
                steps = {m: s if m == mode else s[kept] for m, s in steps.items()}
                continue
        at = at[kept]
        steps = {m: s[kept] for m, s in steps.items()}
    return _assembled(a, parts, steps, values[at])


def _assembled(
    a: Storage, parts: list[Part], steps: dict[int, NDArray[np.int64]], values: NDArray[Any]
) -> Storage | Any:
    mode = 0
    coords: list[NDArray[np.int64]] = []
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


def _matches(crd: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
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
        return Span(start, step, len(range(start, stop, step)))
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
    """Cut the level that is stored first, where a number or a stretch of it is wanted, without looking at the
    rest; ``parts`` for what is left."""
    taken = [at for at, part in enumerate(parts) if part is not None]
    if a.format.block or not taken or not isinstance(a.format.levels[0], Dense | Compressed):
        return a, parts
    at = taken[a.format.order[0]]
    part = parts[at]
    if isinstance(part, int):
        low, high, rest = part, part + 1, 0
    elif isinstance(part, Span) and part.step > 0:
        low, high = part.start, part.start + max(part.count - 1, 0) * part.step + (part.count > 0)
        rest = Span(0, part.step, part.count)
    else:
        return a, parts
    if (low, high) == (0, a.shape[a.format.order[0]]):
        return a, parts
    return cut(a, low, high), [rest if here == at else other for here, other in enumerate(parts)]


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
    coords, values = places(a)
    kept = coords[other] - coords[one] == offset
    left = [crd[kept] for mode, crd in enumerate(coords) if mode not in (one, other)]
    along = coords[one][kept] + min(offset, 0)
    return packed([*left, along], values[kept], (*shape, size), None, a.fill)
