"""The zeros that a model's weights hold already: per layer and in all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.find.held import Held, Role
from aerogel.find.zeros import DEFINITION, Zeros, count_zeros, together
from aerogel.formats.canonical import encode
from aerogel.prune.pattern import PATTERNS
from aerogel.tune.choose import WORTH_A_TRIAL

SPARSE = WORTH_A_TRIAL
"""From this share of zeros on a layer counts as sparse: then compile tries sparse kernels."""
ROLES: tuple[Role, ...] = ("linear", "embedding", "other")


@dataclass(frozen=True, slots=True)
class WeightZeros:
    """One weight. ``readers``: who uses it. ``pattern``: the coarsest in which all its zeros lie, None where
    it is no sparse linear layer. ``stored_bytes``: in the smallest lossless encoding, zeros left out."""

    name: str
    role: Role
    shape: tuple[int, ...]
    readers: tuple[str, ...]
    zeros: Zeros
    pattern: str | None
    stored_bytes: int

    @property
    def sparse(self) -> bool:
        return self.role == "linear" and self.zeros.share >= SPARSE

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "role": self.role,
            "shape": list(self.shape),
            "readers": list(self.readers),
            **self.zeros.to_json(),
            "pattern": self.pattern,
            "bytes": 4 * self.zeros.count,
            "stored_bytes": self.stored_bytes,
        }


@dataclass(frozen=True)
class WeightReport:
    """All weights, in the model's order."""

    rows: tuple[WeightZeros, ...]

    def total(self, role: Role | None = None) -> Zeros:
        """Of the weights of one role, or of all."""
        return together(row.zeros for row in self.rows if role in (None, row.role))

    def of(self, role: Role) -> tuple[WeightZeros, ...]:
        return tuple(row for row in self.rows if row.role == role)

    @property
    def tied(self) -> tuple[WeightZeros, ...]:
        """Weights that more than one part of the model uses."""
        return tuple(row for row in self.rows if len(row.readers) > 1)

    @property
    def sparse(self) -> tuple[WeightZeros, ...]:
        """Linear layers that are sparse already."""
        return tuple(row for row in self.rows if row.sparse)

    def to_json(self) -> dict[str, Any]:
        return {
            "definition": DEFINITION,
            "sparse_from": SPARSE,
            "layers": [row.to_json() for row in self.rows],
            "total": self.total().to_json(),
            "by_role": {role: self.total(role).to_json() for role in ROLES},
            "tied": [row.name for row in self.tied],
            "sparse": [row.name for row in self.sparse],
        }


def measure_weights(held: tuple[Held, ...], progress: Callable[[str], None]) -> WeightReport:
    """Count the zeros of every weight; InputError naming the first that holds NaN or infinity."""
    progress(f"counting zeros in {len(held)} weights")
    return WeightReport(tuple(_row(each) for each in held))


def _row(held: Held) -> WeightZeros:
    weight = np.asarray(held.load(), np.float32)
    zeros = count_zeros(weight, f"weight {held.name!r}")
    sparse = held.role == "linear" and zeros.share >= SPARSE
    stored = encode(weight).nbytes if zeros.zeros else weight.nbytes
    pattern = pattern_of(weight) if sparse else None
    return WeightZeros(held.name, held.role, held.shape, held.readers, zeros, pattern, stored)


def pattern_of(weight: NDArray[np.float32]) -> str:
    """The coarsest pattern in whose units all zeros of ``weight`` [outputs, inputs] lie."""
    zero = weight == 0
    for pattern in sorted(PATTERNS.values(), key=lambda p: -p.rows * p.columns):
        whole = pattern.per_unit(zero, np.logical_and).astype(np.bool_, copy=False)
        if np.array_equal(pattern.spread(whole, zero.shape), zero):
            return pattern.name
    raise AssertionError("every zero is a unit of its own")
