"""Parts of operands that others own: index arrays copied and checked, coordinates sorted where they are not.

Another thread may write to a caller's arrays while a kernel runs. So what says *where* (positions and
coordinates) is copied first, and the copy is checked; values can be wrong but cause no harm, and are not
copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.chunks import WORTH_A_THREAD
from aerogel.convert.folding import Duplicates
from aerogel.convert.pack import pack
from aerogel.convert.unpack import coordinates
from aerogel.core.dtypes import DType
from aerogel.core.errors import FormatError, InputError, OrderError, refuse, require
from aerogel.formats.levels import LEVELS
from aerogel.formats.storage import VALUES, Fill, Storage, check, check_shape
from aerogel.formats.tensor_format import Format, named
from aerogel.tensor.audit import copied
from aerogel.tensor.fold import folded

_INDICES = (np.dtype(np.int32), np.dtype(np.int64))
_NUMBERS = tuple(dtype.numpy() for dtype in VALUES)
_WIDER = {"int8": "int32", "int16": "int32", "uint8": "int32", "uint16": "int32", "uint32": "int64"}
_ADVICE = {
    "float16": "cast it to float32 first",
    "longdouble": "cast it to float64 first",
    "uint64": "cast it to int64 if every value is below 2^63, else to float64",
    "object": "give it the type of a number: .astype('float64'), say",
}


def usable(values: NDArray[Any], name: str) -> NDArray[Any]:
    """``values`` as bool, int32, int64, float32 or float64 in this machine's order of bytes.

    Small and unsigned 32-bit integers are widened; InputError for types that hold other things."""
    kind = values.dtype
    if not kind.isnative or not values.flags.aligned:
        values = values.astype(kind.newbyteorder("="))
    for number in _NUMBERS:
        if values.dtype == number:
            # ``long long`` and ``long`` may be two names of one type.
            return values if values.dtype is number else values.view(number)
    if values.dtype.name in _WIDER:
        return values.astype(_WIDER[values.dtype.name])
    what = "longdouble" if kind.kind == "f" and kind.itemsize > 8 else values.dtype.name
    advice = _ADVICE.get(what, "use float64, float32, int64, int32 or bool")
    if kind.kind == "c":
        advice = "complex numbers are not supported: take its real and imaginary parts apart"
    return refuse(InputError, f"{name} has values of type {kind}: {advice}")


def index_copies(
    name: str, room: Callable[[int, Any], NDArray[Any]] = np.empty, **arrays: object
) -> tuple[list[NDArray[Any]], DType]:
    """Copies of 1-D integer arrays, all int32 or all int64, and which of both; FormatError for others.

    ``room``: makes an array of so many elements of a type, for each copy.
    """
    found = {what: np.asarray(array) for what, array in arrays.items()}
    small = True
    for what, array in found.items():
        # Messages take longer to write than all else here: only where they are needed.
        if array.ndim != 1:
            raise FormatError(f"{name}: {what} must be 1-D, but has shape {array.shape}")
        if array.dtype.kind not in "iu" and array.size:
            raise FormatError(
                f"{name}: {what} has type {array.dtype}: coordinates and positions are integers"
            )
        small &= array.size == 0 or array.dtype.itemsize < 4 or array.dtype == np.int32
    index = DType.I32 if small else DType.I64
    copies = [room(len(array), index.numpy()) for array in found.values()]
    for copy, array in zip(copies, found.values(), strict=True):
        # Unsigned 64-bit integers from 2^63 on become negative here, and are refused as such.
        np.copyto(copy, array, casting="unsafe")
    return copies, index


def fiber_storage(
    parts: tuple[object, object, NDArray[Any]],
    shape: tuple[int, ...],
    order: tuple[int, ...],
    name: str,
    *,
    block: tuple[int, ...] = (),
    duplicates: Duplicates = "add",
) -> Storage:
    """CSR and its kin, from ``parts`` = (positions, coordinates, values): dense levels, a compressed one, and
    a dense level for every axis of ``values`` after its first.

    Fibers that are unsorted, or have a coordinate twice, are sorted and folded. ``values`` beyond the last
    position are left alone, as SciPy does.
    """
    values = parts[2]
    tail = values.ndim - 1
    above = len(order) + len(block) - 1 - tail
    levels = (LEVELS["dense"],) * above + (LEVELS["compressed"],) + (LEVELS["dense"],) * tail
    form = Format(levels, order, block)
    check_shape(shape, name)

    def of(pos: NDArray[Any], crd: NDArray[Any], values: NDArray[Any]) -> Storage:
        flat = np.ascontiguousarray(values).reshape(-1)
        arrays = ((),) * above + ((pos, crd),) + ((),) * tail
        return Storage(form, shape, arrays, flat, 0, DType.of(pos.dtype))

    sound = _in_one_go(parts[0], parts[1], form.level_sizes(shape)[: above + 1])
    if sound is not None and len(values) == len(sound[1]):
        return of(*sound, values)
    (pos, crd), _ = index_copies(name, positions=parts[0], coordinates=parts[1])
    if len(pos) and 0 <= pos[-1] < len(crd):
        crd = crd[: pos[-1]]
    values = values[: len(crd)]
    try:
        return check(of(pos, crd, values), name)
    except OrderError:
        rows = np.repeat(np.arange(len(pos) - 1, dtype=pos.dtype), np.diff(pos))
        within = (len(pos) - 1, form.level_sizes(shape)[above])
        (rows, crd), values = _in_order((rows, crd), values, within, duplicates, name)
        np.cumsum(np.bincount(rows, minlength=len(pos) - 1), out=pos[1:])
        return check(of(pos, crd, values), name)


def _in_one_go(
    positions: object, coordinates: object, sizes: tuple[int, ...]
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Copies of what is sound, of dense levels ``sizes[:-1]`` with a compressed one below, found out in one
    pass; None where something may be wrong, or where there is little to gain."""
    crd = np.asarray(coordinates)
    given = np.asarray(positions)
    plain = (
        given.dtype == crd.dtype and crd.dtype in _INDICES and (crd.flags.c_contiguous and crd.flags.aligned)
    )
    if not plain or crd.ndim != 1 or given.ndim != 1 or len(crd) < WORTH_A_THREAD:
        return None
    pos = given.copy()
    if len(pos) != prod(sizes[:-1]) + 1 or pos[0] != 0 or pos[-1] != len(crd) or (pos[1:] < pos[:-1]).any():
        return None
    found, least, most, falls = copied(crd)
    if least < 0 or most >= sizes[-1]:
        return None
    # Where fibers start, but the first, coordinates may fall; empty fibers start where the next one does.
    starts = pos[1:-1]
    starts = starts[np.searchsorted(starts, 1) : np.searchsorted(starts, len(found))]
    starts = starts[np.append(starts[:1] == starts[:1], starts[1:] != starts[:-1])]
    return (pos, found) if falls == np.count_nonzero(found[starts] <= found[starts - 1]) else None


def _in_order(
    coords: Sequence[NDArray[Any]],
    values: NDArray[Any],
    shape: tuple[int, ...],
    duplicates: Duplicates,
    name: str,
) -> tuple[Sequence[NDArray[Any]], NDArray[Any]]:
    """Coordinates, known to lie within ``shape``, in ascending order, each once, and their values."""
    if values.ndim > 1:
        return folded(coords, values, duplicates, name)
    index = DType.of(coords[0].dtype)
    form = named("coo", len(coords))
    try:
        return coordinates(pack(coords, values, shape, form, duplicates=duplicates, index=index))
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def listed_storage(
    coords: Sequence[object],
    values: NDArray[Any],
    shape: tuple[int, ...],
    name: str,
    *,
    duplicates: Duplicates = "add",
    fill: Fill = 0,
) -> Storage:
    """COO from one array of coordinates per mode, in any order, duplicates folded.

    ``values`` may have more axes than one: each is a dense mode behind those of ``coords``.
    """
    check_shape(shape, name)
    tail = values.ndim - 1
    require(
        len(coords) + tail == len(shape),
        FormatError,
        f"{name}: coordinates of {len(coords)} modes, but the shape is {shape}",
    )
    require(
        values.shape[1:] == shape[len(coords) :],
        FormatError,
        f"{name}: values have shape {values.shape}, but the last modes are {shape[len(coords) :]}",
    )
    if not coords:
        return _single(values, fill, name)
    named_coords = {f"coordinates {mode}": crd for mode, crd in enumerate(coords)}
    found, index = index_copies(name, np.empty, **named_coords)
    require(
        all(len(crd) == len(values) for crd in found),
        FormatError,
        f"{name}: {len(values)} values, but {', '.join(str(len(crd)) for crd in found)} coordinates",
    )
    head = named("coo", len(coords)).levels
    form = Format(head + (LEVELS["dense"],) * tail, tuple(range(len(shape))))

    def of(coords: Sequence[NDArray[Any]], values: NDArray[Any]) -> Storage:
        flat = np.ascontiguousarray(values).reshape(-1)
        pos = np.array([0, len(coords[0])], index.numpy())
        arrays = ((pos, coords[0]), *((crd,) for crd in coords[1:]), *((),) * tail)
        return check(Storage(form, shape, arrays, flat, fill, index), name)

    try:
        return of(found, values)
    except OrderError:
        _check_ranges(found, shape, name)
        return of(*_in_order(found, values, shape[: len(found)], duplicates, name))


def _check_ranges(coords: Sequence[NDArray[Any]], shape: tuple[int, ...], name: str) -> None:
    """The first level may be found out of order before the others were looked at."""
    for mode, (crd, size) in enumerate(zip(coords, shape, strict=False)):
        wrong = (crd < 0) | (crd >= size)
        if wrong.any():
            at = int(wrong.argmax())
            raise FormatError(f"{name}, mode {mode}: coordinate {crd[at]} is outside 0 .. {size - 1}")


def _single(values: NDArray[Any], fill: Fill, name: str) -> Storage:
    """A tensor without modes: its one value, or what stands where none is stored."""
    require(len(values) <= 1, FormatError, f"{name}: {len(values)} values for a tensor without modes")
    one = np.ascontiguousarray(values) if len(values) else np.array([fill], values.dtype)
    return Storage(named("dense", 0), (), (), one, fill)
