"""Prunes one layer of a torch module at a time, by each pattern and share, and puts it back.

Imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch

from aerogel.core.errors import AerogelError, InputError, UnsupportedError
from aerogel.find.paymap import without_least
from aerogel.find.samples import Arrays, Sample, sample
from aerogel.find.sensitivity import PATTERNS, Sensitivity, SensitivityReport, sweep
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.find.subject import Subject
from aerogel.prune.batches import Call, calls_of
from aerogel.prune.hessian import tokens
from aerogel.prune.imitation import view
from aerogel.prune.layers import Layer, prunable
from aerogel.prune.pattern import pattern_named
from aerogel.prune.watch import observed

# A line of progress so often.
_TOLD_S = 5.0
# Fewer texts tell little of a model.
_LEAST_TEXTS = 4

Say = Callable[[str], None]


def measure_sensitivity(
    subject: Subject, data: Any, left: Callable[[], float], progress: Say
) -> SensitivityReport:
    """Prune every layer that ``prune`` would take, one at a time, and put it back. Of the sample as much is
    used as ``left``, the seconds that remain, allow. InputError for a model that is no torch module;
    UnsupportedError where it fails on the sample."""
    module = required_module(subject)
    fed = sample(subject, data)
    layers = prunable(module, None)
    with observed(module):
        calls, about = _fitting(module, subject, fed, len(layers) * sum(1 for _ in sweep()), left)
        runs = _Runs(module, layers, calls, left, progress)
        rows, missing = runs.all()
    order = {layer.name: i for i, layer in enumerate(layers)}
    rows.sort(key=lambda row: (order[row.name], PATTERNS.index(row.pattern), row.sparsity))
    return SensitivityReport(about, tuple(rows), missing)


def required_module(subject: Subject) -> torch.nn.Module:
    """The torch module, or InputError: an .aero file and bare weights have none."""
    if subject.module is None:
        raise InputError(
            f"{subject.name} is no torch module, which --sensitivity (sensitivity=) needs: give the model it "
            "was made from"
        )
    return subject.module


def _fitting(
    module: torch.nn.Module, subject: Subject, fed: Sample, runs: int, left: Callable[[], float]
) -> tuple[list[Call], str]:
    """Calls of which there is time for so many ``runs``, and what they are."""
    if fed.batches is None:
        return calls_of(module, [subject.example]), fed.about
    calls = calls_of(module, [_torch(batch) for batch in fed.batches])
    began = perf_counter()
    for call in calls:
        _output(module, call)
    share = left() / max(1e-9, runs * (perf_counter() - began))
    if share >= 1 or fed.texts is None:
        return calls, fed.about
    few = _fewer(fed.batches, max(_LEAST_TEXTS, math.floor(share * fed.texts)))
    used = sum(len(next(iter(batch.values()))) for batch in few)
    if used >= fed.texts:
        return calls, fed.about
    return calls_of(module, [_torch(batch) for batch in few]), f"the first {used} of {fed.about}"


def _fewer(batches: Sequence[Arrays], texts: int) -> list[Arrays]:
    found: list[Arrays] = []
    for batch in batches:
        count = min(texts, len(next(iter(batch.values()))))
        if count:
            found.append({name: array[:count] for name, array in batch.items()})
        texts -= count
    return found


def _torch(batch: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in batch.items()}


def _output(module: torch.nn.Module, call: Call) -> torch.Tensor:
    """What the model gives for real tokens, or for each row: [columns, features]."""
    try:
        return tokens(view(module, call, ()).output, call.mask)
    except AerogelError:
        raise
    except Exception as error:  # a module's forward can raise anything
        raise UnsupportedError(f"the module fails on its sample: {type(error).__name__}: {error}") from error


class _Runs:
    """All the layers by every pattern and share, while there is time."""

    def __init__(
        self,
        module: torch.nn.Module,
        layers: Sequence[Layer],
        calls: Sequence[Call],
        left: Callable[[], float],
        say: Say,
    ) -> None:
        self._module, self._layers, self._calls, self._left, self._say = module, layers, calls, left, say
        self._dense = [_output(module, call) for call in calls]
        self._whole = sum(float(found.square().sum()) for found in self._dense)
        self._told = -math.inf

    def all(self) -> tuple[list[Sensitivity], tuple[Skipped, ...]]:
        cases = [(layer, name, share) for name, share in sweep() for layer in self._layers]
        rows: list[Sensitivity] = []
        for done, (layer, name, share) in enumerate(cases):
            if self._left() <= 0:
                what = f"the sensitivity in {len(cases) - done} of {len(cases)} cases of a layer, a pattern "
                return rows, (Skipped(f"{what}and a share", NO_TIME),)
            self._tell(done, len(cases), f"{name} at {share:.0%}")
            rows.append(self._one(layer, name, share))
        return rows, ()

    def _tell(self, done: int, total: int, what: str) -> None:
        now = perf_counter()
        if now - self._told >= _TOLD_S:
            self._told = now
            self._say(f"pruning one layer at a time, {done / total:.0%} done: {what}")

    def _one(self, layer: Layer, name: str, share: float) -> Sensitivity:
        kept = layer.matrix.clone()
        pruned = without_least(kept.float().cpu().numpy(), share, pattern_named(name))
        try:
            layer.put(torch.from_numpy(pruned).to(kept.device, kept.dtype))
            found = [_output(self._module, call) for call in self._calls]
        finally:
            layer.put(kept)
        lost = sum(float((a - b).square().sum()) for a, b in zip(found, self._dense, strict=True))
        change = (lost / self._whole) ** 0.5 if self._whole > 0 else 0.0
        return Sensitivity(layer.name, (kept.shape[0], kept.shape[1]), share, change, name)
