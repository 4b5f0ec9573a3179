"""A kernel on a pattern: its operands, always the same, and what must come out.

Three kernels are not in the benchmark of einsums and are made here; the others are its problems. Values are
rounded to bfloat16 first, so that chip and CPU are given the same numbers: the chip then errs by its own
arithmetic alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.chip.kernels import Kernel
from aerogel.bench.einsum.data import Pattern, pattern_of
from aerogel.bench.einsum.entries import Entries
from aerogel.bench.einsum.problem import Problem, Result, Wanted, build
from aerogel.bench.einsum.reference import entries, matrix, wanted

_DTYPE = "f32"
_OWN = ("spmspv", "elemmult", "innerprod")
VECTOR_SHARE = 0.5
"""Of a sparse vector's places that hold something."""


def problem_of(kernel: Kernel, pattern: Pattern) -> tuple[Problem, Wanted]:
    """The operands of a kernel, float32, and what must come out."""
    if kernel.key not in _OWN:
        problem = build(kernel.key, pattern, _DTYPE).map(bf16)
        if kernel.key == "add3":
            # Numbers of so few bits cancel exactly, and SciPy does not store a sum that is 0.
            problem = problem.map(np.abs)
        return problem, wanted(problem)
    made = _made(kernel.key, pattern).map(bf16)
    exact = made.map(lambda values: values.astype(np.float64))
    bound = exact.map(np.abs)
    return made, Wanted(_computed(exact), _computed(bound), float(np.finfo(np.float32).eps))


def bf16(values: NDArray[Any]) -> NDArray[Any]:
    """float32 rounded to the nearest bfloat16, ties to even; finite values only."""
    words = np.ascontiguousarray(values, np.float32).view(np.uint32)
    odd = (words >> np.uint32(16)) & np.uint32(1)
    return ((words + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)).view(np.float32)


def random_pattern(name: str, shape: tuple[int, ...], share: float) -> Pattern:
    """Entries at random places, ``share`` of all of them; the same every time."""
    count = round(share * int(np.prod(shape)))
    rng = np.random.default_rng([count, *shape])
    places = np.sort(rng.choice(int(np.prod(shape)), count, replace=False))
    return pattern_of(name, shape, np.unravel_index(places, shape))


def _made(key: str, pattern: Pattern) -> Problem:
    rng = np.random.default_rng(pattern.stored)
    first = Entries(pattern.shape, pattern.coords, _values(rng, pattern.stored))
    if key == "spmspv":
        columns = pattern.shape[1]
        places = np.flatnonzero(rng.random(columns) < VECTOR_SHARE).astype(np.int32)
        return Problem(key, (first, Entries((columns,), (places,), _values(rng, len(places)))))
    return Problem(key, (first, _overlapping(first, rng)))


def _overlapping(first: Entries, rng: np.random.Generator) -> Entries:
    """About half of the places of ``first``, and half of them moved one on along the last mode."""
    kept = rng.random(first.stored) < 0.5
    moved = first.coords[-1].copy()
    moved[~kept] = (moved[~kept] + 1) % first.shape[-1]
    places = np.unique(np.ravel_multi_index((*first.coords[:-1], moved), first.shape))
    coords = tuple(coord.astype(np.int32) for coord in np.unravel_index(places, first.shape))
    return Entries(first.shape, coords, _values(rng, len(places)))


def _values(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Between 0.5 and 1.5, of either sign."""
    sign = rng.integers(0, 2, count) * 2.0 - 1.0
    return (sign * rng.uniform(0.5, 1.5, count)).astype(np.float32)


def _computed(problem: Problem) -> Result:
    first, second = problem.sparse
    match problem.operation:
        case "spmspv":
            vector = np.zeros(second.shape[0], second.values.dtype)
            vector[second.coords[0]] = second.values
            return matrix(first) @ vector
        case "elemmult":
            return entries(matrix(first).multiply(matrix(second)).tocsr()).in_order()
        case _:
            _, mine, theirs = np.intersect1d(first.keys(), second.keys(), return_indices=True)
            return float(first.values[mine] @ second.values[theirs])
