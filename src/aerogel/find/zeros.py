"""Counting zeros and what is nearly zero, in weights and in activations alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require

NEAR = 0.01
DEFINITION = (
    f"zeros: exactly 0, of either sign. Near zero: not 0, but in size below {100 * NEAR:g} % of the layer's "
    f"largest (near max), or of its root mean square (near rms)"
)
# Copies of at most this many numbers are made at a time.
_PART = 1 << 22


@dataclass(frozen=True, slots=True)
class Zeros:
    """Of ``count`` numbers: how many are exactly 0; how many are not, but below NEAR of the largest size
    (``near_max``) or of the root mean square (``near_rms``). ``largest`` and ``rms`` are over all."""

    count: int
    zeros: int
    near_max: int
    near_rms: int
    largest: float
    rms: float

    @property
    def share(self) -> float:
        """Exact zeros per number; 0 of nothing."""
        return self.zeros / self.count if self.count else 0.0

    @property
    def near_max_share(self) -> float:
        return self.near_max / self.count if self.count else 0.0

    @property
    def near_rms_share(self) -> float:
        return self.near_rms / self.count if self.count else 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "zeros": self.zeros,
            "near_max": self.near_max,
            "near_rms": self.near_rms,
            "largest": self.largest,
            "rms": self.rms,
            "share": self.share,
            "near_max_share": self.near_max_share,
            "near_rms_share": self.near_rms_share,
        }


def count_zeros(values: NDArray[np.floating[Any]], what: str) -> Zeros:
    """Count them in an array of any shape; InputError, naming ``what``, where it holds NaN or infinity."""
    largest, squares = 0.0, 0.0
    for part in _parts(values):
        bad = int(part.size - np.count_nonzero(np.isfinite(part)))
        require(bad == 0, InputError, f"{what} holds {bad} NaN or infinite numbers: repair it")
        largest = max(largest, float(np.abs(part).max(initial=0)))
        squares += float(np.square(part, dtype=np.float64).sum())
    rms = float(np.sqrt(squares / values.size)) if values.size else 0.0
    zeros = near_max = near_rms = 0
    for part in _parts(values):
        sizes = np.abs(part)
        live = sizes > 0
        zeros += int(sizes.size - np.count_nonzero(live))
        near_max += int(np.count_nonzero(live & (sizes < NEAR * largest)))
        near_rms += int(np.count_nonzero(live & (sizes < NEAR * rms)))
    return Zeros(values.size, zeros, near_max, near_rms, largest, rms)


def together(counts: Iterable[Zeros]) -> Zeros:
    """The sum: what is near is counted by each one's own measure."""
    found = list(counts)
    count = sum(z.count for z in found)
    squares = sum(z.rms**2 * z.count for z in found)
    return Zeros(
        count,
        sum(z.zeros for z in found),
        sum(z.near_max for z in found),
        sum(z.near_rms for z in found),
        max((z.largest for z in found), default=0.0),
        float(np.sqrt(squares / count)) if count else 0.0,
    )


def _parts(values: NDArray[np.floating[Any]]) -> Iterator[NDArray[np.floating[Any]]]:
    flat = values.reshape(-1)
    for start in range(0, flat.size, _PART):
        yield flat[start : start + _PART]
