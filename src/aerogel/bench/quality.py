"""How well vectors keep the neighbourhoods of the dense model's: overlap of neighbours, rank correlation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require

_NEIGHBOURS = 10
LOSS_BELOW = 0.9
"""A top-10 overlap under this is called a loss: more than one in ten of the nearest neighbours are others."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Against the dense model, on ``texts`` texts, by cosine similarity of mean-pooled vectors.

    top_overlap: the share of each text's 10 nearest other texts that is the same, on average.
    spearman: the rank correlation of the similarities of all pairs.
    """

    texts: int
    top_overlap: float
    spearman: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def quality(vectors: NDArray[Any], dense: NDArray[Any]) -> Quality:
    """Both [texts, width], at least 3 texts, finite."""
    require(
        vectors.ndim == 2 and len(vectors) == len(dense) >= 3,
        InputError,
        f"vectors of shapes {vectors.shape} and {dense.shape} cannot be compared: give both 3 or more",
    )
    require(np.isfinite(vectors).all(), InputError, "a vector holds NaN or infinity: the model is broken")
    ours, theirs = _similarities(vectors), _similarities(dense)
    upper = np.triu_indices(len(vectors), 1)
    return Quality(len(vectors), _overlap(ours, theirs), rank_correlation(ours[upper], theirs[upper]))


def _similarities(vectors: NDArray[Any]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    # A vector of zeros is like nothing: similarity 0 rather than NaN.
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-30)
    return wide @ wide.T


def _overlap(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    count = min(_NEIGHBOURS, len(ours) - 1)
    shared = [
        len(np.intersect1d(a, b)) for a, b in zip(_nearest(ours, count), _nearest(theirs, count), strict=True)
    ]
    return float(np.mean(shared)) / count


def _nearest(similar: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    others = similar.copy()
    np.fill_diagonal(others, -np.inf)
    return np.argsort(-others, axis=1, kind="stable")[:, :count]


def rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's, of two arrays [n]: the correlation of ranks; 0 where one side is constant and so orders
    nothing."""
    x, y = _ranks(a), _ranks(b)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale else 0.0


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]
