"""``Sparse``: a pattern that stays, and a torch vector of values that may be trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.formats.levels import LEVELS
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format, named
from aerogel.tensor.make import tensor
from aerogel.tensor.places import places
from aerogel.tensor.tensor import Tensor

FLOATS = (torch.float32, torch.float64)
"""What a gradient can be computed in."""


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """``values[k]`` stands at the k-th place of ``pattern``, in the order of ``pattern.coordinates()``.

    Made by ``sparse``, and by ``einsum`` and ``evaluate`` where their result is sparse.
    """

    pattern: Tensor
    values: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pattern.shape

    @property
    def nnz(self) -> int:
        return self.pattern.nnz

    def with_values(self, values: torch.Tensor) -> Sparse:
        """The same places with other values: ``s.with_values(torch.relu(s.values))``."""
        _check_values(values, self.pattern)
        return replace(self, values=values)

    def coordinates(self) -> tuple[torch.Tensor, ...]:
        """Where each value stands: a vector for each mode."""
        return tuple(torch.from_numpy(crd) for crd in self.pattern.coordinates()[0])

    def to_dense(self) -> torch.Tensor:
        """A strided tensor, through which gradients flow."""
        return self.values.new_zeros(self.shape).index_put(self.coordinates(), self.values)

    def detach(self) -> Tensor:
        """What it is now, without its gradient: an ``aerogel.Tensor`` with its own copy of the values."""
        return stored(self.pattern.storage, self.values.detach().clone())

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.shape))
        grad = ", requires grad" if self.values.requires_grad else ""
        return f"<Sparse {shape}, {self.values.dtype}, {self.pattern.format.short}, {self.nnz} stored{grad}>"


def sparse(
    x: Any,
    format: Format | str | Sequence[str] | None = None,  # noqa: A002
    *,
    values: torch.Tensor | None = None,
    shape: Sequence[int] | None = None,
) -> Sparse:
    """A sparse tensor whose values may require a gradient.

    ``x``: what ``aerogel.tensor`` takes; or a sparse torch tensor that requires a gradient, which then flows
    back to it; or a pair ``(values, coordinates)`` with a torch vector of values. ``values``: other values
    for the places of ``x``, in the order of ``aerogel.tensor(x, format).coordinates()``. Places are stored
    once: one that stands twice is refused. Formats without a list of coordinates (blocks, bitmaps) become one
    that has it.
    """
    if isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], torch.Tensor):
        made = _listed(x[0], [np.asarray(crd) for crd in x[1]], format, shape)
    elif isinstance(x, torch.Tensor) and x.layout != torch.strided:
        require(shape is None, InputError, "shape is for (values, coordinates): a torch tensor has one")
        made = _of_torch(x, format)
    else:
        held = tensor(x, format, shape=shape)
        pattern = held.asformat(listable(held.format))
        made = Sparse(pattern, torch.from_numpy(pattern.storage.values.copy()))
    return made if values is None else made.with_values(values)


def listable(form: Format) -> Format:
    """The format, or the nearest one that keeps a value per place and nothing else."""
    if form.block:
        return named("csr", 2)
    levels = tuple(level if level.compact else LEVELS["compressed"] for level in form.levels)
    return replace(form, levels=levels)


def _listed(
    values: torch.Tensor,
    coords: Sequence[NDArray[Any]],
    format: Format | str | Sequence[str] | None,  # noqa: A002
    shape: Sequence[int] | None,
) -> Sparse:
    """Places are packed with their numbers as values, which then say whose value goes where."""
    require(
        values.ndim == 1 and all(len(crd) == len(values) for crd in coords),
        InputError,
        f"values have shape {tuple(values.shape)}: give one for each of the coordinates, whose numbers are "
        f"{', '.join(str(len(crd)) for crd in coords)}",
    )
    numbers = np.arange(len(values), dtype=np.int64)
    pattern = tensor((numbers, list(coords)), format or "coo", shape=shape, duplicates="refuse")
    return _numbered(values, pattern.asformat(listable(pattern.format)))


def _numbered(values: torch.Tensor, pattern: Tensor) -> Sparse:
    """``pattern`` has as its values the place in ``values`` of each."""
    require(
        pattern.format.levels and not pattern.format.levels[-1].full,
        UnsupportedError,
        f"format {pattern.format.short} stores zeros between values: give one that stores values alone",
    )
    order = pattern.storage.values
    straight = len(order) == len(values) and bool((order == np.arange(len(order))).all())
    return Sparse(pattern, values if straight else values[torch.from_numpy(order.copy())])


def _of_torch(x: torch.Tensor, format: Format | str | Sequence[str] | None) -> Sparse:  # noqa: A002
    if x.layout == torch.sparse_coo:
        x = x.coalesce()
        require(
            x.dense_dim() == 0,
            UnsupportedError,
            f"a torch tensor with {x.dense_dim()} dense modes is not read",
        )
        return _listed(x.values(), [crd.numpy() for crd in x.indices()], format, tuple(x.shape))
    # torch itself has no gradients of sparse_csc.
    require(
        x.layout == torch.sparse_csr and x.ndim == 2 and x.values().ndim == 1,
        UnsupportedError,
        f"a torch tensor of layout {x.layout} and shape {tuple(x.shape)}: give a matrix in sparse_csr or "
        "sparse_coo",
    )
    pos, crd = x.crow_indices(), x.col_indices()
    numbers = torch.arange(len(crd))
    csr = torch.sparse_csr_tensor(pos, crd, numbers, tuple(x.shape), check_invariants=False)
    return _numbered(x.values(), tensor(csr, format, duplicates="refuse"))


def _check_values(values: torch.Tensor, pattern: Tensor) -> None:
    count = len(pattern.storage.values)
    require(
        isinstance(values, torch.Tensor) and tuple(values.shape) == (count,),
        InputError,
        f"values have shape {tuple(values.shape)}, but the pattern has {count} places: give a vector of them",
    )
    require(values.device.type == "cpu", InputError, f"values are on {values.device}: give values.cpu()")


def stored(places: Storage, values: torch.Tensor) -> Tensor:
    """A tensor of these places and values, which are not copied."""
    return Tensor(replace(places, values=values.detach().contiguous().numpy(), fill=0))


def aligned(values: torch.Tensor, have: Storage, wanted: Storage) -> torch.Tensor:
    """Values at the places of ``have`` as a vector for those of ``wanted``, 0 where it has none."""
    pairs = [
        (a, b)
        for ours, theirs in zip(have.levels, wanted.levels, strict=False)
        for a, b in zip(ours, theirs, strict=False)
    ]
    if have.format == wanted.format and all(a is b or np.array_equal(a, b) for a, b in pairs):
        return values
    ours, theirs = _numbers(have, wanted)
    at = np.argsort(theirs)
    found = at[np.searchsorted(theirs, ours, sorter=at)]
    return values.new_zeros(len(theirs)).index_put((torch.from_numpy(found),), values)


def _numbers(a: Storage, b: Storage) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A number for each place of two storages of one shape, equal where the places are."""
    ours, theirs = (np.stack(places(storage)[0]) for storage in (a, b))
    if prod(a.shape) < 2**63:
        number: Any = np.ravel_multi_index
        return number(tuple(ours), a.shape), number(tuple(theirs), a.shape)
    both = np.unique(np.concatenate([ours, theirs], axis=1), axis=1, return_inverse=True)[1].reshape(-1)
    return both[: ours.shape[1]], both[ours.shape[1] :]
