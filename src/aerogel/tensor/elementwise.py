"""Element by element, with the meaning of NumPy's ufuncs: on what is stored, and once for what is not.

What is not stored annihilates: 0 times, or 0 divided by, anything is 0, infinity and NaN among it. Dense and
sparse together give a sparse result where what is not stored stays so (``*``, ``/``), else a NumPy array.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.pack import pack
from aerogel.convert.unpack import coordinates
from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import named
from aerogel.tensor.places import fitting, grid, known, packed, places, with_values
from aerogel.tensor.stored import Stored

Result = Storage | NDArray[Any]

# 0 on the left gives 0 ...
_LEFT = {"multiply", "divide", "floor_divide", "remainder", "fmod", "logical_and", "bitwise_and"}
# ... and so does 0 on the right.
_RIGHT = {"multiply", "logical_and", "bitwise_and"}
# Values of one side are counted below this: two counts make one number of 64 bits.
_SIDES = 2**31
# What is compiled, in index notation.
_COMPILED = {
    "add": "{x} + {y}",
    "subtract": "{x} - {y}",
    "multiply": "{x} * {y}",
    "maximum": "max({x}, {y})",
    "minimum": "min({x}, {y})",
}


def unary(ufunc: np.ufunc, a: Storage) -> Result:
    """``ufunc`` of every element."""
    if a.format.dense:
        return ufunc(grid(a))
    return with_values(a, ufunc(a.values), ufunc(_fill(a)))


def binary(
    ufunc: np.ufunc, a: Storage | NDArray[Any] | complex, b: Storage | NDArray[Any] | complex
) -> Result:
    """``ufunc`` of two operands, at least one of them a storage, broadcast as NumPy does."""
    a, b = _plain(a), _plain(b)
    match a, b:
        case Storage(), Storage():
            return _sparse_sparse(ufunc, a, b)
        case Storage(), _:
            if np.ndim(b) == 0:
                fill = _fill(a) if _stays(ufunc, a, left=True) else ufunc(_fill(a), b)
                return with_values(a, ufunc(a.values, b), fill)
            return _sparse_dense(ufunc, a, np.asarray(b), left=True)
        case _, Storage():
            if np.ndim(a) == 0:
                fill = _fill(b) if _stays(ufunc, b, left=False) else ufunc(a, _fill(b))
                return with_values(b, ufunc(a, b.values), fill)
            return _sparse_dense(ufunc, b, np.asarray(a), left=False)
        case _:
            return np.asarray(ufunc(a, b))


def of_tensors(ufunc: np.ufunc, x: Stored, y: Stored) -> Any:
    """A sum, difference, product or extreme of two sparse tensors, compiled; None where that is not what is
    wanted.

    Takes the tensors themselves, so that the same again is the same call.
    """
    a, b = x.storage, y.storage
    if a.shape != b.shape or a.levels is b.levels or not _is_compiled(ufunc, a, b):
        return None
    return _compiled(_COMPILED[ufunc.__name__], x, y)


def _is_compiled(ufunc: np.ufunc, a: Storage, b: Storage) -> bool:
    kinds = a.values.dtype.kind + b.values.dtype.kind
    if a.fill or b.fill or a.format.dense or b.format.dense or kinds == "bb":
        return False
    return ufunc.__name__ in _COMPILED and (
        ufunc.__name__ not in ("maximum", "minimum") or a.values.dtype == b.values.dtype
    )


def _plain(value: Any) -> Any:
    return grid(value) if isinstance(value, Storage) and value.format.dense else value


def _fill(a: Storage) -> Any:
    return np.asarray(a.fill).astype(a.values.dtype)[()]


def _stays(ufunc: np.ufunc, a: Storage, *, left: bool) -> bool:
    """Whether what is not stored in ``a`` is not stored in the result, whatever the other operand is."""
    return a.fill == 0 and ufunc.__name__ in (_LEFT if left else _RIGHT)


def _sparse_dense(ufunc: np.ufunc, a: Storage, b: NDArray[Any], *, left: bool) -> Result:
    shape = broadcast_shape(a.shape, b.shape)
    if not _stays(ufunc, a, left=left):
        whole = grid(a)
        return np.asarray(ufunc(whole, b) if left else ufunc(b, whole))
    a = broadcast(a, shape)
    coords, values = coordinates(a)
    others = _at(b, coords, len(values))
    found = known(ufunc(values, others) if left else ufunc(others, values))
    if len(found) == len(a.values) and not a.format.block:
        # Places come in the order of the storage.
        return with_values(a, found, 0)
    return packed(coords, found, shape, a.format)


def _at(b: NDArray[Any], coords: Sequence[NDArray[Any]], count: int) -> NDArray[Any]:
    """What stands in ``b`` at places of a tensor of no fewer modes; those of extent 1 are repeated."""
    behind = coords[len(coords) - b.ndim :]
    wide = [mode for mode, size in enumerate(b.shape) if size != 1]
    if not wide:
        return np.broadcast_to(b.reshape(()), (count,))
    return b.reshape([b.shape[mode] for mode in wide])[tuple(behind[mode] for mode in wide)]


def _sparse_sparse(ufunc: np.ufunc, a: Storage, b: Storage) -> Result:
    shape = broadcast_shape(a.shape, b.shape)
    a, b = broadcast(a, shape), broadcast(b, shape)
    if a.levels is b.levels and a.format == b.format and a.format.levels[-1].compact:
        return with_values(a, ufunc(a.values, b.values), _fill_of(ufunc, a, b))
    if _is_compiled(ufunc, a, b):
        found = _compiled(_COMPILED[ufunc.__name__], Stored(a), Stored(b))
        return found.storage if isinstance(found, Stored) else found
    return _union(ufunc, a, b)


def _fill_of(ufunc: np.ufunc, a: Storage, b: Storage) -> Any:
    if _stays(ufunc, a, left=True) or _stays(ufunc, b, left=False):
        return 0
    return ufunc(_fill(a), _fill(b))


def _union(ufunc: np.ufunc, a: Storage, b: Storage) -> Storage:
    """On every place where one of both has a value; where the left annihilates, on the left's."""
    (here, left), (there, right) = coordinates(a), coordinates(b)
    require(
        max(len(left), len(right)) < _SIDES - 1,
        UnsupportedError,
        f"numpy.{ufunc.__name__} of tensors with {len(left)} and {len(right)} values",
    )
    both = [np.concatenate(pair) for pair in zip(here, there, strict=True)]
    # Which value of each side stands at a place: two halves of one number, and 0 for none.
    numbers = np.concatenate([np.arange(1, len(left) + 1), np.arange(1, len(right) + 1) * _SIDES])
    coords, numbers = coordinates(pack(both, numbers, a.shape, named("coo", a.rank)))
    left_at, right_at = numbers % _SIDES, numbers // _SIDES
    x = np.append(_fill(a), left)[left_at]
    y = np.append(_fill(b), right)[right_at]
    kept = np.ones(len(numbers), np.bool_)
    if _stays(ufunc, a, left=True):
        kept &= left_at > 0
    if _stays(ufunc, b, left=False):
        kept &= right_at > 0
    if not kept.all():
        coords, x, y = [crd[kept] for crd in coords], x[kept], y[kept]
    values = known(ufunc(x, y))
    fill = np.asarray(_fill_of(ufunc, a, b)).astype(values.dtype).item()
    return packed(coords, values, a.shape, a.format, fill)


def _compiled(term: str, x: Stored, y: Stored) -> Any:
    # Its tensors are made of what this file gives them: it is looked up when called.
    from aerogel.tensor.entry import evaluate

    like = x.storage
    form = fitting(like.format, like.shape)
    return evaluate(_element_by_element(term, like.rank), out_format=form, X=x, Y=y)


@cache
def _element_by_element(term: str, rank: int) -> str:
    names = ",".join(f"i{mode}" for mode in range(rank))
    return f"Z({names}) = {term.format(x=f'X({names})', y=f'Y({names})')}"


def broadcast_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """As NumPy does it; InputError where it cannot."""
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    shorter = (1,) * (len(longer) - len(shorter)) + shorter
    for one, other in zip(longer, shorter, strict=True):
        if one != other and 1 not in (one, other):
            raise InputError(f"shapes {a} and {b} do not go together: each mode must agree, or be 1")
    return tuple(other if one == 1 else one for one, other in zip(longer, shorter, strict=True))


def broadcast(a: Storage, shape: tuple[int, ...]) -> Storage:
    """``a`` repeated along the modes where it has extent 1, or none."""
    if a.shape == shape:
        return a
    coords, values = places(a)
    padded = (1,) * (len(shape) - a.rank) + a.shape
    coords = [np.zeros(len(values), np.int64)] * (len(shape) - a.rank) + coords
    times = [size if own == 1 else 1 for own, size in zip(padded, shape, strict=True)]
    count = prod(times)
    if count * len(values) >= 2**40:
        raise UnsupportedError(f"{a.shape} repeated to {shape} has {count * len(values)} values: too many")
    grids = np.indices(tuple(times), np.int64).reshape(len(shape), -1)
    out = [(crd[:, None] + step[None, :]).reshape(-1) for crd, step in zip(coords, grids, strict=True)]
    return packed(out, np.repeat(values, count), shape, a.format, a.fill)
