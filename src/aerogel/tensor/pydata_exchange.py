"""PyData/sparse arrays: read by what they look like, made with that library when asked for."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from aerogel.convert.folding import Duplicates
from aerogel.convert.unpack import coordinates
from aerogel.core.errors import InputError, MissingDependencyError
from aerogel.formats.storage import Storage
from aerogel.tensor.raw import fiber_storage, listed_storage, usable


def from_pydata(value: Any, name: str, duplicates: Duplicates = "add") -> Storage:
    """The storage of a COO, GCXS or DOK, which keeps its fill value; its parts are not trusted.

    A GCXS of two modes becomes CSR or CSC, every other array COO.
    """
    shape = tuple(int(size) for size in getattr(value, "shape", ()))
    kind = next((k.__name__ for k in type(value).__mro__ if k.__name__ in ("COO", "GCXS", "DOK")), None)
    if kind is None:
        raise InputError(f"{name} is a {type(value).__name__} of sparse: give a COO or a GCXS")
    fill = _fill(value)
    if kind == "GCXS" and len(shape) == 2:
        order = (1, 0) if tuple(value.compressed_axes) == (1,) else (0, 1)
        parts = (value.indptr, value.indices, usable(np.asarray(value.data), name))
        return replace(fiber_storage(parts, shape, order, name, duplicates=duplicates), fill=fill)
    if kind == "GCXS":
        value = value.tocoo()
    elif kind == "DOK":
        value = value.to_coo()
    data = usable(np.asarray(value.data), name)
    return listed_storage(list(np.asarray(value.coords)), data, shape, name, duplicates=duplicates, fill=fill)


def _fill(value: Any) -> float | bool:
    return np.asarray(value.fill_value)[()].item()


def to_pydata(storage: Storage) -> Any:
    """A ``sparse.COO`` with its own copy of everything, and the same fill value."""
    try:
        sparse = import_module("sparse")
    except ImportError as error:
        raise MissingDependencyError("a PyData array needs sparse: pip install sparse") from error
    coords, values = coordinates(storage)
    ids = np.stack(coords) if coords else np.zeros((0, len(values)), np.int64)
    fill = np.asarray(storage.fill).astype(values.dtype)[()]
    return sparse.COO(
        ids, values.copy(), shape=storage.shape, has_duplicates=False, sorted=False, fill_value=fill
    )
