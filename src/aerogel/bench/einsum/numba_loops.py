"""The loops that a competent user of numba writes, by ``@njit(parallel=True, fastmath=True)``.

Parallel over rows, or over parts of them where a thread needs a workspace; two passes where the size of the
result is not known. Runs in an environment of its own (``einsum``), which has numba; indices are int32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba  # pyright: ignore[reportMissingImports]
import numpy as np

prange: Any = numba.prange
_compiled_in_parallel: Any = numba.njit(parallel=True, fastmath=True, cache=True)
_compiled: Any = numba.njit(fastmath=True, cache=True)
Function = TypeVar("Function", bound=Callable[..., Any])


def loops(function: Function) -> Function:
    """Compiled when first called; its ``prange`` loops in parallel."""
    return cast("Function", _compiled_in_parallel(function))


def inlined(function: Function) -> Function:
    """Compiled when first called."""
    return cast("Function", _compiled(function))


@loops
def spmv(a: Any, x: Any) -> Any:
    pointer, columns, values = a
    rows = len(pointer) - 1
    y = np.empty(rows, values.dtype)
    for i in prange(rows):
        total = values.dtype.type(0)
        for p in range(pointer[i], pointer[i + 1]):
            total += values[p] * x[columns[p]]
        y[i] = total
    return y


@loops
def spmm(a: Any, x: Any) -> Any:
    pointer, columns, values = a
    rows, width = len(pointer) - 1, x.shape[1]
    y = np.empty((rows, width), values.dtype)
    for i in prange(rows):
        y[i, :] = 0
        for p in range(pointer[i], pointer[i + 1]):
            value, j = values[p], columns[p]
            for k in range(width):
                y[i, k] += value * x[j, k]
    return y


@loops
def spgemm(a: Any, b: Any, width: int, threads: int) -> Any:  # noqa: C901  loops nest as they must
    """Row by row with a dense workspace for each thread; columns sorted within each row."""
    a_pointer, a_columns, a_values = a
    b_pointer, b_columns, b_values = b
    rows = len(a_pointer) - 1
    pointer = np.zeros(rows + 1, np.int64)
    for thread in prange(threads):
        seen = np.full(width, -1, np.int32)
        # Every so many rows, so that heavy ones are shared out.
        for i in range(thread, rows, threads):
            count = 0
            for p in range(a_pointer[i], a_pointer[i + 1]):
                j = a_columns[p]
                for q in range(b_pointer[j], b_pointer[j + 1]):
                    k = b_columns[q]
                    if seen[k] != i:
                        seen[k] = i
                        count += 1
            pointer[i + 1] = count
    for i in range(rows):
        pointer[i + 1] += pointer[i]
    columns = np.empty(pointer[rows], np.int32)
    values = np.empty(pointer[rows], a_values.dtype)
    for thread in prange(threads):
        seen = np.full(width, -1, np.int32)
        sums = np.zeros(width, a_values.dtype)
        for i in range(thread, rows, threads):
            start, end = pointer[i], pointer[i + 1]
            at = start
            for p in range(a_pointer[i], a_pointer[i + 1]):
                j, value = a_columns[p], a_values[p]
                for q in range(b_pointer[j], b_pointer[j + 1]):
                    k = b_columns[q]
                    if seen[k] != i:
                        seen[k] = i
                        sums[k] = value * b_values[q]
                        columns[at] = k
                        at += 1
                    else:
                        sums[k] += value * b_values[q]
            if (end - start) * 8 > width:
                at = start
                for k in range(width):
                    if seen[k] == i:
                        columns[at] = k
                        at += 1
            else:
                columns[start:end].sort()
            for at in range(start, end):
                values[at] = sums[columns[at]]
    return pointer, columns, values


@loops
def sddmm(a: Any, x: Any, y: Any) -> Any:
    pointer, columns, values = a
    inner = x.shape[1]
    out = np.empty_like(values)
    for i in prange(len(pointer) - 1):
        for p in range(pointer[i], pointer[i + 1]):
            j = columns[p]
            total = values.dtype.type(0)
            for k in range(inner):
                total += x[i, k] * y[j, k]
            out[p] = values[p] * total
    return pointer.copy(), columns.copy(), out


@inlined
def _least(columns: Any, at: int, end: int, so_far: int) -> int:
    return min(so_far, columns[at]) if at < end else so_far


@loops
def add3(a: Any, b: Any, c: Any, width: int) -> Any:
    """A merge of three rows, first to count, then to fill."""
    a_pointer, a_columns, a_values = a
    b_pointer, b_columns, b_values = b
    c_pointer, c_columns, c_values = c
    rows = len(a_pointer) - 1
    pointer = np.zeros(rows + 1, np.int64)
    for i in prange(rows):
        p, q, r = a_pointer[i], b_pointer[i], c_pointer[i]
        p_end, q_end, r_end = a_pointer[i + 1], b_pointer[i + 1], c_pointer[i + 1]
        count = 0
        while p < p_end or q < q_end or r < r_end:
            j = _least(c_columns, r, r_end, _least(b_columns, q, q_end, _least(a_columns, p, p_end, width)))
            p += p < p_end and a_columns[p] == j
            q += q < q_end and b_columns[q] == j
            r += r < r_end and c_columns[r] == j
            count += 1
        pointer[i + 1] = count
    for i in range(rows):
        pointer[i + 1] += pointer[i]
    columns = np.empty(pointer[rows], np.int32)
    values = np.empty(pointer[rows], a_values.dtype)
    for i in prange(rows):
        p, q, r = a_pointer[i], b_pointer[i], c_pointer[i]
        p_end, q_end, r_end = a_pointer[i + 1], b_pointer[i + 1], c_pointer[i + 1]
        at = pointer[i]
        while p < p_end or q < q_end or r < r_end:
            j = _least(c_columns, r, r_end, _least(b_columns, q, q_end, _least(a_columns, p, p_end, width)))
            total = a_values.dtype.type(0)
            if p < p_end and a_columns[p] == j:
                total += a_values[p]
                p += 1
            if q < q_end and b_columns[q] == j:
                total += b_values[q]
                q += 1
            if r < r_end and c_columns[r] == j:
                total += c_values[r]
                r += 1
            columns[at] = j
            values[at] = total
            at += 1
    return pointer, columns, values


@loops
def transpose(a: Any, width: int, threads: int) -> Any:
    """A counting sort by column: each thread counts and places the rows of its own part."""
    pointer, columns, values = a
    rows = len(pointer) - 1
    bounds = np.empty(threads + 1, np.int64)
    for thread in range(threads + 1):
        bounds[thread] = np.searchsorted(pointer, pointer[rows] * thread // threads)
    bounds[threads] = rows
    places = np.zeros((threads, width), np.int32)
    for thread in prange(threads):
        for p in range(pointer[bounds[thread]], pointer[bounds[thread + 1]]):
            places[thread, columns[p]] += 1
    turned_pointer = np.empty(width + 1, np.int32)
    total = 0
    for j in range(width):
        turned_pointer[j] = total
        for thread in range(threads):
            count = places[thread, j]
            places[thread, j] = total
            total += count
    turned_pointer[width] = total
    turned_rows = np.empty(total, np.int32)
    turned_values = np.empty(total, values.dtype)
    for thread in prange(threads):
        for i in range(bounds[thread], bounds[thread + 1]):
            for p in range(pointer[i], pointer[i + 1]):
                j = columns[p]
                at = places[thread, j]
                places[thread, j] = at + 1
                turned_rows[at] = i
                turned_values[at] = values[p]
    return turned_pointer, turned_rows, turned_values


@inlined
def _by_column(rows: Any, columns: Any, values: Any, width: int) -> Any:
    pointer = np.zeros(width + 1, np.int32)
    for j in columns:
        pointer[j + 1] += 1
    for j in range(width):
        pointer[j + 1] += pointer[j]
    at = pointer[:-1].copy()
    some_rows, some_values = np.empty_like(rows), np.empty_like(values)
    for p in range(len(columns)):
        j = columns[p]
        some_rows[at[j]] = rows[p]
        some_values[at[j]] = values[p]
        at[j] += 1
    return pointer, some_rows, some_values


@inlined
def coo_to_csr(rows: Any, columns: Any, values: Any, height: int, width: int, threads: int) -> Any:
    """Counting sorts, by column and then by row, which leaves the columns of a row in order."""
    return transpose(_by_column(rows, columns, values, width), height, threads)


@loops
def triangles(pointer: Any, columns: Any) -> Any:
    """A merge of two rows for each edge."""
    rows = len(pointer) - 1
    total = 0
    for i in prange(rows):
        found = 0
        for p in range(pointer[i], pointer[i + 1]):
            j = columns[p]
            q, q_end, r, r_end = pointer[i], p, pointer[j], pointer[j + 1]
            while q < q_end and r < r_end:
                one, other = columns[q], columns[r]
                found += one == other
                q += one <= other
                r += other <= one
        total += found
    return total


@loops
def ttv(first: Any, second: Any, pointer: Any, third: Any, values: Any, v: Any) -> Any:
    out = np.empty(len(first), values.dtype)
    for f in prange(len(first)):
        total = values.dtype.type(0)
        for p in range(pointer[f], pointer[f + 1]):
            total += values[p] * v[third[p]]
        out[f] = total
    return first.copy(), second.copy(), out


@loops
def ttm(first: Any, second: Any, pointer: Any, third: Any, values: Any, m: Any) -> Any:
    width = m.shape[1]
    out = np.empty((len(first), width), values.dtype)
    for f in prange(len(first)):
        out[f, :] = 0
        for p in range(pointer[f], pointer[f + 1]):
            value, k = values[p], third[p]
            for r in range(width):
                out[f, r] += value * m[k, r]
    return first.copy(), second.copy(), out


@loops
def mttkrp(slices: Any, fibers: Any, values: Any, b: Any, c: Any, threads: int) -> Any:
    """The sum over a fiber first, which saves a product for each entry."""
    second, pointer, third = fibers
    rows, width = len(slices) - 1, b.shape[1]
    out = np.zeros((rows, width), values.dtype)
    for thread in prange(threads):
        fiber = np.empty(width, values.dtype)
        for i in range(thread, rows, threads):
            for f in range(slices[i], slices[i + 1]):
                fiber[:] = 0
                for p in range(pointer[f], pointer[f + 1]):
                    value, k = values[p], third[p]
                    for r in range(width):
                        fiber[r] += value * c[k, r]
                j = second[f]
                for r in range(width):
                    out[i, r] += fiber[r] * b[j, r]
    return out
