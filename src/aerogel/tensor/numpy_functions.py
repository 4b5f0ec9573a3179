"""NumPy's functions on tensors: ``numpy.sum(t)`` is ``t.sum()``; what has no such meaning is refused by name.

Each entry calls a method of the tensor, or puts tensors together by their coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.formats.storage import Storage, index_type
from aerogel.formats.tensor_format import named
from aerogel.tensor.coerce import operand
from aerogel.tensor.elementwise import binary
from aerogel.tensor.places import grid, packed, places
from aerogel.tensor.products import dot, tensordot
from aerogel.tensor.reductions import normal_axes


def called(function: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """What a NumPy function gives for tensors: a storage, an array, a number, or the tensor of a method."""
    meant = FUNCTIONS.get(function)
    if meant is None:
        name = f"{getattr(function, '__module__', 'numpy')}.{getattr(function, '__name__', function)}"
        raise UnsupportedError(
            f"{name} does not take tensors: pass t.to_numpy(), or spell it with aerogel.einsum"
        )
    return meant(*args, **options)


def _reduction(name: str) -> Callable[..., Any]:
    def reduce(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:  # noqa: FBT002
        require(
            dtype is None and out is None,
            UnsupportedError,
            f"numpy.{name} of a tensor takes neither dtype= nor out=: use t.astype(...).{name}()",
        )
        return getattr(a, name)(axis=axis, keepdims=bool(keepdims))

    def without_type(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:  # noqa: FBT002
        return reduce(a, axis, None, out, keepdims)

    return reduce if name in ("sum", "prod", "mean") else without_type


def _transpose(a: Any, axes: Sequence[int] | None = None) -> Any:
    return a.transpose(*(axes or ()))


def _swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    order = list(range(a.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return a.transpose(order)


def _moveaxis(a: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    # NumPy knows how: asked of an array that holds nothing.
    stand_in = np.broadcast_to(np.zeros(()), tuple(range(1, a.ndim + 1)))
    return a.transpose([size - 1 for size in np.moveaxis(stand_in, source, destination).shape])


def _outer(a: Any, b: Any) -> Any:
    require(
        np.ndim(a) == np.ndim(b) == 1,
        UnsupportedError,
        "numpy.outer of tensors takes vectors: numpy.tensordot(a, b, 0) takes others",
    )
    return tensordot(a, b, 0)


def _einsum(*operands: Any, **options: Any) -> Any:
    from aerogel.tensor.entry import einsum

    for option in ("out", "dtype", "order", "casting"):
        require(options.pop(option, None) is None, UnsupportedError, f"einsum of tensors takes no {option}=")
    # All it says is how to search for an order.
    options.pop("optimize", None)
    return einsum(*operands, **options)


def concatenated(arrays: Sequence[Any], axis: int = 0) -> Storage:
    """Tensors one behind the other along a mode; sparse unless all are dense."""
    parts = [operand(value, f"tensor {at}") for at, value in enumerate(arrays)]
    require(len(parts) > 0, InputError, "there is nothing to concatenate")
    first = parts[0]
    require(first.rank > 0, InputError, "tensors without modes cannot be concatenated")
    (mode,) = normal_axes(axis, first.rank)
    for part in parts:
        fits = part.rank == first.rank and all(
            a == b for at, (a, b) in enumerate(zip(part.shape, first.shape, strict=True)) if at != mode
        )
        require(fits, InputError, f"shapes {first.shape} and {part.shape} differ beside mode {mode}")
        require(
            part.format.dense or part.fill == next((p.fill for p in parts if not p.format.dense), 0),
            UnsupportedError,
            "tensors with different fills cannot be concatenated",
        )
    if _are_rows(parts, mode):
        return _below_each_other(parts, mode)
    like = next((part for part in parts if not part.format.dense), first)
    found = [places(part) for part in parts]
    starts = np.cumsum([0, *(part.shape[mode] for part in parts)])
    coords = [
        np.concatenate(
            [crds[at] + (starts[which] if at == mode else 0) for which, (crds, _) in enumerate(found)]
        )
        for at in range(first.rank)
    ]
    shape = tuple(int(starts[-1]) if at == mode else size for at, size in enumerate(first.shape))
    values = np.concatenate([values for _, values in found])
    return packed(coords, values, shape, like.format, like.fill)


def _are_rows(parts: Sequence[Storage], mode: int) -> bool:
    """Whether all are CSR or CSC whose rows, or columns, are put one behind the other."""
    form, kind = parts[0].format, parts[0].values.dtype
    return (
        form in (named("csr", 2), named("csc", 2))
        and form.order[0] == mode
        and all(part.format == form and part.values.dtype == kind for part in parts)
    )


def _below_each_other(parts: Sequence[Storage], mode: int) -> Storage:
    first, rows = parts[0], sum(part.shape[mode] for part in parts)
    shape = tuple(rows if at == mode else size for at, size in enumerate(first.shape))
    index = index_type(shape, sum(len(part.values) for part in parts))
    pos, crd = np.zeros(rows + 1, index.numpy()), list[NDArray[Any]]()
    at = count = 0
    for part in parts:
        own = part.levels[1]
        size = part.shape[mode]
        np.add(own[0][1:], count, out=pos[at + 1 : at + 1 + size], casting="unsafe")
        crd.append(own[1])
        at, count = at + size, count + len(part.values)
    columns = np.concatenate(crd).astype(index.numpy(), copy=False)
    values = np.concatenate([part.values for part in parts])
    return Storage(first.format, shape, ((), (pos, columns)), values, first.fill, index)


def _vstack(tup: Sequence[Any]) -> Storage:
    return _stack(tup) if np.ndim(tup[0]) == 1 else concatenated(tup)


def _hstack(tup: Sequence[Any]) -> Storage:
    return concatenated(tup, 0 if np.ndim(tup[0]) == 1 else 1)


def _stack(arrays: Sequence[Any], axis: int = 0) -> Storage:
    parts = [operand(value, f"tensor {at}") for at, value in enumerate(arrays)]
    require(len(parts) > 0, InputError, "there is nothing to stack")
    (mode,) = normal_axes(axis, parts[0].rank + 1)
    shape = parts[0].shape
    require(
        all(part.shape == shape for part in parts),
        InputError,
        "tensors of different shapes cannot be stacked",
    )
    fill = parts[0].fill
    require(all(part.fill == fill for part in parts), UnsupportedError, "tensors with different fills")
    found = [places(part) for part in parts]
    coords = [np.concatenate([crds[at] for crds, _ in found]) for at in range(len(shape))]
    which = np.repeat(np.arange(len(parts)), [len(values) for _, values in found])
    values = np.concatenate([values for _, values in found])
    full = (*shape[:mode], len(parts), *shape[mode:])
    return packed([*coords[:mode], which, *coords[mode:]], values, full, None, fill)


def _nonzero(a: Any) -> tuple[Any, ...]:
    storage: Storage = a.storage
    if storage.format.dense or storage.fill != 0:
        return np.nonzero(grid(storage))
    coords, values = places(storage)
    live = values != 0
    coords = [crd[live] for crd in coords]
    order = np.lexsort(tuple(reversed(coords))) if coords else slice(None)
    return tuple(crd[order] for crd in coords)


def _count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    live = a != 0
    if isinstance(live, type(a)):
        return live.sum(axis=axis, keepdims=keepdims)
    return np.count_nonzero(live, axis=axis, keepdims=keepdims)


def _array_equal(a: Any, b: Any) -> bool:
    x, y = operand(a, "the left operand"), operand(b, "the right operand")
    if x.shape != y.shape:
        return False
    unequal = binary(np.not_equal, x, y)
    if isinstance(unequal, Storage):
        return not unequal.values.any() and not unequal.fill
    return not unequal.any()


def _method(name: str) -> Callable[..., Any]:
    def call(a: Any, *args: Any, **options: Any) -> Any:
        return getattr(a, name)(*args, **options)

    return call


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **{getattr(np, name): _reduction(name) for name in ("sum", "prod", "mean", "max", "min", "any", "all")},
    np.amax: _reduction("max"),
    np.amin: _reduction("min"),
    np.transpose: _transpose,
    np.swapaxes: _swapaxes,
    np.moveaxis: _moveaxis,
    np.diagonal: _method("diagonal"),
    np.trace: _method("trace"),
    np.dot: dot,
    np.tensordot: tensordot,
    np.einsum: _einsum,
    np.outer: _outer,
    np.reshape: _method("reshape"),
    np.ravel: _method("ravel"),
    np.squeeze: _method("squeeze"),
    np.expand_dims: _method("expand_dims"),
    np.concatenate: concatenated,
    np.vstack: _vstack,
    np.hstack: _hstack,
    np.stack: _stack,
    np.nonzero: _nonzero,
    np.count_nonzero: _count_nonzero,
    np.array_equal: _array_equal,
    np.shape: attrgetter("shape"),
    np.ndim: attrgetter("ndim"),
    np.size: attrgetter("size"),
    np.copy: _method("copy"),
}
"""What is meant by each of NumPy's functions; its ufuncs, ``matmul`` among them, come in another way."""
