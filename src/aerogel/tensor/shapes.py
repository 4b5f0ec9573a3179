"""The same values under another shape."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.formats.storage import Storage, dense
from aerogel.tensor.places import grid, packed, places
from aerogel.tensor.reductions import Axes, normal_axes

_PLACES = 2**63


def reshaped(a: Storage, shape: Sequence[int]) -> Storage:
    """``a`` in another shape, the last mode fastest, as NumPy does it; one extent may be -1: what is left."""
    wanted = _filled_in(tuple(int(size) for size in shape), a.shape)
    if wanted == a.shape:
        return a
    if a.format.dense:
        return dense(np.array(grid(a).reshape(wanted), order="C"), a.fill)
    size = prod(a.shape)
    require(
        size < _PLACES,
        UnsupportedError,
        f"a tensor of shape {a.shape} has {size} places: 64 bits do not number them; use squeeze or [None]",
    )
    coords, values = places(a)
    at = np.zeros(len(values), np.int64)
    for crd, extent in zip(coords, a.shape, strict=True):
        at = at * extent + crd
    return packed(_parted(at, wanted), values, wanted, None, a.fill)


def _parted(at: NDArray[np.int64], shape: tuple[int, ...]) -> list[NDArray[np.int64]]:
    out: list[NDArray[np.int64]] = []
    for extent in reversed(shape):
        out.append(at % extent if extent else at)
        at = at // extent if extent else at
    return out[::-1]


def _filled_in(wanted: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    size, known = prod(shape), prod(extent for extent in wanted if extent != -1)
    if wanted.count(-1) == 1 and known > 0 and size % known == 0:
        wanted = tuple(size // known if extent == -1 else extent for extent in wanted)
    require(
        min(wanted, default=0) >= 0 and prod(wanted) == size,
        InputError,
        f"a tensor of shape {shape} has {size} elements: shape {wanted} does not hold as many",
    )
    return wanted


def squeezed(a: Storage, axes: Axes = None) -> Storage:
    """``a`` without the modes ``axes``, all of extent 1; None: without every one of extent 1."""
    ones = tuple(mode for mode, size in enumerate(a.shape) if size == 1)
    gone = ones if axes is None else normal_axes(axes, a.rank)
    require(
        set(gone) <= set(ones),
        InputError,
        f"modes {gone} of a tensor of shape {a.shape}: only those of extent 1 can be left out",
    )
    return _with_modes(a, [mode for mode in range(a.rank) if mode not in gone])


def expanded(a: Storage, axes: int | Sequence[int]) -> Storage:
    """``a`` with a new mode of extent 1 at each of ``axes`` of the result."""
    count = 1 if isinstance(axes, int) else len(axes)
    new = normal_axes(axes, a.rank + count)
    old = iter(range(a.rank))
    return _with_modes(a, [None if mode in new else next(old) for mode in range(a.rank + count)])


def _with_modes(a: Storage, modes: Sequence[int | None]) -> Storage:
    shape = tuple(1 if mode is None else a.shape[mode] for mode in modes)
    if a.format.dense:
        return dense(np.array(grid(a).reshape(shape), order="C"), a.fill)
    coords, values = places(a)
    zero: Any = np.zeros(len(values), np.int64)
    return packed([zero if mode is None else coords[mode] for mode in modes], values, shape, None, a.fill)


def without_zeros(a: Storage) -> Storage:
    """``a`` without stored values that are what stands anyway where nothing is stored."""
    if a.format.dense:
        return a
    coords, values = places(a)
    live = values != np.asarray(a.fill).astype(values.dtype)
    if live.all():
        return a
    return packed([crd[live] for crd in coords], values[live], a.shape, a.format, a.fill)
