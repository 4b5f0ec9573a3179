"""Contender: torch on the CPU, its sparse CSR tensors (MKL where the build has it), indices of 32 bits."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aerogel.bench.einsum.entries import Entries, Fibers, columns_of, rows_of
from aerogel.bench.einsum.problem import Problem
from aerogel.bench.einsum.side import Side, Work


class TorchSide(Side):
    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(folder, threads)
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        torch.sparse.check_sparse_tensor_invariants.disable()
        warnings.filterwarnings("ignore", message="Sparse (CSR|CSC|invariant)")

    def version(self) -> str:
        return f"{torch.__version__}, {'with' if torch.backends.mkl.is_available() else 'without'} MKL"

    def spmv(self, problem: Problem) -> Work:
        """A @ x, A sparse CSR."""
        a, x = _matrix(problem.sparse[0]), torch.from_numpy(problem.dense[0])
        return Work(lambda: a @ x, _dense)

    def spmm(self, problem: Problem) -> Work:
        """A @ X, A sparse CSR."""
        return self.spmv(problem)

    def spgemm(self, problem: Problem) -> Work:
        """A @ B, both sparse CSR."""
        a = _matrix(problem.sparse[0])
        b = a if problem.sparse[1] is problem.sparse[0] else _matrix(problem.sparse[1])
        return Work(lambda: a @ b, _entries)

    def sddmm(self, problem: Problem) -> Work:
        """torch.sparse.sampled_addmm of ones in A's pattern, its values times A's."""
        a = problem.sparse[0]
        values = torch.from_numpy(a.values)
        ones = _matrix(Entries(a.shape, a.coords, np.ones_like(a.values)))
        x, y = (torch.from_numpy(array) for array in problem.dense)

        def sampled() -> Any:
            found = torch.sparse.sampled_addmm(ones, x, y.t(), beta=0.0)
            found.values().mul_(values)
            return found

        return Work(sampled, _entries)

    def add3(self, problem: Problem) -> Work:
        """A + B + C, all sparse CSR."""
        a, b, c = (_matrix(operand) for operand in problem.sparse)
        return Work(lambda: a + b + c, _entries)

    def transpose(self, problem: Problem) -> Work:
        """A.to_sparse_csc(), which holds the same arrays as the transpose in CSR."""
        a = _matrix(problem.sparse[0])
        return Work(a.to_sparse_csc, lambda found: _entries(found.t()))

    def coo_to_csr(self, problem: Problem) -> Work:
        """sparse_coo_tensor(...).coalesce().to_sparse_csr(), its indices of 64 bits, as it asks for."""
        a = problem.sparse[0]
        places, values = torch.from_numpy(np.stack(a.coords).astype(np.int64)), torch.from_numpy(a.values)
        return Work(
            lambda: torch.sparse_coo_tensor(places, values, a.shape).coalesce().to_sparse_csr(), _entries
        )

    def ttv(self, problem: Problem) -> Work:
        """T held as a CSR matrix with a row for each fiber (i, j), times v; coordinates copied."""
        fibers, unfolded = _unfolded(problem)
        first, second, v = _of(fibers.first, fibers.second, problem.dense[0])
        return Work(
            lambda: (first.clone(), second.clone(), unfolded @ v),
            lambda found: Entries(fibers.shape[:2], (found[0].numpy(), found[1].numpy()), found[2].numpy()),
        )

    def ttm(self, problem: Problem) -> Work:
        """T held as a CSR matrix with a row for each fiber (i, j), times M; coordinates copied."""
        fibers, unfolded = _unfolded(problem)
        first, second, m = _of(fibers.first, fibers.second, problem.dense[0])
        shape = (*fibers.shape[:2], int(m.shape[1]))
        return Work(
            lambda: (first.clone(), second.clone(), unfolded @ m),
            lambda found: columns_of(found[0].numpy(), found[1].numpy(), found[2].numpy(), shape),
        )

    def mttkrp(self, problem: Problem) -> Work:
        """T unfolded to fibers (i, j) as CSR, times C, times rows of B, then a CSR matrix that adds up
        fibers."""
        fibers, unfolded = _unfolded(problem)
        second, b, c = _of(fibers.second, *problem.dense)
        places = np.arange(fibers.count, dtype=np.int32)
        ones = np.ones(fibers.count, problem.dense[0].dtype)
        add_up = _csr(fibers.slices(), places, ones, (fibers.shape[0], fibers.count))
        return Work(lambda: add_up @ ((unfolded @ c).mul_(b[second])), _dense)


def _csr(pointer: Any, columns: Any, values: Any, shape: tuple[int, ...]) -> Any:
    return torch.sparse_csr_tensor(*_of(pointer, columns, values), size=shape)


def _of(*arrays: Any) -> tuple[Any, ...]:
    return tuple(torch.from_numpy(array) for array in arrays)


def _matrix(a: Entries) -> Any:
    return _csr(*a.csr(), a.shape)


def _unfolded(problem: Problem) -> tuple[Fibers, Any]:
    fibers = problem.sparse[0].fibers()
    return fibers, _csr(fibers.pointer, fibers.third, fibers.values, (fibers.count, fibers.shape[2]))


def _dense(found: Any) -> Any:
    return found.numpy()


def _entries(found: Any) -> Entries:
    columns = found.col_indices().numpy().astype(np.int32)
    return Entries(
        tuple(found.shape), (rows_of(found.crow_indices().numpy()), columns), found.values().numpy()
    )


def make(folder: str, threads: int) -> TorchSide:
    return TorchSide(Path(folder), threads)
