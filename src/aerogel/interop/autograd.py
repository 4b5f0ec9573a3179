"""Assignments as torch functions: forward runs one, backward runs its derivatives, by the same function.

Since backward is made of the same function, it has a derivative as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from aerogel.einsum.check import extents
from aerogel.einsum.derivative import Gradient, gradients
from aerogel.einsum.nodes import Access, Assignment, accesses
from aerogel.einsum.printer import text
from aerogel.formats.storage import Storage, dense
from aerogel.formats.tensor_format import Format
from aerogel.interop.sparse import Sparse, aligned, listable, stored
from aerogel.tensor.entry import evaluate
from aerogel.tensor.places import places as places_of
from aerogel.tensor.tensor import Tensor

Found = torch.Tensor | Sparse
_KEPT = 1024
"""Assignments whose derivatives are kept: a step of training asks for the same again and again."""


@dataclass(frozen=True, slots=True)
class Operands:
    """``values``: the torch tensors by name; of those in ``places`` only what is stored, as a vector.
    ``constants``: tensors that no gradient is wanted of."""

    values: Mapping[str, torch.Tensor]
    places: Mapping[str, Storage]
    constants: Mapping[str, Tensor]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        own = {name: tuple(value.shape) for name, value in self.values.items()}
        own |= {name: storage.shape for name, storage in self.places.items()}
        return own | {name: held.shape for name, held in self.constants.items()}

    def only(self, names: set[str]) -> Operands:
        return Operands(
            {n: v for n, v in self.values.items() if n in names},
            {n: p for n, p in self.places.items() if n in names},
            {n: c for n, c in self.constants.items() if n in names},
        )


@dataclass(frozen=True, slots=True)
class _Call:
    """``found``: where the result's places are put, if it is sparse."""

    assignment: Assignment
    operands: Operands
    out_format: Any
    threads: int | None
    found: list[Storage] = field(default_factory=list[Storage])


def compute(
    assignment: Assignment, operands: Operands, out_format: Any = None, threads: int | None = None
) -> Found:
    """The value of the assignment, through which gradients flow."""
    call = _Call(assignment, operands, out_format, threads)
    values: Any = _Evaluate.apply(call, *operands.values.values())
    return Sparse(Tensor(call.found[0]), values) if call.found else values


class _Evaluate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, *values: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        given: dict[str, Any] = dict(call.operands.constants)
        for name, value in zip(call.operands.values, values, strict=True):
            places = call.operands.places.get(name)
            given[name] = value.detach().numpy() if places is None else stored(places, value)
        found = evaluate(_text(call.assignment), out_format=call.out_format, threads=call.threads, **given)
        ctx.call = call
        ctx.save_for_backward(*values)
        if isinstance(found, Tensor):
            found = found.asformat(listable(found.format))
            call.found.append(found.storage)
            # Its array is read-only, for which torch has no word.
            return torch.from_numpy(found.storage.values.copy())
        return torch.from_numpy(np.asarray(found))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[torch.Tensor | None, ...]:
        call: _Call = ctx.call
        values = dict(zip(call.operands.values, ctx.saved_tensors, strict=True))
        now = replace(call, operands=replace(call.operands, values=values))
        wanted = ctx.needs_input_grad[1:]
        return None, *(
            _gradient(now, name, grads[0]) if needed else None
            for name, needed in zip(values, wanted, strict=True)
        )


@lru_cache(maxsize=_KEPT)
def _text(assignment: Assignment) -> str:
    return text(assignment)


@lru_cache(maxsize=_KEPT)
def _gradients(assignment: Assignment, name: str, *, sampled: bool) -> tuple[tuple[Access, Gradient], ...]:
    return gradients(assignment, name, sampled=sampled)


def _gradient(call: _Call, name: str, upstream: torch.Tensor) -> torch.Tensor:
    """Of one operand: as large as it is, or one number for each value that it stores."""
    value, places = call.operands.values[name], call.operands.places.get(name)
    total: torch.Tensor | None = None
    repeated = any(
        len(set(a.indices)) < len(a.indices) for a in accesses(call.assignment.expr) if a.tensor == name
    )
    sampled = places is not None and not repeated
    for access, found in _gradients(call.assignment, name, sampled=sampled):
        part = _placed(_term(call, found, upstream, places), access, value, places)
        total = part if total is None else total + part
    return torch.zeros_like(value) if total is None else total.to(value.dtype)


def _term(call: _Call, found: Gradient, upstream: torch.Tensor, places: Storage | None) -> Found:
    used = {access.tensor for access in accesses(found.assignment.expr)}
    held = call.operands.only(used)
    values, spots, constants = dict(held.values), dict(held.places), dict(held.constants)
    values[found.upstream] = upstream
    if call.found:
        spots[found.upstream] = call.found[0]
    dtype = upstream.detach().numpy().dtype
    sizes = extents(call.assignment, call.operands.shapes()) if found.ones else {}
    for name, index in found.ones.items():
        constants[name] = Tensor(dense(np.ones(sizes[index], dtype)))
    out_format: Format | str = "dense"
    if found.pattern is not None and places is not None:
        constants[found.pattern] = Tensor(_ones(places, dtype))
        out_format = places.format
    return compute(found.assignment, Operands(values, spots, constants), out_format, call.threads)


def _ones(places: Storage, dtype: np.dtype[Any]) -> Storage:
    """Ones at these places: made once, as what is converted from it is."""
    key = ("ones", dtype)
    found = places.memo.get(key)
    if found is None:
        values = np.ones(len(places.values), dtype)
        found = places.memo[key] = replace(places, values=values, fill=0)
    return found


def _placed(part: Found, access: Access, value: torch.Tensor, places: Storage | None) -> torch.Tensor:
    """The gradient of an access in the shape of its operand: on a diagonal, where an index stands twice."""
    if isinstance(part, Sparse):
        assert places is not None
        return aligned(part.values, part.pattern.storage, places)
    target = tuple(dict.fromkeys(access.indices))
    if places is None:
        if target == access.indices:
            return part
        grids = torch.meshgrid(*(torch.arange(size) for size in part.shape), indexing="ij")
        where = dict(zip(target, grids, strict=True))
        return part.new_zeros(value.shape).index_put(tuple(where[i] for i in access.indices), part)
    coords = [torch.from_numpy(crd) for crd in places_of(places)[0]]
    first = {index: coords[access.indices.index(index)] for index in target}
    on = torch.ones(value.shape, dtype=torch.bool)
    for index, crd in zip(access.indices, coords, strict=True):
        on &= crd == first[index]
    return torch.where(on, part[tuple(first[index] for index in target)], 0)
