"""Sentence pairs that people gave scores for likeness (the STS Benchmark), and how a model ranks them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.quality import rank_correlation
from aerogel.core.errors import InputError, require

COLUMNS = ("score", "sentence1", "sentence2")
_DRAWS = 1000
_CONFIDENCE = 0.95
_LEAST = 3


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """``first[i]`` and ``second[i]`` are as like as ``scores[i]`` says, the more the higher; at least 3.
    ``sha256``: of the file."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: tuple[float, ...]
    sha256: str

    @staticmethod
    def read(path: Path) -> ScoredPairs:
        """Of a text file in UTF-8: columns apart by tabs, named in the first line, among them ``COLUMNS``.
        InputError, naming the line, for any other."""
        try:
            content = path.read_bytes()
            lines = content.decode("utf-8").splitlines()
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{path} cannot be read ({reason}): give dev.tsv of STS-B") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 at byte {error.start}: give dev.tsv of STS-B") from error
        names = lines[0].split("\t") if lines else []
        missing = [name for name in COLUMNS if name not in names]
        told = f"the first line of {path} names no column {', '.join(missing)}: it must, tabs between them"
        require(not missing, InputError, told)
        places = [names.index(name) for name in COLUMNS]
        rows = [_row(f"{path}, line {i}", line, places) for i, line in enumerate(lines[1:], 2)]
        require(len(rows) >= _LEAST, InputError, f"{path} has {len(rows)} pairs: give {_LEAST} or more")
        scores, first, second = zip(*rows, strict=True)
        return ScoredPairs(first, second, scores, hashlib.sha256(content).hexdigest())

    @property
    def texts(self) -> list[str]:
        """All first sentences, then all second ones."""
        return [*self.first, *self.second]

    def cosines(self, vectors: NDArray[Any]) -> NDArray[np.float64]:
        """Of each pair, from ``vectors`` of ``texts``, finite; 0 where one is all zeros. InputError."""
        count = len(self.scores)
        fits = vectors.ndim == 2 and len(vectors) == 2 * count
        told = f"vectors of shape {vectors.shape} are not those of {count} pairs: give one for each of texts"
        require(fits, InputError, told)
        finite = np.isfinite(vectors).all()
        require(finite, InputError, "a vector holds NaN or infinity: the model is broken")
        wide = vectors.astype(np.float64)
        wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-30)
        return np.einsum("ij,ij->i", wide[:count], wide[count:])

    def correlation(self, cosines: NDArray[np.float64]) -> float:
        """Spearman's rank correlation of the scores and ``cosines``."""
        return rank_correlation(cosines, np.array(self.scores))

    def distance(self, cosines: NDArray[np.float64], dense: NDArray[np.float64], seed: int) -> Distance:
        """How much less a model's correlation is than the dense one's, from the cosines of both."""
        scores = np.array(self.scores)
        drawn = np.random.default_rng(seed).integers(0, len(scores), (_DRAWS, len(scores)))
        found = [
            rank_correlation(dense[i], scores[i]) - rank_correlation(cosines[i], scores[i]) for i in drawn
        ]
        low, high = np.quantile(found, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
        value = self.correlation(dense) - self.correlation(cosines)
        return Distance(value, float(low), float(high), _CONFIDENCE)


@dataclass(frozen=True, slots=True)
class Distance:
    """``value``: the dense model's rank correlation less this one's; below 0 if this one is closer to people.
    ``low``, ``high``: its interval, for other pairs of the same kind: quantiles over ``_DRAWS`` draws of as
    many pairs with replacement, the same for both models (percentile bootstrap, Efron and Tibshirani 1993).
    """

    value: float
    low: float
    high: float
    confidence: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _row(where: str, line: str, places: Sequence[int]) -> tuple[float, str, str]:
    cells = line.split("\t")
    told = f"{where} has {len(cells)} columns, fewer than the first line names: the file is cut or no table"
    require(len(cells) > max(places), InputError, told)
    score, first, second = (cells[i] for i in places)
    try:
        value = float(score)
    except ValueError:
        value = math.nan
    require(math.isfinite(value), InputError, f"{where}: score {score!r} is no number")
    return value, first, second
