"""Patterns: which weights share one fate. A unit is kept or pruned as a whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.core.suggest import unknown

Share = TypeVar("Share")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Units of ``rows`` consecutive outputs x ``columns`` consecutive inputs of a weight [outputs, inputs].

    Where they do not divide the weight, the last units are smaller. ``kept_of`` (n, m), N:M: of every m
    consecutive inputs of an output at most n are kept, so its sparsity is fixed. ``panel``: units that lie in
    one column of 4 consecutive outputs count for more together than apart, see ``panel.density``.
    """

    name: str
    rows: int = 1
    columns: int = 1
    kept_of: tuple[int, int] | None = None
    panel: bool = False

    @property
    def group(self) -> int:
        """Inputs that are decided on together."""
        return self.columns if self.kept_of is None else self.kept_of[1]

    @property
    def sparsity(self) -> float | None:
        """The share of weights that go where the pattern itself says so, None where it does not."""
        return None if self.kept_of is None else 1 - self.kept_of[0] / self.kept_of[1]

    def unit_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Units of a weight of ``shape``: [ceil(outputs / rows), ceil(inputs / columns)]."""
        return -(-shape[0] // self.rows), -(-shape[1] // self.columns)

    def per_unit(self, values: NDArray[np.generic], how: np.ufunc) -> NDArray[np.generic]:
        """From one value per weight [outputs, inputs] to one per unit: ``how`` (``np.add``,
        ``np.logical_and``) over the weights of each. The argument itself where a unit is one weight."""
        for axis, size in enumerate((self.rows, self.columns)):
            if size > 1 and values.shape[axis]:
                values = how.reduceat(values, np.arange(0, values.shape[axis], size), axis=axis)
        return values

    def spread(self, units: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
        """From one flag per unit to one flag per weight of ``shape``; always a fresh array."""
        tall = np.repeat(units.reshape(self.unit_shape(shape)), self.rows, axis=0)[: shape[0]]
        return np.repeat(tall, self.columns, axis=1)[:, : shape[1]]


PATTERNS: dict[str, Pattern] = {
    p.name: p
    for p in (
        Pattern("unstructured"),
        Pattern("block2x1", 2),
        Pattern("block4x1", 4),
        Pattern("block1x4", columns=4),
        Pattern("block4x4", 4, 4),
        Pattern("panel4", panel=True),
    )
}
"""Blocks are outputs x inputs. Beside these there is ``N:M`` for any 1 <= N < M <= ``MOST_OF``."""
REMOVED = ("channel", "head", "neuron")
"""What ``structured/`` removes."""
MOST_OF = 128
"""N:M beyond this is no pattern any more: groups are as long as what is decided on at a time."""


def pattern_named(name: str) -> Pattern:
    """The pattern called ``name``, or InputError."""
    fixed = re.fullmatch(r"(\d{1,9}):(\d{1,9})", name) if isinstance(name, str) else None
    if fixed is not None:
        kept, of = map(int, fixed.groups())
        fits = 1 <= kept < of <= MOST_OF
        require(fits, InputError, f"pattern {name!r}: of every M at most N are kept, 1 <= N < M <= {MOST_OF}")
        return Pattern(f"{kept}:{of}", kept_of=(kept, of))
    if name in REMOVED:
        told = (
            "call aerogel.remove_units(model, sparsity, pattern=..., data=...), which makes the model smaller"
        )
        raise InputError(f"pattern {name!r} removes whole units rather than setting weights to zero: {told}")
    if not isinstance(name, str) or name not in PATTERNS:
        raise InputError(unknown("pattern", name, PATTERNS, "or N:M as in 2:4"))
    return PATTERNS[name]


def wanted_sparsity(pattern: Pattern, sparsity: Share) -> Share | float:
    """``sparsity``, or what ``pattern`` fixes it to where it is None; InputError where they disagree."""
    fixed = pattern.sparsity
    if fixed is None:
        return sparsity
    agrees = sparsity is None or (isinstance(sparsity, int | float) and abs(sparsity - fixed) < 1e-9)
    told = f"sparsity is {sparsity!r}, but pattern {pattern.name} is {fixed:g}: leave sparsity out"
    require(agrees, InputError, told)
    return fixed
