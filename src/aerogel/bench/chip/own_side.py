"""Contender: aerogel on the CPU; ways of a kernel are tried when a case is prepared, and the fastest kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import aerogel as ag
from aerogel.bench.einsum import own_side
from aerogel.bench.einsum.entries import Entries
from aerogel.bench.einsum.own_side import plain
from aerogel.bench.einsum.problem import Problem
from aerogel.bench.einsum.side import Work

_TRIES = 5


class OwnSide(own_side.OwnSide):
    def spmspv(self, problem: Problem) -> Work:
        """einsum("ij,j->i"): A in CSR with v stored in full, or A in CSC with v sparse."""
        a, v = problem.sparse
        full = np.zeros(v.shape, v.values.dtype)
        full[v.coords[0]] = v.values
        sparse, threads = _tensor(v, "sv"), self._threads
        rows, columns = _tensor(a, "csr"), _tensor(a, "csc")
        return _fastest(
            (
                lambda: ag.einsum("ij,j->i", rows, full, threads=threads),
                lambda: ag.einsum("ij,j->i", columns, sparse, threads=threads),
            )
        )

    def elemmult(self, problem: Problem) -> Work:
        """einsum("ij,ij->ij"), all in CSR."""
        a, b = (_tensor(operand, "csr") for operand in problem.sparse)
        threads = self._threads
        return Work(lambda: ag.einsum("ij,ij->ij", a, b, out_format="csr", threads=threads), plain)

    def innerprod(self, problem: Problem) -> Work:
        """einsum("ijk,ijk->"): both in CSF, or compressed in all modes taken as one."""
        threads = self._threads
        a, b = (_tensor(operand, "csf") for operand in problem.sparse)
        c, d = (_tensor(_flat(operand), "sv") for operand in problem.sparse)
        return _fastest(
            (
                lambda: ag.einsum("ijk,ijk->", a, b, threads=threads),
                lambda: ag.einsum("i,i->", c, d, threads=threads),
            )
        )


def _tensor(entries: Entries, held: str) -> Any:
    return ag.tensor((entries.values, entries.coords), held, shape=entries.shape)


def _flat(entries: Entries) -> Entries:
    return Entries((int(np.prod(entries.shape)),), (entries.keys().astype(np.int32),), entries.values)


def _fastest(ways: Iterable[Callable[[], Any]]) -> Work:
    """By the best of a few calls each, after one that compiles."""

    def took(call: Callable[[], Any]) -> float:
        call()
        times: list[float] = []
        for _ in range(_TRIES):
            started = perf_counter()
            call()
            times.append(perf_counter() - started)
        return min(times)

    return Work(min(ways, key=took), plain)


def make(folder: str, threads: int) -> OwnSide:
    return OwnSide(Path(folder), threads)
