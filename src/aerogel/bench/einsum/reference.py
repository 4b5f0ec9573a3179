"""What must come out, by NumPy and SciPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from aerogel.bench.einsum.entries import Entries, columns_of
from aerogel.bench.einsum.problem import Problem, Result, Wanted, transposed
from aerogel.core.errors import InputError


def wanted(problem: Problem) -> Wanted:
    """Every operation adds up products: of the operands' magnitudes, the same operation is the error's
    unit."""
    values = problem.sparse[0].values
    exactly = problem.map(lambda array: array.astype(np.float64))
    exact, bound = (computed(p) for p in (exactly, exactly.map(np.abs)))
    if isinstance(exact, Entries) and isinstance(bound, Entries):
        exact, bound = exact.in_order(), bound.in_order()
    return Wanted(exact, bound, float(np.finfo(values.dtype).eps))


def computed(problem: Problem) -> Result:
    """The operation by itself, in the type of its operands."""
    a, dense = problem.sparse[0], problem.dense
    match problem.operation:
        case "spmv" | "spmm32" | "spmm128":
            return matrix(a) @ dense[0]
        case "spgemm":
            return entries(matrix(a) @ matrix(problem.sparse[1]))
        case "sddmm":
            rows, columns = a.coords
            products = np.einsum("ek,ek->e", dense[0][rows], dense[1][columns])
            return Entries(a.shape, a.coords, a.values * products)
        case "add3":
            first, second, third = (matrix(operand) for operand in problem.sparse)
            return entries(first + second + third)
        case "transpose":
            return transposed(a)
        case "coo_to_csr":
            return a.in_order()
        case "triangles":
            lower = matrix(a)
            return float((lower @ lower.T).multiply(lower).sum())
        case "ttv" | "ttm" | "mttkrp":
            return _tensor(problem)
        case other:
            raise InputError(f"operation {other!r} is unknown")


def _tensor(problem: Problem) -> Result:
    tensor, dense = problem.sparse[0], problem.dense
    fibers = tensor.fibers()
    unfolded: Any = sp.csr_array(
        (fibers.values, fibers.third, fibers.pointer), shape=(fibers.count, tensor.shape[2])
    )
    match problem.operation:
        case "ttv":
            return Entries(tensor.shape[:2], (fibers.first, fibers.second), unfolded @ dense[0])
        case "ttm":
            columns = unfolded @ dense[0]
            return columns_of(fibers.first, fibers.second, columns, (*tensor.shape[:2], columns.shape[1]))
        case _:
            products = (unfolded @ dense[1]) * dense[0][fibers.second]
            found = np.zeros((tensor.shape[0], products.shape[1]), products.dtype)
            np.add.at(found, fibers.first, products)
            return found


def matrix(a: Entries) -> Any:
    """As SciPy has it."""
    pointer, columns, values = a.csr()
    return sp.csr_array((values, columns, pointer), shape=a.shape)


def entries(found: Any) -> Entries:
    """Of a matrix of SciPy, in the order it has them."""
    coo = found.tocoo()
    rows, columns = (np.asarray(coord, np.int32) for coord in coo.coords)
    return Entries(tuple(coo.shape), (rows, columns), np.asarray(coo.data))
