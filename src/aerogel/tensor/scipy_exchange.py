"""SciPy's sparse matrices and arrays: read by what they look like, made with SciPy when asked for."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.convert import convert
from aerogel.convert.folding import Duplicates
from aerogel.convert.unpack import coordinates
from aerogel.core.errors import (
    FormatError,
    InputError,
    MissingDependencyError,
    UnsupportedError,
    require,
)
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import format_of
from aerogel.tensor.raw import fiber_storage, index_copies, listed_storage, usable

LAYOUTS = ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")


def from_scipy(value: Any, name: str, duplicates: Duplicates = "add") -> Storage:
    """The storage of a SciPy sparse matrix or array of any layout, whose parts are not trusted.

    CSR, CSC and BSR keep their layout; COO, DIA, DOK and LIL become COO (a 1-D array a sparse vector).
    """
    layout = getattr(value, "format", None)
    require(
        layout in LAYOUTS,
        InputError,
        f"{name} is a {type(value).__name__} of SciPy: give a sparse matrix or array, such as csr_array",
    )
    shape = tuple(int(size) for size in value.shape)
    match layout:
        case "csr" | "csc":
            parts = (value.indptr, value.indices, _flat(value.data, name))
            order = (1, 0) if layout == "csc" else tuple(range(len(shape)))
            return fiber_storage(parts, shape, order, name, duplicates=duplicates)
        case "bsr":
            return _blocks(value, shape, name, duplicates)
        case "coo":
            coords, data = tuple(value.coords), value.data
        case "dia":
            coords, data = _diagonals(value, shape, name)
        case "dok":
            coords, data = _keys(value, len(shape))
        case _:
            coords, data = _lists(value)
    return listed_storage(coords, _flat(data, name), shape, name, duplicates=duplicates)


def _flat(data: Any, name: str) -> NDArray[Any]:
    array = np.asarray(data)
    require(array.ndim == 1, FormatError, f"{name}: data must be 1-D, but has shape {array.shape}")
    return usable(array, name)


def _blocks(value: Any, shape: tuple[int, ...], name: str, duplicates: Duplicates) -> Storage:
    data = np.asarray(value.data)
    require(data.ndim == 3, FormatError, f"{name}: data of a BSR must be 3-D, but has shape {data.shape}")
    block = (int(data.shape[1]), int(data.shape[2]))
    parts = (value.indptr, value.indices, usable(data, name))
    return fiber_storage(parts, shape, (0, 1), name, block=block, duplicates=duplicates)


def _diagonals(
    value: Any, shape: tuple[int, ...], name: str
) -> tuple[tuple[NDArray[Any], ...], NDArray[Any]]:
    """``data[k, j]`` stands at row j - offsets[k], column j; what lies outside is padding."""
    data = np.asarray(value.data)
    (offsets,), _ = index_copies(name, offsets=value.offsets)
    require(
        data.ndim == 2 and len(data) == len(offsets),
        FormatError,
        f"{name}: data of shape {data.shape} for {len(offsets)} diagonals: one row each",
    )
    columns = np.arange(min(data.shape[1], shape[1]), dtype=np.int64)
    rows = columns - offsets.astype(np.int64)[:, None]
    kept = (rows >= 0) & (rows < shape[0])
    values = data[:, : len(columns)]
    kept &= values != 0
    return (rows[kept], np.broadcast_to(columns, rows.shape)[kept]), values[kept]


def _keys(value: Any, rank: int) -> tuple[tuple[NDArray[Any], ...], NDArray[Any]]:
    items = dict(value.items())
    keys = np.array(list(items), np.int64).reshape(len(items), rank)
    return tuple(keys.T), np.fromiter(items.values(), value.dtype, len(items))


def _lists(value: Any) -> tuple[tuple[NDArray[Any], ...], NDArray[Any]]:
    columns, data = [list(row) for row in value.rows], [list(row) for row in value.data]
    rows = np.repeat(np.arange(len(columns)), [len(row) for row in columns])
    flat = np.array(list(chain.from_iterable(columns)), np.int64)
    return (rows, flat), np.array(list(chain.from_iterable(data)), value.dtype)


def to_scipy(storage: Storage, layout: str | None = None) -> Any:
    """A SciPy sparse array with its own copy of everything.

    ``layout``: ``csr``, ``csc``, ``coo``, ``bsr``, ``dia``, ``dok`` or ``lil``; None: what the storage has,
    else CSR for matrices and COO for others.
    """
    try:
        from scipy import sparse
    except ImportError as error:
        raise MissingDependencyError("a SciPy array needs SciPy: pip install scipy") from error
    require(
        storage.fill == 0,
        UnsupportedError,
        f"SciPy has 0 where nothing is stored, this tensor {storage.fill}: use to_numpy()",
    )
    require(storage.rank > 0, UnsupportedError, "SciPy has no sparse array without modes: use to_numpy()")
    name = storage.format.short.partition(":")[0]
    wanted = layout or (
        name if name in ("csr", "csc", "coo", "bsr") else "csr" if storage.rank == 2 else "coo"
    )
    require(
        wanted in LAYOUTS,
        InputError,
        f"SciPy has no layout {layout!r}: use one of {', '.join(LAYOUTS)}",
    )
    if wanted == "coo" or storage.rank != 2:
        coords, values = coordinates(storage)
        found = sparse.coo_array((values.copy(), tuple(crd.copy() for crd in coords)), shape=storage.shape)
        return found if wanted == "coo" else found.asformat(wanted)
    if wanted in ("csr", "csc") or (
        wanted == "bsr" and storage.format.block and storage.format.order == (0, 1)
    ):
        return _fibers(storage if wanted == "bsr" else _as(storage, wanted), wanted, sparse)
    return _fibers(_as(storage, "csr"), "csr", sparse).asformat(wanted)


def _as(storage: Storage, name: str) -> Storage:
    form = format_of(name, storage.rank)
    return storage if storage.format == form else convert(storage, form)


def _fibers(storage: Storage, layout: str, sparse: Any) -> Any:
    pos, crd = storage.levels[1]
    values = storage.values.reshape(-1, *storage.format.block) if storage.format.block else storage.values
    make = {"csr": sparse.csr_array, "csc": sparse.csc_array, "bsr": sparse.bsr_array}[layout]
    return make((values.copy(), crd.copy(), pos.copy()), shape=storage.shape)
