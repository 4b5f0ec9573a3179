"""Contender: loops written for numba. Runs in an environment of its own (``einsum``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numba  # pyright: ignore[reportMissingImports]
import numpy as np

from aerogel.bench.einsum import numba_loops as loops
from aerogel.bench.einsum.entries import Entries, Fibers, columns_of, rows_of
from aerogel.bench.einsum.problem import Problem
from aerogel.bench.einsum.side import Side, Work


class NumbaSide(Side):
    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(folder, threads)
        numba.set_num_threads(threads)

    def version(self) -> str:
        return f"{numba.__version__}, parallel, fastmath"

    def spmv(self, problem: Problem) -> Work:
        """A thread takes a range of rows."""
        a, x = _csr(problem.sparse[0]), problem.dense[0]
        return Work(lambda: loops.spmv(a, x))

    def spmm(self, problem: Problem) -> Work:
        """A thread takes a range of rows; the innermost loop is over columns."""
        a, x = _csr(problem.sparse[0]), problem.dense[0]
        return Work(lambda: loops.spmm(a, x))

    def spgemm(self, problem: Problem) -> Work:
        """Gustavson's, twice: to count, then to fill; a dense workspace for each thread; columns sorted."""
        a, b = (_csr(operand) for operand in problem.sparse)
        height, width = problem.sparse[0].shape[0], problem.sparse[1].shape[1]
        return Work(lambda: loops.spgemm(a, b, width, self._threads), _matrix(height, width))

    def sddmm(self, problem: Problem) -> Work:
        """A thread takes a range of rows; an inner product for each entry."""
        a, (x, y) = problem.sparse[0], problem.dense
        arrays = _csr(a)
        return Work(lambda: loops.sddmm(arrays, x, y), _matrix(*a.shape))

    def add3(self, problem: Problem) -> Work:
        """A merge of three, twice: to count, then to fill."""
        a, b, c = (_csr(operand) for operand in problem.sparse)
        height, width = problem.sparse[0].shape
        return Work(lambda: loops.add3(a, b, c, width), _matrix(height, width))

    def transpose(self, problem: Problem) -> Work:
        """A counting sort by column; each thread has counts of its own."""
        a = problem.sparse[0]
        arrays, (height, width) = _csr(a), a.shape
        return Work(lambda: loops.transpose(arrays, width, self._threads), _matrix(width, height))

    def coo_to_csr(self, problem: Problem) -> Work:
        """Two counting sorts, by column on one thread, then by row on all."""
        a = problem.sparse[0]
        (rows, columns), (height, width) = map(_unsigned, a.coords), a.shape
        return Work(
            lambda: loops.coo_to_csr(rows, columns, a.values, height, width, self._threads),
            _matrix(height, width),
        )

    def triangles(self, problem: Problem) -> Work:
        """A merge of two rows for each edge."""
        pointer, columns, _ = _csr(problem.sparse[0])
        return Work(lambda: loops.triangles(pointer, columns))

    def ttv(self, problem: Problem) -> Work:
        """A thread takes a range of fibers; coordinates copied."""
        f, v = _fibers(problem), problem.dense[0]
        return Work(
            lambda: loops.ttv(f.first, f.second, f.pointer, f.third, f.values, v),
            lambda found: Entries(f.shape[:2], found[:2], found[2]),
        )

    def ttm(self, problem: Problem) -> Work:
        """A thread takes a range of fibers; coordinates copied."""
        f, m = _fibers(problem), problem.dense[0]
        return Work(
            lambda: loops.ttm(f.first, f.second, f.pointer, f.third, f.values, m),
            lambda found: columns_of(found[0], found[1], found[2], (*f.shape[:2], m.shape[1])),
        )

    def mttkrp(self, problem: Problem) -> Work:
        """Each fiber times C, then times its row of B; threads take every second i."""
        f, (b, c) = _fibers(problem), problem.dense
        fibers = f.second, f.pointer, f.third
        slices = _unsigned(problem.sparse[0].fibers().slices())
        return Work(lambda: loops.mttkrp(slices, fibers, f.values, b, c, self._threads))


def _unsigned(indices: Any) -> Any:
    """Of signed indices numba asks for each whether it counts from the end: five times the time of SpMV."""
    return indices.view(np.uint32)


def _csr(a: Entries) -> Any:
    pointer, columns, values = a.csr()
    return _unsigned(pointer), _unsigned(columns), values


def _fibers(problem: Problem) -> Fibers:
    f = problem.sparse[0].fibers()
    first, second, pointer, third = (_unsigned(array) for array in (f.first, f.second, f.pointer, f.third))
    return Fibers(f.shape, first, second, pointer, third, f.values)


def _matrix(height: int, width: int) -> Any:
    def entries(found: Any) -> Entries:
        pointer, columns, values = found
        return Entries((height, width), (rows_of(pointer), np.asarray(columns)), values)

    return entries


def make(folder: str, threads: int) -> NumbaSide:
    return NumbaSide(Path(folder), threads)
