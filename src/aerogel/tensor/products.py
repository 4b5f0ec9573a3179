"""Products over shared modes: ``@``, dot and tensordot, each written as an einsum and compiled as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format, named
from aerogel.tensor.coerce import operand
from aerogel.tensor.elementwise import Result
from aerogel.tensor.places import fitting
from aerogel.tensor.stored import Stored

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
AxesPair = int | tuple[int | Sequence[int], int | Sequence[int]]


def matmul(x: Any, y: Any) -> Result:
    """``x @ y`` as NumPy means it for vectors, matrices, and stacks of matrices with equal or no stack.

    Sparse with sparse gives sparse (CSC where both are stored by columns, else CSR), all else a NumPy array.
    """
    a, b = operand(x, "the left operand of @"), operand(y, "the right operand of @")
    require(
        a.rank > 0 and b.rank > 0,
        InputError,
        "@ needs a vector or a matrix on both sides: use * with a number",
    )
    stack = max(a.rank, b.rank) - 2
    names = _LETTERS[: max(stack, 0)]
    require(
        stack <= 0 or min(a.rank, b.rank) <= 2 or a.rank == b.rank,
        UnsupportedError,
        f"@ of shapes {a.shape} and {b.shape}: the stacks differ; spell it with aerogel.einsum",
    )
    left = (names if a.rank > 2 else "") + ("YZ" if a.rank > 1 else "Z")
    right = (names if b.rank > 2 else "") + ("ZX" if b.rank > 1 else "Z")
    out = names + ("Y" if a.rank > 1 else "") + ("X" if b.rank > 1 else "")
    return _product(a, b, (left, right, out), "@")


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
    return _product(a, b, (left, "".join(right), out), "tensordot")


def _product(a: Storage, b: Storage, names: tuple[str, str, str], what: str) -> Result:
    from aerogel.tensor.entry import einsum

    left, right, out = names
    sizes = dict(zip(left, a.shape, strict=True))
    for name, size in zip(right, b.shape, strict=True):
        require(
            sizes.get(name, size) == size,
            InputError,
            f"{what} of shapes {a.shape} and {b.shape}: {sizes.get(name)} does not meet {size}",
        )
    form = _format(a, b, len(out))
    # As in NumPy, the product of booleans says whether any path is there, not how many.
    logical = a.values.dtype.kind + b.values.dtype.kind == "bb"
    semiring = "or_and" if logical else "plus_times"
    found = einsum(f"{left},{right}->{out}", Stored(a), Stored(b), out_format=form, semiring=semiring)
    return found.storage if isinstance(found, Stored) else found


def _format(a: Storage, b: Storage, rank: int) -> Format:
    if a.format.dense or b.format.dense or rank == 0:
        return named("dense", rank)
    if rank == 2 and all(s.format.rank == 2 and s.format.order == (1, 0) for s in (a, b)):
        return named("csc", 2)
    return fitting(None, (0,) * rank)
