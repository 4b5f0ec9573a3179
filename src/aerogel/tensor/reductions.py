"""Sums, extremes and their kin over some modes; what is not stored counts as what it is (0, mostly).

A result without modes is a NumPy number, with one a NumPy array, with more a sparse tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.folding import Duplicates
from aerogel.convert.pack import pack
from aerogel.convert.unpack import coordinates
from aerogel.core.errors import InputError, require
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import named
from aerogel.tensor.places import grid, known, packed
from aerogel.tensor.stored import Stored

How = Literal["sum", "prod", "max", "min", "any", "all"]
Axes = int | Sequence[int] | None

_NAMES = "abcdefghijklmnopqrstuvwxyz"
_UFUNCS: dict[How, np.ufunc] = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "any": np.logical_or,
    "all": np.logical_and,
}


_FOLDS: dict[How, Duplicates] = {
    "sum": "add",
    "prod": "mul",
    "max": "max",
    "min": "min",
    "any": "or",
    "all": "mul",
}


@dataclass(frozen=True, slots=True)
class _Groups:
    """Values in groups, one per place of the result that has any: its coordinates, the folded value, and how
    many went into it."""

    coords: list[NDArray[Any]]
    values: NDArray[Any]
    counts: NDArray[Any]


def normal_axes(axes: Axes, rank: int) -> tuple[int, ...]:
    """The modes named by ``axes`` (None: all), ascending; InputError for one that is not there."""
    if axes is None:
        return tuple(range(rank))
    given = (axes,) if isinstance(axes, int | np.integer) else tuple(axes)
    for axis in given:
        require(-rank <= axis < rank, InputError, f"axis {axis} is outside the {rank} modes of the tensor")
    found = sorted({int(axis) % rank for axis in given})
    require(len(found) == len(given), InputError, f"axes {given} name a mode twice")
    return tuple(found)


def reduced(
    a: Storage, how: How, axes: Axes = None, *, keepdims: bool = False
) -> Storage | NDArray[Any] | Any:
    """``a`` folded over ``axes``."""
    over = normal_axes(axes, a.rank)
    if a.format.dense:
        return getattr(np, how)(grid(a), axis=over, keepdims=keepdims)
    kept = tuple(mode for mode in range(a.rank) if mode not in over)
    extent = prod(a.shape[mode] for mode in over)
    require(
        extent > 0 or how not in ("max", "min"),
        InputError,
        f"{how} over modes {over} of a tensor of shape {a.shape}: there is nothing to choose from",
    )
    shape = tuple(a.shape[mode] for mode in kept)
    groups = _groups(a, kept, shape, how)
    fill = _ready(np.asarray([a.fill]).astype(a.values.dtype), how)
    found = _with_absent(groups, extent, fill, how)
    nothing = _of_nothing(extent, fill, how, found.dtype)
    return _shaped(a, groups.coords, (found, nothing), kept, keepdims=keepdims)


def summed(x: Stored, axes: Axes) -> NDArray[Any] | None:
    """The sums of a sparse tensor of floats that leave one mode, compiled; None where that is not what is
    wanted."""
    a = x.storage
    if a.values.dtype.kind != "f" or a.fill or a.format.dense or a.rank > len(_NAMES):
        return None
    kept = [mode for mode in range(a.rank) if mode not in normal_axes(axes, a.rank)]
    if len(kept) != 1:
        return None
    from aerogel.tensor.entry import einsum

    names = _NAMES[: a.rank]
    return einsum(f"{names}->{names[kept[0]]}", x, out_format=named("dense", 1))


def _ready(values: NDArray[Any], how: How) -> NDArray[Any]:
    """In the type in which NumPy folds: integers add up in 64 bits, ``any`` and ``all`` ask for not 0."""
    if how in ("any", "all"):
        return values.astype(np.bool_)
    if how in ("sum", "prod") and values.dtype.kind in "ib":
        return values.astype(np.int64)
    return values


def _groups(a: Storage, kept: tuple[int, ...], shape: tuple[int, ...], how: How) -> _Groups:
    if not kept:
        values = a.values if a.format.levels[-1].compact else coordinates(a)[1]
        found = _UFUNCS[how].reduce(_ready(values, how), keepdims=True) if len(values) else values
        return _Groups([], _ready(found, how), np.full(len(found), len(values)))
    all_coords, values = coordinates(a)
    values, coords = _ready(values, how), [all_coords[mode] for mode in kept]
    if how == "sum" and values.dtype.kind == "f" and len(kept) == 1 and shape[0] <= 4 * len(values) + 65_536:
        counts = np.bincount(coords[0], minlength=shape[0])
        totals = np.bincount(coords[0], weights=values, minlength=shape[0]).astype(values.dtype)
        return _Groups([np.arange(shape[0])], totals, counts)
    form = named("coo", len(kept))
    at, found = coordinates(pack(coords, values, shape, form, duplicates=_FOLDS[how]))
    ones = np.ones(len(values), np.int64)
    _, counts = coordinates(pack(coords, ones, shape, form))
    return _Groups(list(at), found, counts)


def _with_absent(groups: _Groups, extent: int, fill: NDArray[Any], how: How) -> NDArray[Any]:
    """The folded values with what is not stored in each group."""
    # More places than 64 bits count are counted roughly.
    absent = (extent if extent < 2**62 else float(extent)) - groups.counts
    values = groups.values
    if how == "sum":
        # Infinity times none would be NaN.
        more = fill * np.maximum(absent, 1)
        return np.where(absent > 0, values + more.astype(values.dtype), values)
    if how == "prod":
        return (values * fill**absent).astype(values.dtype)
    return np.where(absent > 0, _UFUNCS[how](values, fill), values)


def _of_nothing(extent: int, fill: NDArray[Any], how: How, kind: np.dtype[Any]) -> Any:
    """Where nothing is stored at all."""
    if how == "sum":
        return kind.type(fill[0].item() * extent) if extent else kind.type(0)
    if how == "prod":
        return kind.type(fill[0] ** min(extent, 2**62))
    if how in ("any", "all") and extent == 0:
        return kind.type(how == "all")
    return kind.type(fill[0])


def _shaped(
    a: Storage,
    coords: list[NDArray[Any]],
    found: tuple[NDArray[Any], Any],
    kept: tuple[int, ...],
    *,
    keepdims: bool,
) -> Storage | NDArray[Any] | Any:
    values, nothing = found
    shape = tuple(a.shape[mode] for mode in kept)
    full = tuple(size if mode in kept else 1 for mode, size in enumerate(a.shape))
    if len(kept) < 2:
        out = np.full(shape, nothing, values.dtype)
        if len(values):
            out[tuple(coords)] = values if kept else values[0]
        if keepdims:
            return out.reshape(full)
        return out if kept else out[()]
    if keepdims:
        by_mode = dict(zip(kept, coords, strict=True))
        zero = np.zeros(len(values), np.int64)
        coords, shape = [by_mode.get(mode, zero) for mode in range(a.rank)], full
    return packed(coords, known(values), shape, None, nothing.item())


def mean(a: Storage, axes: Axes = None, *, keepdims: bool = False) -> Storage | NDArray[Any] | Any:
    """The sum over ``axes`` divided by how many elements there are, stored or not. Of integers: float64."""
    over = normal_axes(axes, a.rank)
    if a.format.dense:
        return np.mean(grid(a), axis=over, keepdims=keepdims)
    kind = np.float64 if a.values.dtype.kind in "ib" else a.values.dtype
    extent = prod(a.shape[mode] for mode in over)
    require(extent > 0, InputError, f"the mean over modes {over} of shape {a.shape} is of nothing")
    wide = Storage(a.format, a.shape, a.levels, a.values.astype(np.float64), float(a.fill), a.index)
    total = reduced(wide, "sum", over, keepdims=keepdims)
    if isinstance(total, Storage):
        scaled = (total.values / extent).astype(kind)
        return Storage(
            total.format, total.shape, total.levels, scaled, float(total.fill / extent), total.index
        )
    return (total / extent).astype(kind)
