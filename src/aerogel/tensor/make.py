"""``aerogel.tensor``: a tensor that is checked once, owned, and never changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.assemble import Wanted
from aerogel.convert.at_once import fits, rows_at_once
from aerogel.convert.convert import convert
from aerogel.convert.folding import DUPLICATES, Duplicates
from aerogel.convert.pack import pack
from aerogel.core.dtypes import DType
from aerogel.core.errors import FormatError, InputError, require
from aerogel.core.scratch import Scratch
from aerogel.core.suggest import unknown
from aerogel.formats.storage import VALUES, Fill, Storage, check_shape, index_type
from aerogel.formats.tensor_format import Format, format_of
from aerogel.tensor.coerce import operand
from aerogel.tensor.raw import index_copies, usable
from aerogel.tensor.tensor import Tensor


def tensor(
    x: Any,
    format: Format | str | Sequence[str] | None = None,  # noqa: A002
    *,
    shape: Sequence[int] | None = None,
    dtype: Any = None,
    fill: Fill | None = None,
    duplicates: Duplicates = "add",
) -> Tensor:
    """A tensor of its own, checked once, that nothing changes any more.

    ``x``: a NumPy array, a SciPy, PyData/sparse or torch tensor, an aerogel tensor, a number, nested lists;
    or a pair ``(values, coordinates)`` with one array of coordinates per mode, in any order, of which
    ``shape`` is the extent (left out: as far as the coordinates go).

    ``format``: ``dense``, ``csr``, ``csc``, ``dcsr``, ``coo``, ``csf``, ``sv``, ``bsr:4x4``, or level kinds
    such as ``"dense,compressed@1,0"``; None: what ``x`` has (an array stays dense, coordinates become COO).
    ``fill``: what stands where nothing is stored; None: what ``x`` says, else 0. ``duplicates``: what becomes
    of values with equal coordinates: ``add``, ``min``, ``max``, ``or``, ``mul``, ``last`` or ``refuse``.
    """
    if duplicates not in DUPLICATES:
        raise InputError(unknown("duplicates", duplicates, DUPLICATES))
    if _is_listing(x):
        return Tensor(compact(_listed(x, shape, format, duplicates, dtype, fill)))
    storage = operand(x, "x", duplicates)
    require(
        shape is None or tuple(shape) == storage.shape,
        InputError,
        f"x has shape {storage.shape}, not {shape and tuple(shape)}: shape is for (values, coordinates)",
    )
    storage = _filled(_cast(storage, dtype), fill)
    if format is not None:
        wanted = format_of(format, storage.rank)
        storage = storage if wanted == storage.format else convert(storage, wanted)
    return Tensor(owned(storage, x))


def owned(storage: Storage, x: object) -> Storage:
    """``storage`` with arrays that nobody else holds, and indices as small as they can be."""
    if isinstance(x, Tensor) and storage is x.storage:
        return storage
    # Only values may be another's: of index arrays, copies were checked.
    return replace(compact(storage), values=storage.values.copy())


def compact(storage: Storage) -> Storage:
    """The same storage with indices as small as they can be."""
    index = index_type(storage.shape, len(storage.values))
    if index is storage.index:
        return storage
    wanted = index.numpy()
    levels = tuple(
        tuple(a if a.dtype in (np.uint8, wanted) else a.astype(wanted) for a in arrays)
        for arrays in storage.levels
    )
    return replace(storage, levels=levels, index=index)


def _is_listing(x: object) -> bool:
    """Whether ``x`` is ``(values, coordinates)``: then no array could be made of it."""
    if not isinstance(x, tuple) or len(x) != 2 or np.ndim(x[0]) != 1:
        return False
    coords: Any = x[1]
    if isinstance(coords, np.ndarray):
        return coords.ndim == 2
    return isinstance(coords, tuple | list) and all(np.ndim(crd) == 1 for crd in coords)


def _listed(
    x: tuple[Any, Any],
    shape: Sequence[int] | None,
    format: Format | str | Sequence[str] | None,  # noqa: A002
    duplicates: Duplicates,
    dtype: Any,
    fill: Fill | None,
) -> Storage:
    values = usable(np.asarray(x[0]), "x")
    values = values if dtype is None else values.astype(_number(dtype).numpy())
    quick = _at_once(x[1], values, shape, format, fill)
    if quick is not None:
        return quick
    named = {f"coordinates {mode}": crd for mode, crd in enumerate(x[1])}
    # What is packed copies what it keeps.
    with Scratch() as scratch:
        coords, _ = index_copies("x", scratch.array, **named)
        if any(len(crd) != len(values) for crd in coords):
            found = ", ".join(str(len(crd)) for crd in coords)
            raise FormatError(f"x: {len(values)} values, but {found} coordinates")
        extents = shape if shape is not None else [int(crd.max(initial=-1)) + 1 for crd in coords]
        sizes = tuple(int(size) for size in extents)
        check_shape(sizes, "x")
        wanted = format_of("coo" if format is None else format, len(sizes))
        zero = _zero(fill, values.dtype)
        return pack(coords, values, sizes, wanted, duplicates=duplicates, fill=zero)


def _at_once(
    coords: Any,
    values: NDArray[Any],
    shape: Sequence[int] | None,
    format: Format | str | Sequence[str] | None,  # noqa: A002
    fill: Fill | None,
) -> Storage | None:
    """The storage of a small matrix whose arrays are taken as they are; None for all others, and what is
    wrong."""
    if shape is None or format is None or len(shape) != 2 or type(coords) is not tuple:
        return None
    if not all(type(crd) is np.ndarray for crd in coords):
        return None
    sizes = (int(shape[0]), int(shape[1]))
    index = index_type(sizes, len(values))
    wanted = Wanted(format_of(format, 2), sizes, _zero(fill, values.dtype), index)
    return rows_at_once(coords, values, wanted) if fits(coords, values, wanted) else None


def _zero(fill: Fill | None, kind: np.dtype[Any]) -> Fill:
    return kind.type(0).item() if fill is None else _fitting(fill, kind)


def _number(dtype: Any) -> DType:
    found = DType.of(dtype)
    require(
        found in VALUES,
        InputError,
        f"a tensor of {found.numpy()} cannot be made: use float64, float32, int64, int32 or bool",
    )
    return found


def _cast(storage: Storage, dtype: Any) -> Storage:
    if dtype is None:
        return storage
    values = storage.values.astype(_number(dtype).numpy())
    return replace(storage, values=values, fill=np.asarray(storage.fill).astype(values.dtype).item())


def _filled(storage: Storage, fill: Fill | None) -> Storage:
    return storage if fill is None else replace(storage, fill=_fitting(fill, storage.values.dtype))


def _fitting(fill: Fill, kind: np.dtype[Any]) -> Fill:
    """``fill`` in the type of the values; InputError where it has no such value."""
    try:
        found = np.asarray(fill).astype(kind).item()
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"fill {fill!r} is no number") from error
    same = found == fill or (found != found and fill != fill)  # noqa: PLR0124
    require(
        same or kind.kind == "f",
        InputError,
        f"fill {fill!r} cannot be a {kind}: give dtype=, or another fill",
    )
    return found
