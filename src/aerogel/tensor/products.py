"""Products over shared modes: ``@``, dot and tensordot, each written as an einsum and compiled as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.formats.tensor_format import Format, named
from aerogel.tensor.coerce import operand
from aerogel.tensor.elementwise import Result
from aerogel.tensor.places import fitting
from aerogel.tensor.stored import Stored

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class _Told:
    """What a product must know of an operand; ``format``: None of a NumPy array."""

    shape: tuple[int, ...]
    format: Format | None
    dtype: np.dtype[Any]


AxesPair = int | tuple[int | Sequence[int], int | Sequence[int]]


def matmul(x: Any, y: Any) -> Any:
    """``x @ y`` as NumPy means it for vectors, matrices, and stacks of matrices with equal or no stack.

    Sparse with sparse gives a sparse tensor (CSC where both are stored by columns, else CSR), all else a
    NumPy array.
    """
    x, a = _side(x, "the left operand of @")
    y, b = _side(y, "the right operand of @")
    return _product((x, y), (a, b), _spelling(a.shape, b.shape), "@")


def _side(value: Any, name: str) -> tuple[Any, _Told]:
    """An operand as einsum takes it, and what is to be known of it."""
    if isinstance(value, Stored):
        held = value.storage
        return value, _Told(held.shape, held.format, held.values.dtype)
    if type(value) is np.ndarray:
        return value, _Told(value.shape, None, value.dtype)
    held = operand(value, name)
    return Stored(held), _Told(held.shape, held.format, held.values.dtype)


@lru_cache(maxsize=1024)
def _spelling(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[str, str, str]:
    """The indices of both sides and of the result for shapes like these."""
    left_rank, right_rank = len(a), len(b)
    require(
        left_rank > 0 and right_rank > 0,
        InputError,
        "@ needs a vector or a matrix on both sides: use * with a number",
    )
    stack = max(left_rank, right_rank) - 2
    names = _LETTERS[: max(stack, 0)]
    require(
        stack <= 0 or min(left_rank, right_rank) <= 2 or left_rank == right_rank,
        UnsupportedError,
        f"@ of shapes {a} and {b}: the stacks differ; spell it with aerogel.einsum",
    )
    left = (names if left_rank > 2 else "") + ("YZ" if left_rank > 1 else "Z")
    right = (names if right_rank > 2 else "") + ("ZX" if right_rank > 1 else "Z")
    out = names + ("Y" if left_rank > 1 else "") + ("X" if right_rank > 1 else "")
    return left, right, out


def dot(x: Any, y: Any) -> Result:
    """``numpy.dot``: over the last mode of ``x`` and the last but one of ``y`` (of a vector, its one)."""
    a, b = operand(x, "the left operand of dot"), operand(y, "the right operand of dot")
    require(a.rank > 0 and b.rank > 0, InputError, "dot needs a vector or a matrix on both sides: use *")
    return tensordot(Stored(a), Stored(b), ((a.rank - 1,), (max(b.rank - 2, 0),)))


def tensordot(x: Any, y: Any, axes: AxesPair = 2) -> Result:
    """``numpy.tensordot``: over pairs of modes, or the last of ``x`` with the first of ``y``."""
    a, b = operand(x, "the left operand of tensordot"), operand(y, "the right operand of tensordot")
    if isinstance(axes, int):
        require(0 <= axes <= min(a.rank, b.rank), InputError, f"tensordot over {axes} modes: too many")
        ours, theirs = list(range(a.rank - axes, a.rank)), list(range(axes))
    else:
        ours = [axes[0]] if isinstance(axes[0], int) else list(axes[0])
        theirs = [axes[1]] if isinstance(axes[1], int) else list(axes[1])
    require(len(ours) == len(theirs), InputError, f"tensordot pairs {len(ours)} modes with {len(theirs)}")
    for mode, rank in [*((m, a.rank) for m in ours), *((m, b.rank) for m in theirs)]:
        require(-rank <= mode < rank, InputError, f"axis {mode} is outside the {rank} modes of an operand")
    require(a.rank + b.rank <= len(_LETTERS), UnsupportedError, "tensordot of so many modes")
    left = _LETTERS[: a.rank]
    right = list(_LETTERS[a.rank : a.rank + b.rank])
    for our, their in zip(ours, theirs, strict=True):
        right[their % b.rank] = left[our % a.rank]
    shared = set(left) & set(right)
    out = "".join(name for name in [*left, *right] if name not in shared)
    told = (_Told(a.shape, a.format, a.values.dtype), _Told(b.shape, b.format, b.values.dtype))
    found = _product((Stored(a), Stored(b)), told, (left, "".join(right), out), "tensordot")
    return found.storage if isinstance(found, Stored) else found


def _product(
    operands: tuple[Any, Any], told: tuple[_Told, _Told], names: tuple[str, str, str], what: str
) -> Any:
    from aerogel.tensor.entry import einsum

    a, b = told
    _check_sizes(a.shape, b.shape, names, what)
    left, right, out = names
    # As in NumPy, the product of booleans says whether any path is there, not how many.
    semiring = "or_and" if a.dtype.kind + b.dtype.kind == "bb" else "plus_times"
    form = _format(a.format, b.format, len(out))
    return einsum(f"{left},{right}->{out}", *operands, out_format=form, semiring=semiring)


@lru_cache(maxsize=1024)
def _check_sizes(a: tuple[int, ...], b: tuple[int, ...], names: tuple[str, str, str], what: str) -> None:
    sizes = dict(zip(names[0], a, strict=True))
    for name, size in zip(names[1], b, strict=True):
        require(
            sizes.get(name, size) == size,
            InputError,
            f"{what} of shapes {a} and {b}: {sizes.get(name)} does not meet {size}",
        )


@lru_cache(maxsize=256)
def _format(a: Format | None, b: Format | None, rank: int) -> Format:
    if a is None or b is None or a.dense or b.dense or rank == 0:
        return named("dense", rank)
    if rank == 2 and all(form.rank == 2 and form.order == (1, 0) for form in (a, b)):
        return named("csc", 2)
    return fitting(None, (0,) * rank)
