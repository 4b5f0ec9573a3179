"""Patterns: which weights share one fate. A unit is kept or pruned as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Pattern:
    """Units of ``rows`` consecutive outputs x 1 input of a weight [outputs, inputs].

    Where ``rows`` does not divide the outputs, the last, smaller block of each input is a unit of its own.
    """

    name: str
    rows: int

    def unit_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Units of a weight of ``shape``: [ceil(outputs / rows), inputs]."""
        return -(-shape[0] // self.rows), shape[1]

    def spread(self, units: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
        """From one flag per unit to one flag per weight of ``shape``; always a fresh array."""
        return np.repeat(units.reshape(self.unit_shape(shape)), self.rows, axis=0)[: shape[0]]


PATTERNS: dict[str, Pattern] = {
    p.name: p for p in (Pattern("unstructured", 1), Pattern("block2x1", 2), Pattern("block4x1", 4))
}


def pattern_named(name: str) -> Pattern:
    """The pattern called ``name``, or InputError."""
    if name not in PATTERNS:
        raise InputError(f"pattern {name!r} is unknown: choose one of {', '.join(PATTERNS)}")
    return PATTERNS[name]
