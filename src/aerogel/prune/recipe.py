"""A pruning recipe, carried out: which layers, how much of each, by what, from what data. Imports torch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.core.suggest import unknown
from aerogel.prune import weights
from aerogel.prune.axes import Axes, check_together
from aerogel.prune.batch_norm import reestimate
from aerogel.prune.batches import Call, calls_of
from aerogel.prune.budget import Question, checked_map
from aerogel.prune.fits import solved
from aerogel.prune.gradient import Loss, worths
from aerogel.prune.kept import RECOVERY, KeptLayers, fingerprint
from aerogel.prune.layers import Layer, LayerChoice, prunable
from aerogel.prune.magnitude import magnitude
from aerogel.prune.pattern import wanted_sparsity
from aerogel.prune.problem import Outcome, Problem, Solution
from aerogel.prune.recovery import recover
from aerogel.prune.report import LayerReport, PruneReport, PruneResult
from aerogel.prune.schedule import Schedule
from aerogel.prune.select import Saliency, checked_sparsity, per_group, pruned_count, smallest
from aerogel.prune.size_notes import size_notes
from aerogel.prune.stream import Calibration, Stream
from aerogel.prune.watch import observed

PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The choices of ``prune``, which says what they mean."""

    axes: Axes
    layers: LayerChoice | None
    inplace: bool
    precision: str
    loss: Loss | None = None
    checkpoint: Path | None = None

    def check(self, sparsity: object, data: object) -> None:
        """InputError for choices that do not go together."""
        require(self.precision in PRECISIONS, InputError, unknown("precision", self.precision, PRECISIONS))
        told = f"loss is of no use to importance {self.axes.importance_name!r}: take 'gradient' or 'taylor'"
        require(self.loss is None or self.axes.importance.gradients, InputError, told)
        check_together(self.axes, sparsity, data)


@dataclass(frozen=True, slots=True)
class _Job:
    """``chosen``: layers of ``work`` to prune by ``recipe``; ``share``: of all of them, None where each has
    its own; ``shares``: by name; ``worths``: see ``gradient``."""

    work: torch.nn.Module
    recipe: Recipe
    chosen: list[Layer]
    share: float | None
    shares: Mapping[str, float]
    worths: Mapping[str, torch.Tensor] = field(default_factory=dict[str, torch.Tensor])

    @property
    def units(self) -> list[int]:
        return [math.prod(self.recipe.axes.pattern.unit_shape(layer.shape)) for layer in self.chosen]


def carry_out(
    model: object,
    sparsity: float | Mapping[str, float] | None,
    recipe: Recipe,
    data: Iterable[Any] | None,
    progress: Callable[[str], None],
) -> PruneResult:
    """Do what ``prune`` says."""
    began = time.perf_counter()
    module = weights.checked_module(model)
    recipe.check(sparsity, data)
    asked = _asked(recipe.axes, sparsity)
    # With data the dense model is needed to the end: to imitate, and unchanged should anything fail.
    work = module if recipe.inplace and data is None else weights.copied(module)
    job = _job(work, recipe, asked)
    for layer in job.chosen:
        weights.finite_array(layer)
    if recipe.precision == "int8":
        weights.require_float32(job.chosen)
    if data is None:
        job = _budgeted(job, None)
        result = _result(job, _by_magnitude(job), None)
    else:
        calls = calls_of(work, data)
        result = _with_data(job, module, calls, progress)
    report = replace(result.report, seconds=time.perf_counter() - began)
    # Without data what was given is pruned itself, and has nothing to take over.
    other = recipe.inplace and work is not module
    model = weights.take_over(module, work) if other else result.model
    return replace(result, model=model, report=report)


def _asked(axes: Axes, sparsity: float | Mapping[str, float] | None) -> float | Mapping[str, Any] | None:
    """The sparsity, checked as far as it can be without a model; None where the budget says it."""
    if isinstance(sparsity, Mapping):
        return {key: wanted_sparsity(axes.pattern, v) for key, v in sparsity.items()}
    if axes.budget_name.startswith("latency:"):
        return None
    return checked_sparsity(wanted_sparsity(axes.pattern, sparsity))


def _job(work: torch.nn.Module, recipe: Recipe, asked: float | Mapping[str, Any] | None) -> _Job:
    chosen = prunable(work, recipe.layers)
    if not isinstance(asked, Mapping):
        return _Job(work, recipe, chosen, asked, {})
    shares = checked_map(asked, chosen)
    return _Job(work, recipe, [layer for layer in chosen if layer.name in shares], None, shares)


def _with_data(
    job: _Job, module: torch.nn.Module, calls: list[Call], progress: Callable[[str], None]
) -> PruneResult:
    recipe = job.recipe
    with observed(job.work, module):
        kind = recipe.axes.importance.gradients
        if kind:
            job = replace(job, worths=worths(job.work, job.chosen, calls, kind, recipe.loss))
        job, kept = _kept(job, calls)
        result = _calibrated(job, module, calls, progress, kept)
    for step in recipe.axes.after:
        if isinstance(step, Schedule):
            saved = None if recipe.checkpoint is None else recipe.checkpoint / RECOVERY
            result = recover(result, module, calls, step, checkpoint=saved)
        else:
            with observed(job.work):
                reestimate(job.work, calls)
    return result


def _kept(job: _Job, calls: list[Call]) -> tuple[_Job, KeptLayers | None]:
    """The job with its budget, and where its layers are kept: both of the run that was killed, if it left
    any."""
    folder = job.recipe.checkpoint
    if folder is None:
        return _budgeted(job, calls), None
    axes = job.recipe.axes
    choices = {
        "importance": axes.importance_name,
        "pattern": axes.pattern.name,
        "budget": axes.budget_name,
        "fits": axes.fits,
        "share": job.share,
        "shares": dict(job.shares),
        "layers": [layer.name for layer in job.chosen],
        "precision": job.recipe.precision,
        # A loss cannot be told from another but by what it made of the model.
        "worths": {n: float(w.double().sum()) for n, w in job.worths.items()} if job.recipe.loss else None,
    }
    run = fingerprint(job.work, calls, choices)
    found = KeptLayers.open(folder, run)
    if found is not None:
        return replace(job, shares=found.shares), found
    job = _budgeted(job, calls)
    return job, KeptLayers.begin(folder, run, job.shares)


def _budgeted(job: _Job, calls: list[Call] | None) -> _Job:
    """With a share for each layer."""
    if job.shares:
        return job
    axes = job.recipe.axes
    question = Question(
        model=job.work,
        layers=job.chosen,
        calls=calls,
        sparsity=job.share or 0.0,
        units=job.units,
        pattern=axes.pattern,
        precision=job.recipe.precision,
        saliencies=lambda: _saliencies(job, calls),
    )
    return replace(job, shares=axes.budget.shares(question))


def _saliencies(job: _Job, calls: list[Call] | None) -> dict[str, Saliency]:
    """By layer, those of its units in the dense model; frozen ones have -1. Layers the data does not reach
    have none. One pass of the data, in which nothing is changed."""
    axes = job.recipe.axes
    if calls is None:
        return {layer.name: magnitude(weights.finite_array(layer), axes.pattern) for layer in job.chosen}
    found: list[Saliency] = []

    def look(problem: Problem) -> Solution:
        saliency = axes.importance.saliency(problem)
        saliency[problem.frozen_units()] = -1
        found.append(saliency)
        return Solution(problem.weight.clone(), np.zeros(saliency.shape, np.bool_))

    settings = Calibration(
        look, axes.pattern, dict.fromkeys((layer.name for layer in job.chosen), 0.0),
        dense_targets=False, worths=job.worths,
    )  # fmt: skip
    names: list[str] = []
    filled = [layer for layer in job.chosen if layer.weight.numel() and not layer.grouped]
    Stream(job.work, None, settings).run(filled, list(calls), names.append)
    return dict(zip(names, found, strict=True))


def _calibrated(
    job: _Job,
    dense: torch.nn.Module,
    calls: list[Call],
    progress: Callable[[str], None],
    kept: KeptLayers | None,
) -> PruneResult:
    axes = job.recipe.axes
    settings = Calibration(
        lambda problem: solved(problem, axes.importance, axes.fits),
        axes.pattern,
        job.shares,
        integers=job.recipe.precision == "int8",
        dense_targets=axes.changes_weights,
        by_rows=axes.by_rows,
        worths=job.worths,
    )
    stream = Stream(job.work, dense, settings, kept)
    # The outputs of a convolution by groups do not share their inputs' moments.
    idle = [layer for layer in job.chosen if layer.grouped or not layer.weight.numel()]
    filled = [layer for layer in job.chosen if all(layer is not other for other in idle)]
    missed = [*(stream.run(filled, calls, progress) if filled else []), *idle]
    outcomes = stream.outcomes | _by_magnitude(replace(job, chosen=missed))
    return _result(job, outcomes, stream.ledger.peak, stream.restored)


def _by_magnitude(job: _Job) -> dict[str, Outcome]:
    """Without data, or for layers that the data does not reach."""
    pattern = job.recipe.axes.pattern
    outcomes: dict[str, Outcome] = {}
    for layer in job.chosen:
        began = time.perf_counter()
        saliency = magnitude(weights.finite_array(layer), pattern)
        if pattern.kept_of is not None:
            gone = per_group(saliency, np.zeros(saliency.shape, np.bool_), *pattern.kept_of)
        else:
            gone = smallest(saliency, pruned_count(job.shares[layer.name], saliency.size))
        kept = _zeroed(layer, pattern.spread(~gone, layer.shape), job.recipe.precision)
        seconds = time.perf_counter() - began
        outcomes[layer.name] = Outcome(kept, gone.size, int(np.count_nonzero(gone)), None, seconds)
    return outcomes


def _zeroed(layer: Layer, kept: NDArray[np.bool_], precision: str) -> NDArray[np.bool_]:
    weights.zero_outside(layer, kept)
    if precision == "int8":
        # What was zero before stays zero, should training follow.
        kept &= layer.matrix.cpu().numpy() != 0
        weights.round_to_grid(layer)
    return kept


def _result(
    job: _Job, outcomes: Mapping[str, Outcome], peak_bytes: int | None, restored: int = 0
) -> PruneResult:
    weights.drop_stale_grids(job.chosen)
    reports: list[LayerReport] = []
    masks: dict[str, NDArray[np.bool_]] = {}
    for layer in job.chosen:
        done = outcomes[layer.name]
        zeros = int(torch.count_nonzero(layer.weight.detach() == 0))
        reports.append(
            LayerReport(
                layer.name, layer.shape, done.units, done.pruned, zeros, done.relative_error, done.seconds
            )
        )
        masks[layer.name] = done.kept.reshape(layer.weight.shape)
    units = sum(r.units for r in reports)
    share = job.share if job.share is not None else sum(r.pruned for r in reports) / max(1, units)
    axes = job.recipe.axes
    report = PruneReport(
        axes.method,
        axes.pattern.name,
        "global" if axes.budget.ranks else "layer",
        share,
        tuple(reports),
        peak_bytes,
        precision=job.recipe.precision,
        importance=axes.importance_name,
        budget=axes.budget_name,
        recoveries=axes.recoveries,
        notes=(
            *_resumed(restored, len(reports)),
            *size_notes(reports, job.share, job.shares, axes.pattern.name),
        ),
        restored=restored,
    )
    return PruneResult(job.work, masks, report)


def _resumed(restored: int, layers: int) -> tuple[str, ...]:
    told = f"{restored} of {layers} layers had been pruned by a run that was interrupted"
    return (told,) if restored else ()
