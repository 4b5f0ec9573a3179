"""Contender: SciPy, one thread."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aerogel.bench.einsum import scipy_side
from aerogel.bench.einsum.problem import Problem
from aerogel.bench.einsum.reference import entries, matrix
from aerogel.bench.einsum.side import Work


class ScipySide(scipy_side.ScipySide):
    def spmspv(self, problem: Problem) -> Work:
        """A @ v in CSR, v stored in full, which is faster than a sparse one."""
        a, v = problem.sparse
        rows, full = matrix(a), np.zeros(v.shape, v.values.dtype)
        full[v.coords[0]] = v.values
        return Work(lambda: rows @ full)

    def elemmult(self, problem: Problem) -> Work:
        """A.multiply(B)."""
        a, b = (matrix(operand) for operand in problem.sparse)
        return Work(lambda: a.multiply(b), entries)

    def innerprod(self, problem: Problem) -> Work:
        """NumPy: places of both as sorted numbers, intersect1d, and the product of what is at both."""
        (a, b), (first, second) = (
            [operand.keys() for operand in problem.sparse],
            [operand.values for operand in problem.sparse],
        )

        def product() -> float:
            _, mine, theirs = np.intersect1d(a, b, assume_unique=True, return_indices=True)
            return float(first[mine] @ second[theirs])

        return Work(product)


def make(folder: str, threads: int) -> ScipySide:
    return ScipySide(Path(folder), threads, sort=False)
