"""Quality against sparsity: pruned in one shot, and step by step with recovery in between. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import aerogel
from aerogel.bench.quality import Quality, quality
from aerogel.core.errors import InputError, require
from aerogel.model.loaded import Source
from aerogel.prune import PruneResult
from aerogel.prune.gradual import Gradual, Stage

CALIBRATED = "sparsegpt, least-squares repair"


@dataclass(frozen=True, slots=True)
class Texts:
    """``calibration`` and ``training``: to prune and to recover with; ``judged``: none of those."""

    calibration: tuple[str, ...]
    training: tuple[str, ...]
    judged: tuple[str, ...]

    def __post_init__(self) -> None:
        seen = set(self.judged) & (set(self.calibration) | set(self.training))
        require(not seen, InputError, f"{len(seen)} texts to judge by are also trained on: leave them out")


@dataclass(frozen=True, slots=True)
class Point:
    """``zeros``: the share of weights of the pruned layers that is zero; ``recovered_s``: training so far,
    all stages together, 0 for one shot; ``steps``: of this stage."""

    method: str
    sparsity: float
    zeros: float
    recovered_s: float
    steps: int
    quality: Quality

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        found = f"rank correlation {self.quality.spearman:.3f}, top-10 overlap {self.quality.top_overlap:.3f}"
        after = f" after {self.recovered_s:.0f} s of recovery" if self.recovered_s else ", one shot"
        return f"{self.sparsity:4.0%} {self.method}{after}: {found}"


class Curve:
    """Points of a model whose vectors of ``texts.judged`` are compared with its own when dense."""

    def __init__(self, source: Source, texts: Texts, tell: Callable[[str, float], None]) -> None:
        self._source, self._judged = source, list(texts.judged)
        self._gradual = Gradual(source, texts.calibration, texts.training, tell)
        self._dense = self._vectors(source.module)

    def one_shot(self, sparsity: float) -> Point:
        """Pruned at once and left like that."""
        return self._point(CALIBRATED, sparsity, self._gradual.once(sparsity), 0.0)

    def by_magnitude(self, sparsity: float) -> Point:
        """The same without a look at any text."""
        return self._point("magnitude", sparsity, aerogel.prune(self._source.module, sparsity), 0.0)

    def recovered(self, stages: Sequence[Stage], kept: Path | None = None) -> Iterator[Point]:
        """A point for each stage; ``kept`` as for ``Gradual.stages``."""
        spent = 0.0
        for stage, result in self._gradual.stages(stages, kept):
            spent += stage.seconds
            yield self._point(CALIBRATED, stage.sparsity, result, spent)

    def _point(self, method: str, sparsity: float, result: PruneResult, spent: float) -> Point:
        recovery, layers = result.report.recovery, result.report.layers
        weights = sum(layer.shape[0] * layer.shape[1] for layer in layers)
        return Point(
            method,
            sparsity,
            sum(layer.zeros for layer in layers) / max(1, weights),
            spent,
            0 if recovery is None else recovery.steps,
            quality(self._vectors(result.model), self._dense),
        )

    def _vectors(self, model: torch.nn.Module) -> NDArray[np.float32]:
        """By the program that a user would get."""
        program = aerogel.compile(model, self._source.example_inputs, texts=self._source.texts())
        return program.encode(self._judged)
