"""Room for a sparse output before it is computed: where it can be bounded, one pass over the operands
does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aerogel.einsum.nodes import Access, Binary, Expr, Number, Reduce, Unary, accesses
from aerogel.einsum.semiring import rule_of, unary_rule
from aerogel.formats.levels import Compressed
from aerogel.formats.storage import Storage
from aerogel.lower.operand import Stored
from aerogel.lower.scheduled import Scheduled

Count = NDArray[np.int64] | None
"""How many coordinates each part of the rows has at most; None: as many as there are."""


def may_fill_once(scheduled: Scheduled) -> bool:
    """Whether the output is a matrix whose every row is visited, and whose elements can be bounded
    beforehand.

    A workspace makes no more elements than it is added to; without one, the operands' rows say how many."""
    if scheduled.assembly != "rows" or scheduled.appended != 2 or len(scheduled.out_indices) != 2:
        return False
    operands = {operand.name: operand for operand in scheduled.operands}
    for access in accesses(scheduled.assignment.expr):
        stored = Stored.of(access, operands[access.tensor])
        if scheduled.order[0] in stored.indices and not stored.dense:
            at = stored.indices.index(scheduled.order[0])
            if at or not stored.level(0).full:
                return False
    return scheduled.scatter or _bounded(scheduled.assignment.expr, scheduled) is not None


def row_bound(
    scheduled: Scheduled, storages: Mapping[str, Storage], edges: Sequence[int] | NDArray[np.int64]
) -> NDArray[np.int64]:
    """At most how many elements the rows between ``edges`` have."""
    found = _bounded(scheduled.assignment.expr, scheduled, storages, edges)
    assert found is not None
    return found


def _bounded(
    expr: Expr,
    scheduled: Scheduled,
    storages: Mapping[str, Storage] | None = None,
    edges: Sequence[int] | NDArray[np.int64] = (0, 0),
) -> Count:
    zero = scheduled.assignment.zero

    def count(node: Expr) -> Count:
        match node:
            case Access():
                return _of_access(node, scheduled, storages, edges)
            case Number():
                return None
            case Unary(op=op, a=a):
                return count(a) if unary_rule(op, zero) == "absent" else None
            case Reduce(body=body):
                return count(body)
            case Binary(a=a, b=b):
                return _of_two(node, zero, count(a), count(b))

    return count(expr)


def _of_two(node: Binary, zero: float, left: Count, right: Count) -> Count:
    rule = rule_of(node, zero)
    if rule.both_absent != "absent":
        return None
    need_left, need_right = rule.left_absent == "absent", rule.right_absent == "absent"
    if need_left and need_right:
        if left is None or right is None:
            return right if left is None else left
        return np.minimum(left, right)
    if need_left:
        return left
    if need_right:
        return right
    return None if left is None or right is None else left + right


def _of_access(
    access: Access,
    scheduled: Scheduled,
    storages: Mapping[str, Storage] | None,
    edges: Sequence[int] | NDArray[np.int64],
) -> Count:
    operand = next(o for o in scheduled.operands if o.name == access.tensor)
    stored = Stored.of(access, operand)
    if stored.indices != scheduled.out_indices or not isinstance(stored.level(1), Compressed):
        return None
    if not stored.level(0).full:
        return None
    if storages is None:
        return np.zeros(1, np.int64)
    pos = storages[access.tensor].levels[1][0]
    return np.diff(pos[np.asarray(edges)].astype(np.int64))
