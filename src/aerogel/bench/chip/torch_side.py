"""Contender: torch on the CPU; its sparse products are MKL's where the build has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from aerogel.bench.einsum import torch_side
from aerogel.bench.einsum.entries import Entries
from aerogel.bench.einsum.problem import Problem
from aerogel.bench.einsum.side import Work


class TorchSide(torch_side.TorchSide):
    def spmspv(self, problem: Problem) -> Work:
        """A @ v, A sparse CSR, v stored in full."""
        a, v = problem.sparse
        full = np.zeros(v.shape, v.values.dtype)
        full[v.coords[0]] = v.values
        return self.spmv(Problem("spmv", (a,), (full,)))

    def elemmult(self, problem: Problem) -> Work:
        """A * B, both sparse COO, coalesced."""
        a, b = (_coo(operand) for operand in problem.sparse)

        def product() -> torch.Tensor:
            return (a * b).coalesce()

        return Work(product, _entries)

    def innerprod(self, problem: Problem) -> Work:
        """(A * B).sum(), both sparse COO, coalesced."""
        a, b = (_coo(operand) for operand in problem.sparse)
        return Work(lambda: torch.sparse.sum(a * b))


def _coo(operand: Entries) -> torch.Tensor:
    places = torch.from_numpy(np.stack(operand.coords).astype(np.int64))
    values = torch.from_numpy(operand.values)
    return torch.sparse_coo_tensor(places, values, operand.shape).coalesce()


def _entries(found: torch.Tensor) -> Entries:
    coords = tuple(row.numpy().astype(np.int32) for row in found.indices())
    return Entries(tuple(found.shape), coords, found.values().numpy())


def make(folder: str, threads: int) -> TorchSide:
    return TorchSide(Path(folder), threads)
