"""Contender: SciPy, one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy
import scipy.sparse as sp

from aerogel.bench.einsum.entries import Entries, Fibers, columns_of
from aerogel.bench.einsum.problem import Problem
from aerogel.bench.einsum.reference import entries, matrix
from aerogel.bench.einsum.side import Side, Work


class ScipySide(Side):
    """``sort``: put the columns of each row of a product in order, as the others deliver them."""

    def __init__(self, folder: Path, threads: int, *, sort: bool) -> None:
        super().__init__(folder, threads)
        self._sort = sort

    def version(self) -> str:
        return scipy.__version__

    def spmv(self, problem: Problem) -> Work:
        """A @ x."""
        a, x = matrix(problem.sparse[0]), problem.dense[0]
        return Work(lambda: a @ x)

    def spmm(self, problem: Problem) -> Work:
        """A @ X."""
        return self.spmv(problem)

    def spgemm(self, problem: Problem) -> Work:
        """A @ B; scipy leaves the columns within a row unsorted, scipy-sorted calls sort_indices() on it."""
        a, b = (matrix(operand) for operand in problem.sparse)

        def product() -> Any:
            found = a @ b
            found.sort_indices()
            return found

        return Work(product if self._sort else lambda: a @ b, entries)

    def sddmm(self, problem: Problem) -> Work:
        """NumPy: rows of X and Y gathered for each entry, and einsum over them."""
        a = problem.sparse[0]
        (rows, columns), pointer, (x, y) = a.coords, a.pointer(), problem.dense

        def sampled() -> Any:
            values = a.values * np.einsum("ek,ek->e", x[rows], y[columns])
            return sp.csr_array((values, columns.copy(), pointer.copy()), shape=a.shape)

        return Work(sampled, entries)

    def add3(self, problem: Problem) -> Work:
        """A + B + C."""
        a, b, c = (matrix(operand) for operand in problem.sparse)
        return Work(lambda: a + b + c, entries)

    def transpose(self, problem: Problem) -> Work:
        """A.tocsc(), which holds the same arrays as the transpose in CSR."""
        a = matrix(problem.sparse[0])
        return Work(a.tocsc, lambda found: entries(found.T))

    def coo_to_csr(self, problem: Problem) -> Work:
        """coo_array.tocsr()."""
        a = problem.sparse[0]
        coo: Any = sp.coo_array((a.values, a.coords), shape=a.shape)
        return Work(coo.tocsr, entries)

    def triangles(self, problem: Problem) -> Work:
        """(L @ L.T).multiply(L).sum(), L.T held in CSR."""
        lower = matrix(problem.sparse[0])
        turned = lower.T.tocsr()
        return Work(lambda: (lower @ turned).multiply(lower).sum())

    def ttv(self, problem: Problem) -> Work:
        """T held as a CSR matrix with a row for each fiber (i, j), times v; coordinates copied."""
        fibers, unfolded = _unfolded(problem)
        v = problem.dense[0]
        return Work(
            lambda: (fibers.first.copy(), fibers.second.copy(), unfolded @ v),
            lambda found: Entries(fibers.shape[:2], found[:2], found[2]),
        )

    def ttm(self, problem: Problem) -> Work:
        """T held as a CSR matrix with a row for each fiber (i, j), times M; coordinates copied."""
        fibers, unfolded = _unfolded(problem)
        m = problem.dense[0]
        shape = (*fibers.shape[:2], m.shape[1])
        return Work(
            lambda: (fibers.first.copy(), fibers.second.copy(), unfolded @ m),
            lambda found: columns_of(found[0], found[1], found[2], shape),
        )

    def mttkrp(self, problem: Problem) -> Work:
        """T unfolded to fibers (i, j) as CSR, times C, times rows of B, then a CSR matrix that adds up
        fibers."""
        fibers, unfolded = _unfolded(problem)
        b, c = problem.dense
        ones = np.ones(fibers.count, b.dtype)
        places = np.arange(fibers.count, dtype=np.int32)
        add_up: Any = sp.csr_array((ones, places, fibers.slices()), shape=(fibers.shape[0], fibers.count))
        return Work(lambda: add_up @ ((unfolded @ c) * b[fibers.second]))


def _unfolded(problem: Problem) -> tuple[Fibers, Any]:
    fibers = problem.sparse[0].fibers()
    arrays = fibers.values, fibers.third, fibers.pointer
    return fibers, sp.csr_array(arrays, shape=(fibers.count, fibers.shape[2]))


def make(folder: str, threads: int, *, sort: bool = False) -> ScipySide:
    return ScipySide(Path(folder), threads, sort=sort)
