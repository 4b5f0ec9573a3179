"""Contender: aerogel. Operands are tensors made once; each call goes through ``einsum`` or ``evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import aerogel as ag
from aerogel.bench.einsum.entries import Entries
from aerogel.bench.einsum.problem import Problem, Result
from aerogel.bench.einsum.side import Side, Work

_FIBERS_BY_COLUMNS = "compressed,compressed,dense"


class OwnSide(Side):
    def version(self) -> str:
        return ag.__version__

    def spmv(self, problem: Problem) -> Work:
        """einsum("ij,j->i"), A in CSR."""
        return self._einsum("ij,j->i", problem, "csr")

    def spmm(self, problem: Problem) -> Work:
        """einsum("ij,jk->ik"), A in CSR."""
        return self._einsum("ij,jk->ik", problem, "csr")

    def spgemm(self, problem: Problem) -> Work:
        """einsum("ij,jk->ik"), both and C in CSR; its size is known after a call."""
        return self._einsum("ij,jk->ik", problem, "csr", "csr")

    def sddmm(self, problem: Problem) -> Work:
        """einsum("ij,ik,jk->ij"), A and the result in CSR."""
        return self._einsum("ij,ik,jk->ij", problem, "csr", "csr")

    def add3(self, problem: Problem) -> Work:
        """evaluate("D(i,j) = A(i,j) + B(i,j) + C(i,j)"), all in CSR; D's size is known after a call."""
        a, b, c = self._sparse(problem, "csr")
        text, threads = "D(i,j) = A(i,j) + B(i,j) + C(i,j)", self._threads
        return Work(lambda: ag.evaluate(text, A=a, B=b, C=c, out_format="csr", threads=threads), plain)

    def transpose(self, problem: Problem) -> Work:
        """A.T.asformat("csr"), A in CSR: einsum would keep what it has converted once."""
        (a,) = self._sparse(problem, "csr")
        return Work(lambda: a.T.asformat("csr"), plain)

    def coo_to_csr(self, problem: Problem) -> Work:
        """tensor((values, coordinates), "csr")."""
        a = problem.sparse[0]
        return Work(lambda: ag.tensor((a.values, a.coords), "csr", shape=a.shape), plain)

    def triangles(self, problem: Problem) -> Work:
        """einsum("ij,ik,jk->", L, L, L), L in CSR."""
        (lower,), threads = self._sparse(problem, "csr"), self._threads
        return Work(lambda: ag.einsum("ij,ik,jk->", lower, lower, lower, threads=threads), plain)

    def ttv(self, problem: Problem) -> Work:
        """einsum("ijk,k->ij"), T in CSF, the result in DCSR."""
        return self._einsum("ijk,k->ij", problem, "csf", "dcsr")

    def ttm(self, problem: Problem) -> Work:
        """einsum("ijk,kr->ijr"), T in CSF, the result compressed in i and j."""
        return self._einsum("ijk,kr->ijr", problem, "csf", _FIBERS_BY_COLUMNS)

    def mttkrp(self, problem: Problem) -> Work:
        """einsum("ijk,jr,kr->ir"), T in CSF."""
        return self._einsum("ijk,jr,kr->ir", problem, "csf")

    def _einsum(self, subscripts: str, problem: Problem, held: str, out: str = "dense") -> Work:
        operands, threads = (*self._sparse(problem, held), *problem.dense), self._threads
        return Work(lambda: ag.einsum(subscripts, *operands, out_format=out, threads=threads), plain)

    @staticmethod
    def _sparse(problem: Problem, held: str) -> list[Any]:
        """An operand that stands there twice is one tensor."""
        made: dict[int, Any] = {}
        for a in problem.sparse:
            if id(a) not in made:
                made[id(a)] = ag.tensor((a.values, a.coords), held, shape=a.shape)
        return [made[id(a)] for a in problem.sparse]


def plain(found: Any) -> Result:
    """A tensor that is stored sparsely as entries, anything else as an array."""
    if not isinstance(found, ag.Tensor) or found.format.dense:
        return np.asarray(found)
    coords, values = found.coordinates()
    return Entries(found.shape, tuple(coord.astype(np.int32) for coord in coords), values)


def make(folder: str, threads: int) -> OwnSide:
    return OwnSide(Path(folder), threads)
