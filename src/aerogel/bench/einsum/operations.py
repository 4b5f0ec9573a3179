"""The operations that are timed, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aerogel.core.errors import InputError, require
from aerogel.core.suggest import unknown

Kind = Literal["matrix", "graph", "tensor"]
RANK = 32
"""Columns of the factors of TTM and MTTKRP."""
INNER = 64
"""The length of the inner products of SDDMM."""
LEAST_STORED: dict[Kind, int] = {"matrix": 12_000, "graph": 10_000, "tensor": 5_000}
"""Patterns with fewer entries are left out: there a call costs more than its work."""


@dataclass(frozen=True, slots=True)
class Operation:
    """``notation``: what it computes. ``kind``: the patterns it is timed on. ``left_out``: those it is not
    timed on although they are large enough, with the reason. ``rival``: the one library that the aim is set
    against, the one people do this with; "" where it is the best of all."""

    name: str
    title: str
    notation: str
    kind: Kind = "matrix"
    left_out: tuple[tuple[str, str], ...] = ()
    rival: str = ""


# Of ``spgemm``, B is A itself, or its transpose where A is not square.
_ENRON = ("email-Enron", "its square has 30 million entries, which takes every library over a second")

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("spmv", "SpMV", "y(i) = A(i,j) * x(j), y dense"),
        Operation("spmm32", "SpMM, 32 columns", "Y(i,k) = A(i,j) * X(j,k), Y dense"),
        Operation("spmm128", "SpMM, 128 columns", "Y(i,k) = A(i,j) * X(j,k), Y dense"),
        Operation("spgemm", "SpGEMM", "C(i,k) = A(i,j) * B(j,k), C in CSR", left_out=(_ENRON,)),
        Operation("sddmm", "SDDMM", f"C(i,j) = A(i,j) * X(i,k) * Y(j,k), {INNER} long, C in CSR"),
        Operation("add3", "Sum of three", "D(i,j) = A(i,j) + B(i,j) + C(i,j), D in CSR"),
        Operation("transpose", "Transposition", "B(j,i) = A(i,j), both in CSR", rival="scipy"),
        Operation(
            "coo_to_csr", "COO to CSR", "entries in random order, to rows with sorted columns", rival="scipy"
        ),
        Operation("triangles", "Triangle count", "t = L(i,j) * L(i,k) * L(j,k)", "graph", rival="graphblas"),
        Operation("ttv", "TTV", "Y(i,j) = T(i,j,k) * v(k), Y sparse", "tensor"),
        Operation("ttm", f"TTM, {RANK} columns", "Y(i,j,r) = T(i,j,k) * M(k,r), sparse in i, j", "tensor"),
        Operation("mttkrp", f"MTTKRP, {RANK} columns", "Y(i,r) = T(i,j,k) * B(j,r) * C(k,r)", "tensor"),
    )
}


def operation(name: str) -> Operation:
    """InputError for a name that is not in ``OPERATIONS``."""
    require(name in OPERATIONS, InputError, unknown("operation", name, OPERATIONS))
    return OPERATIONS[name]
