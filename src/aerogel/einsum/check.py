"""Assignments against their operands: ranks, sizes, names. Errors name the tensor, the mode and the index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Never

from aerogel.core.errors import InputError
from aerogel.core.suggest import meant
from aerogel.einsum.dtypes import result_dtype
from aerogel.einsum.nodes import Access, Assignment, Expr, Reduce, accesses, children, folded
from aerogel.einsum.printer import text
from aerogel.einsum.sums import free_indices

__all__ = ["extents", "result_dtype"]


@dataclass(frozen=True, slots=True)
class _Use:
    """Where an index got its extent."""

    tensor: str
    mode: int
    size: int

    def __str__(self) -> str:
        return f"{self.size} in mode {self.mode} of {self.tensor}"


def extents(assignment: Assignment, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """The extent of every index, for operands of these shapes; InputError where they do not fit.

    Exactly the tensors of the expression must be given; where it accumulates, the output may be too. It then
    has a say in the extents, so that ``C(i,j) += x(i)`` has one for j.
    """
    out = assignment.out
    used = list(accesses(assignment.expr))
    if assignment.accumulate is not None and out.tensor in shapes:
        used.append(out)
    _check_given(assignment, used, shapes)
    _check_bound(assignment)
    found: dict[str, _Use] = {}
    for access in used:
        _check_rank(assignment, access, shapes[access.tensor])
        for mode, index in enumerate(access.indices):
            use = _Use(access.tensor, mode, shapes[access.tensor][mode])
            first = found.setdefault(index, use)
            if first.size != use.size:
                _mismatch(assignment, index, first, use)
    _check_known(assignment, found)
    return {index: use.size for index, use in found.items()}


def _wrong(assignment: Assignment, what: str) -> Never:
    raise InputError(f"{what}; in {text(assignment)}")


def _check_given(assignment: Assignment, used: Iterable[Access], shapes: Mapping[str, object]) -> None:
    names = dict.fromkeys(access.tensor for access in used)
    missing = [name for name in names if name not in shapes]
    spare = [name for name in shapes if name not in names]
    for name in missing:
        given = f"given are {', '.join(shapes)}" if shapes else "none are given"
        _wrong(assignment, f"operand {name!r} is missing: {meant(name, spare, given)}")
    for name in spare:
        _wrong(assignment, f"operand {name!r} is given but not used: {meant(name, names, 'leave it out')}")


def _check_bound(assignment: Assignment) -> None:
    """What parsing refuses, for trees made by hand."""
    for index in free_indices(assignment.expr):
        if index not in assignment.out.indices:
            _wrong(assignment, f"index {index!r} is not in the output, and nothing folds it")
    _check_folds(assignment, assignment.expr, assignment.out.indices)


def _check_folds(assignment: Assignment, expr: Expr, bound: tuple[str, ...]) -> None:
    if isinstance(expr, Reduce):
        if expr.index in bound:
            _wrong(assignment, f"index {expr.index!r} is folded where it has a value already: rename one")
        bound = (*bound, expr.index)
    for child in children(expr):
        _check_folds(assignment, child, bound)


def _check_rank(assignment: Assignment, access: Access, shape: Sequence[int]) -> None:
    if len(access.indices) != len(shape):
        printed = f"{access.tensor}({','.join(access.indices)})"
        has = f"{access.tensor} has {len(shape)} (shape {tuple(shape)})"
        _wrong(assignment, f"{printed} has {len(access.indices)} indices, but {has}")


def _mismatch(assignment: Assignment, index: str, first: _Use, other: _Use) -> Never:
    what = f"index {index!r} is {first}, but {other}"
    if 1 in (first.size, other.size):
        one = first if first.size == 1 else other
        what += f" (a mode of size 1 is not stretched here: drop mode {one.mode} of {one.tensor})"
    _wrong(assignment, what)


def _check_known(assignment: Assignment, found: Mapping[str, object]) -> None:
    for index in assignment.out.indices:
        if index not in found:
            hint = meant(index, found, "its extent is unknown")
            _wrong(assignment, f"index {index!r} of the output is in no operand: {hint}")
    for index in folded(assignment.expr):
        if index not in found:
            _wrong(assignment, f"index {index!r} is folded but in no operand: its extent is unknown")
