"""Pruning step by step: each step goes on from the last, recovered one. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from aerogel.model.loaded import Source
from aerogel.prune.entry import prune, recover
from aerogel.prune.report import PruneResult
from aerogel.prune.schedule import Schedule
from aerogel.prune.text_batches import batches

METHOD = "sparsegpt"


@dataclass(frozen=True, slots=True)
class Stage:
    """Prune to ``sparsity``, from what the stage before left, and recover for ``seconds``; 0: not at all."""

    sparsity: float
    seconds: float


class Gradual:
    """Prunes ``source`` to more and more zeros, calibrated on ``calibration``, trained on ``training``.

    ``pattern`` and ``precision``: as for ``prune``. ``tell``: words on what is being done, and how much of it
    is over, 0 to 1.
    """

    def __init__(
        self,
        source: Source,
        calibration: Sequence[str],
        training: Sequence[str],
        tell: Callable[[str, float], None],
        *,
        pattern: str = "unstructured",
        precision: str = "fp32",
    ) -> None:
        self._source, self._tell = source, tell
        self._pattern, self._precision = pattern, precision
        self._calibration = batches(source, calibration)
        self._training = batches(source, training)

    def once(self, sparsity: float, model: torch.nn.Module | None = None) -> PruneResult:
        """A pruned copy of ``model``, by default the dense one."""
        layers = sum(isinstance(m, torch.nn.Linear) for m in self._source.module.modules())
        done: list[str] = []

        def progress(name: str) -> None:
            done.append(name)
            self._tell(f"pruning to {sparsity:.0%}: {name}", len(done) / max(1, layers))

        start = self._source.module if model is None else model
        return prune(
            start,
            sparsity,
            method=METHOD,
            pattern=self._pattern,
            precision=self._precision,
            data=self._calibration,
            repair=True,
            progress=progress,
        )

    def stages(
        self, stages: Sequence[Stage], kept: Path | None = None
    ) -> Iterator[tuple[Stage, PruneResult]]:
        """What each stage left; use it before asking for the next. ``kept``: a folder for the state of
        training, where an interrupted run goes on."""
        model: torch.nn.Module | None = None
        for stage in stages:
            result = self.once(stage.sparsity, model)
            if stage.seconds:
                result = self._recovered(result, stage, kept)
            yield stage, result
            model = result.model

    def _recovered(self, result: PruneResult, stage: Stage, kept: Path | None) -> PruneResult:
        words = f"recovering at {stage.sparsity:.0%}: {stage.seconds:.0f} s"
        file = None if kept is None else kept / f"{100 * stage.sparsity:g}.safetensors"
        return recover(
            result,
            self._source.module,
            self._training,
            Schedule(seconds=stage.seconds),
            checkpoint=file,
            progress=lambda step: self._tell(words, step.progress),
        )
