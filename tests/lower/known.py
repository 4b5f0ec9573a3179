"""The best-known kernels of sparse algebra: how their operands are stored, and NumPy's answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.pack import pack
from aerogel.einsum.nodes import accesses
from aerogel.einsum.parse import parse
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import named
from aerogel.lower.choose import Wanted
from aerogel.tensor.request import Prepared, Request, converted, prepare

Array = NDArray[Any]
SIZES = {"i": 9, "j": 21, "k": 13, "r": 11}
"""No multiple of any vector."""


@dataclass(frozen=True)
class Known:
    """``formats``: by operand, those left out being dense. ``answer``: from dense operands."""

    name: str
    text: str
    formats: Mapping[str, str]
    answer: Callable[..., Any]
    out: str | None = None
    semiring: str = "plus_times"
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    density: float = 0.25

    def operands(self, seed: int = 0, sizes: Mapping[str, int] | None = None) -> dict[str, Storage]:
        rng = np.random.default_rng(seed)
        extents = {**SIZES, **self.sizes, **(sizes or {})}
        found: dict[str, Storage] = {}
        for access in accesses(parse(self.text, semiring=self.semiring).expr):
            if access.tensor in found:
                continue
            shape = tuple(extents[i] for i in access.indices)
            form = named(self.formats.get(access.tensor, "dense"), len(shape))
            density = 0.05 if access.tensor == "few" else self.density
            mask = np.ones(shape, np.bool_) if form.dense else rng.random(shape) < density
            values = rng.integers(1, 9, shape) / 4
            found[access.tensor] = pack(
                np.nonzero(mask) if shape else (), values[mask].reshape(-1), shape, form
            )
        return found

    def prepared(self, operands: Mapping[str, Storage]) -> Prepared:
        assignment = parse(self.text, semiring=self.semiring)
        rank = len(assignment.out.indices)
        out = None if self.out is None else named(self.out, rank)
        return prepare(Request.of(assignment), operands, Wanted(out))

    def used(self, prepared: Prepared, operands: Mapping[str, Storage]) -> dict[str, Storage]:
        """The operands as the kernel takes them."""
        formats = prepared.choice.formats
        return {n: converted(operands[s], formats[n]) for n, s in prepared.request.sources.items()}


def _einsum(subscripts: str, *names: str) -> Callable[..., Any]:
    return lambda **given: np.einsum(subscripts, *(given[name] for name in names))


def _shortest(A: Array, x: Array) -> Array:
    edges = np.where(A == 0, math.inf, A)
    return (edges + x).min(axis=1, initial=math.inf)


MATMUL, SPMV = _einsum("ij,jk->ik", "A", "B"), _einsum("ij,j->i", "A", "x")

KNOWN = (
    Known("spmv_csr", "y(i) = A(i,j) * x(j)", {"A": "csr"}, SPMV),
    Known("spmv_csc", "y(i) = A(i,j) * x(j)", {"A": "csc"}, SPMV),
    Known("spmv_coo", "y(i) = A(i,j) * x(j)", {"A": "coo"}, SPMV),
    Known("spmv_dcsr", "y(i) = A(i,j) * x(j)", {"A": "dcsr"}, SPMV, density=0.05),
    Known(
        "spmv_relu_bias",
        "y(i) = relu(A(i,j) * x(j) - b(i))",
        {"A": "csr"},
        lambda A, x, b: np.maximum(A @ x - b, 0),
    ),
    Known("spmv_min_plus", "y(i) = A(i,j) * x(j)", {"A": "csr"}, _shortest, semiring="min_plus"),
    Known("spmm", "C(i,k) = A(i,j) * B(j,k)", {"A": "csr"}, MATMUL),
    Known("spgemm", "C(i,k) = A(i,j) * B(j,k)", {"A": "csr", "B": "csr"}, MATMUL, "csr"),
    Known(
        "spgemm_masked",
        "C(i,k) = M(i,k) * A(i,j) * B(j,k)",
        {"A": "csr", "B": "csr", "M": "csr"},
        _einsum("ik,ij,jk->ik", "M", "A", "B"),
        "csr",
    ),
    Known("matmul_dense", "C(i,k) = A(i,j) * B(j,k)", {}, MATMUL),
    Known(
        "sddmm",
        "C(i,j) = S(i,j) * U(i,k) * V(j,k)",
        {"S": "csr"},
        _einsum("ij,ik,jk->ij", "S", "U", "V"),
    ),
    Known("add_csr", "C(i,j) = A(i,j) + B(i,j)", {"A": "csr", "B": "csr"}, lambda A, B: A + B),
    Known("add_dcsr", "C(i,j) = A(i,j) + B(i,j)", {"A": "dcsr", "B": "dcsr"}, lambda A, B: A + B, "dcsr"),
    Known(
        "add_three",
        "C(i,j) = A(i,j) + B(i,j) + D(i,j)",
        {"A": "csr", "B": "csr", "D": "csr"},
        lambda A, B, D: A + B + D,
    ),
    Known("multiply_csr", "C(i,j) = A(i,j) * B(i,j)", {"A": "csr", "B": "csr"}, lambda A, B: A * B),
    Known(
        "multiply_three",
        "C(i,j) = A(i,j) * B(i,j) * D(i,j)",
        {"A": "csr", "B": "csr", "D": "csr"},
        lambda A, B, D: A * B * D,
        density=0.6,
    ),
    Known(
        "multiply_bitmap",
        "C(i,j) = A(i,j) * B(i,j)",
        {"A": "csr", "B": "dense,bitmap"},
        lambda A, B: A * B,
    ),
    Known("row_sum", "y(i) = A(i,j)", {"A": "csr"}, _einsum("ij->i", "A")),
    Known("transpose", "C(i,j) = A(j,i)", {"A": "csr"}, lambda A: A.T, "csr"),
    Known(
        "axpy",
        "z(i) = a * x(i) + y(i)",
        {"x": "sv"},
        lambda a, x, y: a * x + y,
        sizes={"i": 57},
    ),
    Known(
        "dot",
        "s = few(i) * x(i)",
        {"few": "sv", "x": "sv"},
        lambda few, x: few @ x,
        sizes={"i": 400},
        density=0.8,
    ),
    Known(
        "ttv",
        "T(i,j) = X(i,j,k) * v(k)",
        {"X": "csf"},
        _einsum("ijk,k->ij", "X", "v"),
    ),
    Known(
        "ttm",
        "T(i,j,r) = X(i,j,k) * U(k,r)",
        {"X": "csf"},
        _einsum("ijk,kr->ijr", "X", "U"),
    ),
    Known(
        "mttkrp",
        "M(i,r) = X(i,j,k) * U(j,r) * V(k,r)",
        {"X": "csf"},
        _einsum("ijk,jr,kr->ir", "X", "U", "V"),
    ),
    Known(
        "triangles",
        "s = L(i,j) * L(j,k) * L(i,k)",
        {"L": "csr"},
        _einsum("ij,jk,ik->", "L", "L", "L"),
        sizes={"i": 13, "j": 13},
    ),
)
