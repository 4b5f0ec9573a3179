"""Products, and alls, over no coordinates at all: 1 and true everywhere, as in NumPy, also where nothing is
stored. Loops visit only what is stored, so these few are computed plainly; what they fold has no elements."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aerogel.convert.unpack import coordinates
from aerogel.einsum.interpret import interpret
from aerogel.einsum.nodes import Assignment, Reduce, walk
from aerogel.einsum.semiring import reduce_rule
from aerogel.formats.storage import Storage, dense


def hollow(assignment: Assignment, extents: Mapping[str, int]) -> bool:
    """Whether a fold that is absent wherever one of its elements is has no elements."""
    if 0 not in extents.values():
        return False
    folds = [node for node in walk(assignment.expr) if isinstance(node, Reduce)]
    return any(extents[f.index] == 0 and reduce_rule(f.op, assignment.zero) == "absent" for f in folds)


def interpreted(assignment: Assignment, used: Mapping[str, Storage]) -> Storage:
    """The result, in every place, of operands under the names that the assignment has for them."""
    arrays: dict[str, np.ndarray] = {}
    masks: dict[str, np.ndarray] = {}
    for name, storage in used.items():
        places, values = coordinates(storage)
        arrays[name] = np.zeros(storage.shape, storage.values.dtype)
        masks[name] = np.zeros(storage.shape, np.bool_)
        # Of a number there is one place, and it is no list.
        arrays[name][places], masks[name][places] = values if places else values[0], True
    return dense(np.asarray(interpret(assignment, arrays, masks)), assignment.zero)
