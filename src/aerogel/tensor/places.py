"""Tensors as coordinates and values: for what is decided place by place, and for results in no order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.convert import convert
from aerogel.convert.pack import pack
from aerogel.convert.unpack import coordinates
from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.formats.storage import VALUES, Fill, Storage, dense_format
from aerogel.formats.tensor_format import Format, named


def places(storage: Storage) -> tuple[list[NDArray[np.int64]], NDArray[Any]]:
    """Coordinates (int64) of everything that is stored, by mode, and the values."""
    coords, values = coordinates(storage)
    return [crd.astype(np.int64, copy=False) for crd in coords], values


def packed(
    coords: Sequence[NDArray[Any]],
    values: NDArray[Any],
    shape: tuple[int, ...],
    like: Format | None = None,
    fill: Fill = 0,
) -> Storage:
    """A storage of values whose coordinates differ, in the format ``like`` where that can hold it."""
    if not shape:
        one = values if len(values) else np.array([fill], values.dtype)
        return Storage(named("dense", 0), (), (), one, fill)
    return pack(coords, values, shape, fitting(like, shape, len(values)), fill=fill)


def fitting(like: Format | None, shape: tuple[int, ...], stored: int = 0) -> Format:
    """``like`` where it fits ``shape`` and leaves out what is not stored; else a sparse format that does."""
    rank = len(shape)
    if like is not None and like.rank == rank and not like.dense and not like.block:
        return like
    if rank == 2:
        return by_rows(shape, stored)
    return named("sv" if rank == 1 else "csf", rank)


def by_rows(shape: tuple[int, ...], stored: int) -> Format:
    """CSR; DCSR where nearly all rows are empty, so that a position for each would not be worth its place."""
    return named("csr" if shape[0] <= 4 * stored + 65_536 else "dcsr", 2)


def grid(storage: Storage) -> NDArray[Any]:
    """A dense storage as the array it is, without a copy; every other one as a new array."""
    if not storage.format.dense:
        size = prod(storage.shape)
        require(
            size < 2**58,
            InputError,
            f"a dense array of shape {storage.shape} has {size} elements: keep it sparse",
        )
        storage = convert(storage, dense_format(tuple(range(storage.rank))))
    inner = storage.values.reshape(storage.format.level_sizes(storage.shape))
    return inner.transpose(np.argsort(storage.format.order)) if storage.rank else inner


def with_values(storage: Storage, values: NDArray[Any], fill: Any) -> Storage:
    """The same places with other values and another fill."""
    values = known(values)
    return replace(storage, values=values, fill=np.asarray(fill).astype(values.dtype).item())


def known(values: NDArray[Any]) -> NDArray[Any]:
    """Results of NumPy in a type that values can have: half precision and small integers are widened."""
    if values.dtype in [dtype.numpy() for dtype in VALUES]:
        return values
    require(
        values.dtype.kind in "fiu",
        UnsupportedError,
        f"values of type {values.dtype} cannot be kept in a tensor",
    )
    if values.dtype.kind == "f":
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    return values.astype(np.int64 if values.dtype.itemsize > 2 else np.int32)
