"""What an assignment computes and moves: gross, were everything dense, and effective, of what is stored.

An operation counts once at every coordinate of the indices that it depends on, a sum once for each value
that it adds. How many of these coordinates something is stored at is estimated, as for schedules: see
``estimate``. Bytes are those of each operand and of the result, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import assert_never

from aerogel.core.dtypes import DType
from aerogel.core.quantity import both
from aerogel.einsum.nodes import Access, Assignment, Binary, Expr, Number, Reduce, Unary, accesses, walk
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format
from aerogel.lower.estimate import Estimate, Sizes
from aerogel.lower.operand import OperandType


@dataclass(frozen=True, slots=True)
class Counts:
    """Operations and bytes; the effective ones are estimated, but for the bytes of operands."""

    flops_gross: float
    flops_effective: float
    bytes_gross: float
    bytes_effective: float

    def __str__(self) -> str:
        flops = both(self.flops_gross, self.flops_effective, "op")
        moved = both(self.bytes_gross, self.bytes_effective, "B")
        if self.flops_gross == self.flops_effective and self.bytes_gross == self.bytes_effective:
            return f"{flops}, {moved}"
        return f"{flops}, {moved}: gross (all dense) / effective (about, of what is stored)"


def counts(assignment: Assignment, given: Mapping[str, Storage], out: Format, dtype: DType) -> Counts:
    """Of ``assignment``, whose accesses are of the tensors in ``given``, into a result of that format."""
    operands = {name: OperandType(name, s.format, s.dtype, s.index) for name, s in given.items()}
    extents = {
        index: size
        for access in accesses(assignment.expr)
        for index, size in zip(access.indices, given[access.tensor].shape, strict=True)
    }
    sizes = Sizes(extents, {name: storage.counts() for name, storage in given.items()})
    estimate = Estimate(operands, sizes, float(assignment.zero))
    gross = effective = 0.0
    for node in walk(assignment.expr):
        if isinstance(node, Access | Number):
            continue
        inner = node.body if isinstance(node, Reduce) else node
        room = prod(float(extents[i]) for i in free(inner))
        gross += room
        effective += room * estimate.density(inner, free(inner))
    dense = float(sum(prod(storage.shape) * storage.dtype.itemsize for storage in given.values()))
    stored = float(sum(storage.nbytes for storage in given.values()))
    made = prod(float(extents[i]) for i in assignment.out.indices)
    kept = made if out.dense else made * present(assignment.expr, estimate)
    index = 0 if out.dense else max(storage.index.itemsize for storage in given.values())
    return Counts(gross, effective, dense + made * dtype.itemsize, stored + kept * (dtype.itemsize + index))


def present(expr: Expr, estimate: Estimate) -> float:
    """The share of coordinates at which a value is there: of a sum, if any of what it adds is."""
    if not isinstance(expr, Reduce):
        return estimate.density(expr, free(expr))
    each = present(expr.body, estimate)
    return 1.0 - (1.0 - min(1.0, each)) ** estimate.sizes.extents[expr.index]


def free(expr: Expr) -> frozenset[str]:
    """The indices on which a value depends: those of its accesses that are not summed over."""
    match expr:
        case Access():
            return frozenset(expr.indices)
        case Number():
            return frozenset()
        case Unary(a=a):
            return free(a)
        case Binary(a=a, b=b):
            return free(a) | free(b)
        case Reduce(index=index, body=body):
            return free(body) - {index}
        case _:
            assert_never(expr)
