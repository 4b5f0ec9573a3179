"""Contender: PyData/sparse, one thread. Runs in an environment of its own (``einsum``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import sparse as pydata_sparse  # pyright: ignore[reportMissingImports]

from aerogel.bench.einsum.entries import Entries
from aerogel.bench.einsum.problem import Problem
from aerogel.bench.einsum.side import Side, Work

sparse: Any = pydata_sparse


class PydataSide(Side):
    def version(self) -> str:
        return str(sparse.__version__)

    def spmv(self, problem: Problem) -> Work:
        """A @ x, A in GCXS (rows compressed)."""
        a, x = _gcxs(problem.sparse[0]), problem.dense[0]
        return Work(lambda: a @ x)

    def spmm(self, problem: Problem) -> Work:
        """A @ X, A in GCXS (rows compressed)."""
        return self.spmv(problem)

    def spgemm(self, problem: Problem) -> Work:
        """A @ B, both in GCXS (rows compressed)."""
        a, b = (_gcxs(operand) for operand in problem.sparse)
        return Work(lambda: a @ b, _entries)

    def add3(self, problem: Problem) -> Work:
        """A + B + C, all in COO, which is faster here than GCXS."""
        a, b, c = (_coo(operand) for operand in problem.sparse)
        return Work(lambda: a + b + c, _entries)

    def transpose(self, problem: Problem) -> Work:
        """GCXS.change_compressed_axes([1]), which holds the same arrays as the transpose in CSR."""
        a = _gcxs(problem.sparse[0])
        return Work(lambda: a.change_compressed_axes([1]), lambda found: _entries(found.T))

    def coo_to_csr(self, problem: Problem) -> Work:
        """COO(coordinates, values), then GCXS.from_coo with rows compressed."""
        a = problem.sparse[0]
        places = np.stack(a.coords)
        return Work(
            lambda: sparse.GCXS.from_coo(
                sparse.COO(places, a.values, shape=a.shape, has_duplicates=False), compressed_axes=(0,)
            ),
            _entries,
        )

    def triangles(self, problem: Problem) -> Work:
        """((L @ L.T) * L).sum(), all in GCXS."""
        lower = _gcxs(problem.sparse[0])
        turned = lower.T.change_compressed_axes([0])

        def count() -> Any:
            return ((lower @ turned) * lower).sum()

        return Work(count, _dense)

    def ttv(self, problem: Problem) -> Work:
        """tensordot(T, v), T in COO, result sparse."""
        return self._tensordot(problem)

    def ttm(self, problem: Problem) -> Work:
        """tensordot(T, M), T in COO, result sparse."""
        return self._tensordot(problem)

    def mttkrp(self, problem: Problem) -> Work:
        """einsum("ijk,jr,kr->ir"), T in COO."""
        t, (b, c) = _coo(problem.sparse[0]), problem.dense
        return Work(lambda: sparse.einsum("ijk,jr,kr->ir", t, b, c), _dense)

    def _tensordot(self, problem: Problem) -> Work:
        t, other = _coo(problem.sparse[0]), problem.dense[0]
        return Work(lambda: sparse.tensordot(t, other, axes=([2], [0]), return_type=sparse.COO), _entries)


def _coo(a: Entries) -> Any:
    return sparse.COO(np.stack(a.coords), a.values, shape=a.shape, has_duplicates=False, sorted=True)


def _gcxs(a: Entries) -> Any:
    pointer, columns, values = a.csr()
    return sparse.GCXS((values, columns, pointer), shape=a.shape, compressed_axes=(0,))


def _entries(found: Any) -> Entries:
    coo = found if isinstance(found, sparse.COO) else found.tocoo()
    coords = tuple(np.asarray(coord, np.int32) for coord in coo.coords)
    return Entries(tuple(coo.shape), coords, coo.data)


def _dense(found: Any) -> Any:
    return found.todense() if isinstance(found, sparse.SparseArray) else np.asarray(found)


def make(folder: str, threads: int) -> PydataSide:
    return PydataSide(Path(folder), threads)
