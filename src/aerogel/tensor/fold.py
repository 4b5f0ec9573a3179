"""Blocks of values sorted by their coordinates, and those of equal ones folded into one.

Single values are packed by ``convert``; what comes in blocks is folded here, a whole block at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.folding import Duplicates
from aerogel.core.errors import InputError, refuse


def folded(
    coords: Sequence[NDArray[Any]], values: NDArray[Any], duplicates: Duplicates, name: str
) -> tuple[list[NDArray[Any]], NDArray[Any]]:
    """Coordinates in ascending order, the first mode slowest, each once; and their values [n, ...]."""
    if not len(values):
        return list(coords), values
    # Stable: "last" means last in the order given, and sums do not depend on how sorting is done.
    order = np.lexsort(tuple(reversed(coords)))
    ordered = [crd[order] for crd in coords]
    values = values[order]
    new = np.zeros(len(values), np.bool_)
    new[0] = True
    for crd in ordered:
        new[1:] |= crd[1:] != crd[:-1]
    if new.all():
        return ordered, values
    if duplicates == "refuse":
        at = int(np.argmin(new))
        here = ", ".join(str(crd[at]) for crd in ordered)
        refuse(InputError, f"{name}: coordinates ({here}) stand twice")
    starts = np.flatnonzero(new)
    return [crd[starts] for crd in ordered], reduced(values, starts, duplicates)


def reduced(values: NDArray[Any], starts: NDArray[Any], how: Duplicates) -> NDArray[Any]:
    """The values from each of ``starts`` to the next, folded; their type stays what it is."""
    kind = values.dtype
    match how:
        case "add":
            by = np.logical_or if kind == np.bool_ else np.add
        case "mul":
            by = np.logical_and if kind == np.bool_ else np.multiply
        case "min":
            by = np.minimum
        case "max":
            by = np.maximum
        case "or":
            by = np.logical_or
        case "last":
            return values[np.append(starts[1:], len(values)) - 1]
        case "refuse":
            refuse(InputError, "equal coordinates were to be refused")
        case _:
            assert_never(how)
    return by.reduceat(values, starts, axis=0).astype(kind, copy=False)
