"""What an assignment means: slowly, densely, on NumPy arrays.

Every node gets an array with one axis for each index of the whole assignment, of size 1 where it does not
depend on it, and a second one that says what of it is *present*. Operands are present where they are stored;
what operations and folds make of the rest is in the rules of ``semiring.py``, their arithmetic in
``arithmetic.py``, their dtypes in ``dtypes.py``. So 0 x inf is NaN if the 0 is stored; if it is not, the
product is nothing, hence 0.

Memory is the product of all extents that meet in one node: this is for small shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never, cast

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError, require
from aerogel.einsum.arithmetic import BINARY, FOLDS, UNARY, identity
from aerogel.einsum.check import extents
from aerogel.einsum.dtypes import (
    Kind,
    access_kind,
    binary_kinds,
    number_kind,
    reduce_kind,
    result_dtype,
    strong,
    unary_kinds,
)
from aerogel.einsum.nodes import Access, Assignment, Binary, BinaryOp, Expr, Number, Reduce, Unary
from aerogel.einsum.semiring import Absent, Rule, lattice_rule, reduce_rule, rule_of, unary_rule

Array = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Value:
    """``values`` are ``zero`` where not ``present``; both have the same shape."""

    values: Array
    present: Mask
    kind: Kind

    def cast(self, kind: Kind) -> Array:
        return self.values.astype(strong(kind).numpy())


def interpret(
    assignment: Assignment,
    operands: Mapping[str, Array],
    stored: Mapping[str, Mask] | None = None,
    out: Array | None = None,
) -> Array:
    """The output as a new array of ``result_dtype``.

    ``stored``: by tensor, which of its elements are; the others count as ``zero``, whatever the array has
    there. A tensor that is not in it is stored in full. ``out``: what an accumulating assignment starts from;
    left out, it is the operand with the output's name.
    """
    given = dict(operands)
    name = assignment.out.tensor
    start = operands.get(name) if out is None else out
    if assignment.accumulate is None:
        start = None
    else:
        require(start is not None, InputError, f"the assignment accumulates in {name!r}: give it as out")
        given.setdefault(name, cast("Array", start))
    sizes = extents(assignment, {tensor: array.shape for tensor, array in given.items()})
    dtypes = {tensor: DType.of(array.dtype) for tensor, array in given.items()}
    if start is not None:
        dtypes[name] = DType.of(start.dtype)
    dtype = result_dtype(assignment, dtypes).numpy()
    run = _Run(assignment.zero, given, stored or {}, sizes)
    with np.errstate(all="ignore"):
        result = run.expr(assignment.expr)
        if start is None:
            whole = np.full(tuple(sizes[index] for index in assignment.out.indices), assignment.zero, dtype)
        else:
            result = _accumulated(assignment, run, result, start)
            whole = start.astype(dtype)
        run.write(assignment.out.indices, whole, result)
    return whole


def _accumulated(assignment: Assignment, run: _Run, result: _Value, start: Array) -> _Value:
    out, op = assignment.out, cast("BinaryOp", assignment.accumulate)
    shape = tuple(run.sizes[index] for index in out.indices)
    require(start.shape == shape, InputError, f"out has shape {start.shape}, but {out.tensor} is {shape}")
    before = run.seen(out, start, np.ones(start.shape, np.bool_))
    kinds = binary_kinds(Binary(op, out, assignment.expr), before.kind, result.kind)
    return run.combined(op, kinds, lattice_rule(op, assignment.zero), before, result)


class _Run:
    """One evaluation; axes are the indices in the order of ``sizes``."""

    def __init__(
        self, zero: float, operands: dict[str, Array], stored: Mapping[str, Mask], sizes: dict[str, int]
    ) -> None:
        self.zero = zero
        self.operands = operands
        self.stored = stored
        self.sizes = sizes
        self.order = list(sizes)

    def shape(self, indices: tuple[str, ...]) -> tuple[int, ...]:
        """Full along ``indices``, 1 along the others."""
        return tuple(size if index in indices else 1 for index, size in self.sizes.items())

    def places(self, indices: tuple[str, ...], once: tuple[str, ...]) -> tuple[Array, ...]:
        """What picks the modes ``once`` from an array with modes ``indices``: diagonals where repeated."""
        ranges = np.ix_(*(np.arange(self.sizes[index]) for index in once))
        return tuple(ranges[once.index(index)] for index in indices)

    def write(self, indices: tuple[str, ...], whole: Array, value: _Value) -> None:
        """Puts ``value`` in ``whole``, of modes ``indices``: in the diagonal only where one is repeated."""
        once = tuple(sorted(set(indices), key=self.order.index))
        values = np.broadcast_to(value.values, self.shape(once))
        values = values.reshape(tuple(self.sizes[index] for index in once))
        whole[self.places(indices, once)] = values.astype(whole.dtype)

    def expr(self, expr: Expr) -> _Value:
        match expr:
            case Access(tensor=name):
                array = self.operands[name]
                mask = self.stored.get(name, np.ones(array.shape, np.bool_))
                require(mask.shape == array.shape, InputError, f"stored[{name!r}] has another shape")
                return self.seen(expr, array, mask)
            case Number(value=value):
                ones = np.ones(self.shape(()), np.bool_)
                kind = number_kind(value)
                return _Value(np.full(ones.shape, value, strong(kind).numpy()), ones, kind)
            case Unary():
                return self.unary(expr)
            case Binary(op=op):
                a, b = self.expr(expr.a), self.expr(expr.b)
                return self.combined(op, binary_kinds(expr, a.kind, b.kind), rule_of(expr, self.zero), a, b)
            case Reduce():
                return self.fold(expr)
            case _:
                assert_never(expr)

    def filled(self, values: Array, present: Mask, kind: Kind) -> _Value:
        """``zero`` put wherever nothing is present."""
        values, present = np.broadcast_arrays(values, present)
        dtype = strong(kind).numpy()
        zero = np.asarray(self.zero).astype(dtype)
        return _Value(np.where(present, values, zero).astype(dtype), present, kind)

    def seen(self, access: Access, array: Array, mask: Mask) -> _Value:
        """An operand along the axes of its indices; a diagonal where one is repeated."""
        once = tuple(sorted(set(access.indices), key=self.order.index))
        at = self.places(access.indices, once)
        kind = access_kind(DType.of(array.dtype), self.zero)
        shape = self.shape(access.indices)
        return self.filled(array[at].reshape(shape), mask[at].reshape(shape), kind)

    def unary(self, expr: Unary) -> _Value:
        a = self.expr(expr.a)
        computed_in, kind = unary_kinds(expr.op, a.kind)
        values = UNARY[expr.op](a.cast(computed_in))
        full = unary_rule(expr.op, self.zero) == "value"
        return self.filled(values, np.ones_like(a.present) if full else a.present, kind)

    def combined(self, op: BinaryOp, kinds: tuple[Kind, Kind], rule: Rule, a: _Value, b: _Value) -> _Value:
        """``a op b``, by the rule where one is not present."""
        computed_in, kind = kinds
        left, right = np.broadcast_arrays(a.cast(computed_in), b.cast(computed_in))
        has_left, has_right = np.broadcast_arrays(a.present, b.present)
        values = np.asarray(BINARY[op](left, right)).astype(strong(kind).numpy())
        present = has_left & has_right
        cases: tuple[tuple[Mask, Absent, Array], ...] = (
            (~has_left & has_right, rule.left_absent, right),
            (has_left & ~has_right, rule.right_absent, left),
            (~has_left & ~has_right, rule.both_absent, left),
        )
        for where, outcome, other in cases:
            match outcome:
                case "absent":
                    continue
                case "other":
                    values = np.where(where, other.astype(values.dtype), values)
                case "neg_other":
                    values = np.where(where, UNARY["neg"](other), values)
                case "value":
                    pass
            present = present | where
        return self.filled(values, present, kind)

    def fold(self, expr: Reduce) -> _Value:
        body = self.expr(expr.body)
        kind = reduce_kind(expr.op, body.kind)
        axis = self.order.index(expr.index)
        # Folded over its whole extent even where the body does not depend on the index.
        shape = list(body.values.shape)
        shape[axis] = self.sizes[expr.index]
        values = np.broadcast_to(body.cast(kind), shape)
        present = np.broadcast_to(body.present, shape)
        start = identity(expr.op, values.dtype)
        rule = reduce_rule(expr.op, self.zero)
        # What is absent has the value zero, and where the rule skips it that is the identity.
        folded = FOLDS[expr.op].reduce(values, axis=axis, dtype=values.dtype, keepdims=True, initial=start)
        found = np.asarray((np.all if rule == "absent" else np.any)(present, axis=axis, keepdims=True))
        if rule == "value" and lattice_rule(cast("BinaryOp", expr.op), self.zero).both_absent == "value":
            found = np.full_like(found, values.shape[axis] > 0)
        return self.filled(folded, found, kind)
