"""Contender: SuiteSparse:GraphBLAS by python-graphblas. Runs in an environment of its own (``einsum``).

Every result is waited for: GraphBLAS may leave work for later.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import graphblas as gb  # pyright: ignore[reportMissingImports]
import numpy as np

from aerogel.bench.einsum.entries import Entries
from aerogel.bench.einsum.problem import Problem
from aerogel.bench.einsum.side import Side, Work


class GraphblasSide(Side):
    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(folder, threads)
        gb.ss.config["nthreads"] = threads

    def version(self) -> str:
        library = ".".join(str(part) for part in gb.ss.about["library_version"])
        return f"{gb.__version__}, SuiteSparse:GraphBLAS {library}"

    def spmv(self, problem: Problem) -> Work:
        """A.mxv(x, plus_times), x full."""
        a, x = _matrix(problem.sparse[0]), gb.Vector.from_dense(problem.dense[0])
        times = gb.semiring.plus_times
        return Work(lambda: _done(a.mxv(x, times).new()), _dense)

    def spmm(self, problem: Problem) -> Work:
        """A.mxm(X, plus_times), X full."""
        a, x = _matrix(problem.sparse[0]), gb.Matrix.from_dense(problem.dense[0])
        times = gb.semiring.plus_times
        return Work(lambda: _done(a.mxm(x, times).new()), _dense)

    def spgemm(self, problem: Problem) -> Work:
        """A.mxm(B, plus_times)."""
        a, b = (_matrix(operand) for operand in problem.sparse)
        times = gb.semiring.plus_times
        return Work(lambda: _done(a.mxm(b, times).new()), _entries)

    def sddmm(self, problem: Problem) -> Work:
        """X.mxm(Y.T, plus_times) under A's structure as mask, times A entry by entry."""
        a = _matrix(problem.sparse[0])
        x, y = (gb.Matrix.from_dense(array) for array in problem.dense)
        plus_times, times = gb.semiring.plus_times, gb.binary.times
        return Work(lambda: _done(x.mxm(y.T, plus_times).new(mask=a.S).ewise_mult(a, times).new()), _entries)

    def add3(self, problem: Problem) -> Work:
        """ewise_add of A and B, then of C, by plus."""
        a, b, c = (_matrix(operand) for operand in problem.sparse)
        plus = gb.binary.plus
        return Work(lambda: _done(a.ewise_add(b, plus).new().ewise_add(c, plus).new()), _entries)

    def transpose(self, problem: Problem) -> Work:
        """A.T.new()."""
        a = _matrix(problem.sparse[0])
        return Work(lambda: _done(a.T.new()), _entries)

    def coo_to_csr(self, problem: Problem) -> Work:
        """Matrix.from_coo, indices of 64 bits, as it asks for."""
        a = problem.sparse[0]
        rows, columns = (coord.astype(np.uint64) for coord in a.coords)
        height, width = a.shape
        return Work(
            lambda: _done(gb.Matrix.from_coo(rows, columns, a.values, nrows=height, ncols=width)), _entries
        )

    def triangles(self, problem: Problem) -> Work:
        """L.mxm(L.T, plus_pair) under L's structure as mask, reduced by plus."""
        lower = _matrix(problem.sparse[0])
        pair, plus = gb.semiring.plus_pair, gb.monoid.plus

        def count() -> Any:
            return lower.mxm(lower.T, pair).new(mask=lower.S).reduce_scalar(plus).new().value

        # Of no entries there is no sum.
        return Work(count, lambda found: 0.0 if found is None else float(found))


def _matrix(a: Entries) -> Any:
    pointer, columns, values = a.csr()
    made = gb.Matrix.from_csr(pointer, columns, values, ncols=a.shape[1])
    return _done(made)


def _done(found: Any) -> Any:
    found.wait()
    return found


def _dense(found: Any) -> Any:
    """Rows without entries have no result there: 0."""
    return found.to_dense(fill_value=0)


def _entries(found: Any) -> Entries:
    rows, columns, values = found.to_coo()
    return Entries(tuple(found.shape), (rows.astype(np.int32), columns.astype(np.int32)), values)


def make(folder: str, threads: int) -> GraphblasSide:
    return GraphblasSide(Path(folder), threads)
