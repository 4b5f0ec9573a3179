"""``einsum``, ``evaluate`` and ``spmm`` of torch tensors, dense and sparse, with gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch

from aerogel.core.errors import InputError, require
from aerogel.einsum.nodes import Assignment
from aerogel.einsum.parse import parse
from aerogel.einsum.strings import from_string
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format
from aerogel.interop.autograd import Found, Operands, compute
from aerogel.interop.sparse import FLOATS, Sparse, sparse
from aerogel.tensor.coerce import operand
from aerogel.tensor.tensor import Tensor

OutFormat = Format | str | Sequence[str] | None


def einsum(
    subscripts: str, *operands: Any, out_format: OutFormat = None, threads: int | None = None
) -> Found:
    """``aerogel.einsum`` whose result a gradient can be taken of.

    Operands that may require one: torch tensors, strided or in a sparse layout, and ``Sparse``; all others
    are constants. Make a constant that is used again an ``aerogel.tensor`` once: it is then checked once, and
    converted once. A sparse result is a ``Sparse``, any other a torch tensor. Types follow NumPy's promotion.
    """
    names = [f"t{k}" for k in range(len(operands))]
    given = _operands({name: (f"operand {k}", operands[k]) for k, name in enumerate(names)})
    shapes = given.shapes()
    return compute(
        _product(subscripts, tuple(len(shapes[name]) for name in names)), given, out_format, threads
    )


def evaluate(
    text: str, *, out_format: OutFormat = None, threads: int | None = None, **operands: Any
) -> Found:
    """``aerogel.evaluate`` whose result a gradient can be taken of: operands as in ``einsum``, by name.

    Sums, products, quotients, powers and elementwise functions have gradients, in any nesting; folds by min,
    max or product do not. UnsupportedError, in backward, for one that is asked for and does not exist.
    """
    return compute(
        _parsed(text),
        _operands({name: (name, value) for name, value in operands.items()}),
        out_format,
        threads,
    )


@lru_cache(maxsize=1024)
def _product(subscripts: str, ranks: tuple[int, ...]) -> Assignment:
    return from_string(subscripts, ranks, [f"t{k}" for k in range(len(ranks))])


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Assignment:
    return parse(text)


def spmm(a: Any, x: torch.Tensor, *, threads: int | None = None) -> torch.Tensor:
    """The product of a sparse matrix with a dense matrix or vector, with gradients for both.

    ``a``: n x m, an ``aerogel.Tensor``, a ``Sparse``, or a sparse matrix of torch or SciPy; ``x``: m x k, m.
    """
    require(
        x.ndim in (1, 2),
        InputError,
        f"x has shape {tuple(x.shape)}: a matrix or a vector is to be multiplied",
    )
    subscripts = "ij,jk->ik" if x.ndim == 2 else "ij,j->i"
    found = einsum(subscripts, a, x, out_format="dense", threads=threads)
    assert isinstance(found, torch.Tensor)
    return found


def _operands(given: Mapping[str, tuple[str, Any]]) -> Operands:
    """Operands by name, with what they are called in messages."""
    values: dict[str, torch.Tensor] = {}
    places: dict[str, Storage] = {}
    constants: dict[str, Tensor] = {}
    for name, (called, value) in given.items():
        if isinstance(value, torch.Tensor) and value.requires_grad and value.layout != torch.strided:
            value = sparse(value)  # noqa: PLW2901
        if isinstance(value, Sparse):
            values[name] = _differentiable(value.values, called)
            places[name] = value.pattern.storage
        elif isinstance(value, torch.Tensor) and value.layout == torch.strided and value.is_floating_point():
            values[name] = _differentiable(value, called)
        else:
            constants[name] = _constant(value, called)
    return Operands(values, places, constants)


def _differentiable(value: torch.Tensor, called: str) -> torch.Tensor:
    kind = str(value.dtype).removeprefix("torch.")
    require(value.dtype in FLOATS, InputError, f"{called} has values of type {kind}: give it .float() first")
    require(value.device.type == "cpu", InputError, f"{called} is on {value.device}: give it .cpu() first")
    return value


def _constant(value: Any, called: str) -> Tensor:
    if isinstance(value, Tensor):
        return value
    storage = operand(value, called)
    # What a tensor holds becomes read-only; a caller's array must not.
    return Tensor(replace(storage, values=storage.values.view()))
