"""Quality against sparsity: pruned in one shot, and step by step with recovery in between. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import aerogel
from aerogel.bench.calibration import batches
from aerogel.bench.quality import Quality, quality
from aerogel.core.errors import InputError, require
from aerogel.model.loaded import Source
from aerogel.prune import PruneResult, Schedule

METHOD = "sparsegpt, least-squares repair"


@dataclass(frozen=True, slots=True)
class Stage:
    """Prune to ``sparsity``, from what the stage before left, and recover for ``seconds``."""

    sparsity: float
    seconds: float


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
    """``recovered_s``: training so far, all stages together; ``steps``: of this stage; ``zeros``: the share
    of weights of the pruned layers that is zero."""

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

    def __init__(self, source: Source, texts: Texts, tell: Callable[[str], None]) -> None:
        self._source, self._texts, self._tell = source, texts, tell
        self._calibration = batches(source, texts.calibration)
        self._dense = self._vectors(source.module)

    def one_shot(self, sparsity: float, method: str = "sparsegpt") -> Point:
        """Pruned at once and left like that; ``magnitude`` looks at no text."""
        self._tell(f"{sparsity:.0%} in one shot by {method}")
        result = self._pruned(self._source.module, sparsity, method)
        return self._point("magnitude" if method == "magnitude" else METHOD, sparsity, result, 0.0)

    def gradual(
        self, stages: Sequence[Stage], kept: Path | None, done: Callable[[Point], None]
    ) -> list[Point]:
        """A point for each stage, told to ``done`` too. ``kept``: a folder for the state of training, where
        an interrupted run goes on."""
        model, points, spent = self._source.module, list[Point](), 0.0
        training = batches(self._source, self._texts.training)
        for stage in stages:
            self._tell(f"{stage.sparsity:.0%}, then {stage.seconds:.0f} s of recovery")
            result = self._pruned(model, stage.sparsity, "sparsegpt")
            file = None if kept is None else kept / f"{stage.sparsity:.0%}.safetensors".replace("%", "")
            result = aerogel.recover(
                result, self._source.module, training, Schedule(seconds=stage.seconds), checkpoint=file
            )
            model, spent = result.model, spent + stage.seconds
            points.append(self._point(f"{METHOD}, gradual", stage.sparsity, result, spent))
            done(points[-1])
        return points

    def _pruned(self, model: torch.nn.Module, sparsity: float, method: str) -> PruneResult:
        if method == "magnitude":
            return aerogel.prune(model, sparsity)
        return aerogel.prune(model, sparsity, method=method, data=self._calibration, repair=True)

    def _point(self, method: str, sparsity: float, result: PruneResult, spent: float) -> Point:
        recovery = result.report.recovery
        zeros = sum(layer.zeros for layer in result.report.layers)
        weights = sum(layer.shape[0] * layer.shape[1] for layer in result.report.layers)
        found = quality(self._vectors(result.model), self._dense)
        steps = 0 if recovery is None else recovery.steps
        return Point(method, sparsity, zeros / max(1, weights), spent, steps, found)

    def _vectors(self, model: torch.nn.Module) -> NDArray[np.float32]:
        """By the program that a user would get."""
        program = aerogel.compile(model, self._source.example_inputs, texts=self._source.texts())
        return program.encode(list(self._texts.judged))
