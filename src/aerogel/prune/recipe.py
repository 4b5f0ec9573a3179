"""A pruning recipe, carried out: which layers, how much of each, by what, from what data. Imports torch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.prune import weights
from aerogel.prune.batches import Call, calls_of
from aerogel.prune.budget import BUDGETS, checked_map, owl, sensitivity
from aerogel.prune.layers import Layer, LayerChoice, prunable
from aerogel.prune.magnitude import magnitude
from aerogel.prune.methods import METHODS
from aerogel.prune.pattern import Pattern, wanted_sparsity
from aerogel.prune.recovery import recover
from aerogel.prune.report import LayerReport, PruneReport, PruneResult
from aerogel.prune.schedule import Schedule
from aerogel.prune.select import Scope, checked_sparsity, per_group, pruned_count, select, smallest
from aerogel.prune.stream import Calibration, Outcome, Stream
from aerogel.prune.watch import observed

PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The choices of ``prune``, which says what they mean."""

    method: str
    pattern: Pattern
    scope: Scope
    budget: str
    repair: bool
    recovery: str | None
    layers: LayerChoice | None
    inplace: bool
    precision: str

    def check(self, sparsity: object, data: object) -> None:
        """InputError for choices that do not go together."""
        told = f"precision {self.precision!r} is unknown: choose from {', '.join(PRECISIONS)}"
        require(self.precision in PRECISIONS, InputError, told)
        known = ", ".join(BUDGETS)
        require(self.budget in BUDGETS, InputError, f"budget {self.budget!r} is unknown: choose from {known}")
        needs = {
            f"method={self.method!r}": self.method != "magnitude",
            "repair": self.repair,
            f"budget={self.budget!r}": self.budget != "uniform",
            "recovery": self.recovery is not None,
        }
        for what, needed in needs.items():
            require(not needed or data is not None, InputError, f"{what} needs data: give data=batches")
        mapped = isinstance(sparsity, Mapping)
        require(
            not mapped or self.budget == "uniform",
            InputError,
            "a map of sparsities is a budget: leave budget out",
        )
        alone = data is None and not mapped
        require(
            self.scope == "layer" or alone, InputError,
            "scope='global' ranks by magnitude alone: leave data and maps out, or set budget='owl'",
        )  # fmt: skip
        fixed = self.pattern.kept_of is not None
        free = self.scope == "layer" and self.budget == "uniform"
        told = f"pattern {self.pattern.name} is alike in all layers: leave scope and budget out"
        require(not fixed or free, InputError, told)


@dataclass(frozen=True, slots=True)
class _Job:
    """``chosen``: layers of ``work`` to prune by ``recipe``; by ``share`` each, or by ``shares``, by name."""

    work: torch.nn.Module
    recipe: Recipe
    chosen: list[Layer]
    share: float | None
    shares: Mapping[str, float]


def carry_out(
    model: object,
    sparsity: float | Mapping[str, float] | None,
    recipe: Recipe,
    data: Iterable[Any] | None,
    progress: Callable[[str], None],
) -> PruneResult:
    """Do what ``prune`` says."""
    module = weights.checked_module(model)
    recipe.check(sparsity, data)
    if isinstance(sparsity, Mapping):
        share, asked = None, {key: wanted_sparsity(recipe.pattern, v) for key, v in sparsity.items()}
    else:
        share, asked = checked_sparsity(wanted_sparsity(recipe.pattern, sparsity)), None
    schedule = None if recipe.recovery is None else Schedule.parse(recipe.recovery)
    # With data the dense model is needed to the end: to imitate, and unchanged should anything fail.
    work = module if recipe.inplace and data is None else weights.copied(module)
    chosen = prunable(work, recipe.layers)
    shares: dict[str, float] = {}
    if asked is not None:
        shares = checked_map(asked, chosen)
        chosen = [layer for layer in chosen if layer.name in shares]
    job = _Job(work, recipe, chosen, share, shares)
    arrays = [weights.finite_array(layer) for layer in chosen]
    if recipe.precision == "int8":
        weights.require_float32(chosen)
    if data is None:
        return _result(job, _by_magnitude(job, arrays), None)
    calls = calls_of(work, data)
    with observed(work, module):
        if share is not None:
            units = [math.prod(recipe.pattern.unit_shape(array.shape)) for array in arrays]
            uniform = dict.fromkeys((layer.name for layer in chosen), share)
            shares = {
                "uniform": lambda: uniform,
                "owl": lambda: owl(work, chosen, calls, share, units),
                "sensitivity": lambda: sensitivity(work, chosen, calls, share, units),
            }[recipe.budget]()
        result = _calibrated(replace(job, shares=shares), module, calls, progress)
    if schedule is not None:
        result = recover(result, module, calls, schedule)
    return replace(result, model=weights.take_over(module, work)) if recipe.inplace else result


def _calibrated(
    job: _Job, dense: torch.nn.Module, calls: list[Call], progress: Callable[[str], None]
) -> PruneResult:
    recipe = job.recipe
    # Only a method that changes the kept weights can make up for what earlier layers lost.
    targets = recipe.method == "sparsegpt" or recipe.repair
    integers = recipe.precision == "int8"
    method = METHODS[recipe.method]
    settings = Calibration(method, recipe.pattern, job.shares, recipe.repair, integers, targets)
    stream = Stream(job.work, dense, settings)
    filled = [layer for layer in job.chosen if layer.weight.numel()]
    missed = stream.run(filled, calls, progress) + [layer for layer in job.chosen if not layer.weight.numel()]
    rest = replace(job, chosen=missed, share=None)
    outcomes = stream.outcomes | _by_magnitude(rest, [weights.finite_array(layer) for layer in missed])
    return _result(job, outcomes, stream.ledger.peak)


def _by_magnitude(job: _Job, arrays: Sequence[NDArray[np.floating[Any]]]) -> dict[str, Outcome]:
    """Without data, or for layers that the data does not reach."""
    began, pattern = time.perf_counter(), job.recipe.pattern
    saliencies = [magnitude(array, pattern) for array in arrays]
    if pattern.kept_of is not None:
        picked = [per_group(s, np.zeros(s.shape, np.bool_), *pattern.kept_of) for s in saliencies]
    elif job.share is not None:
        picked = select(saliencies, job.share, job.recipe.scope)
    else:
        named = zip(job.chosen, saliencies, strict=True)
        picked = [smallest(s, pruned_count(job.shares[layer.name], s.size)) for layer, s in named]
    outcomes: dict[str, Outcome] = {}
    for layer, gone in zip(job.chosen, picked, strict=True):
        kept = pattern.spread(~gone, (layer.weight.shape[0], layer.weight.shape[1]))
        weights.zero_outside(layer, kept)
        if job.recipe.precision == "int8":
            # What was zero before stays zero, should training follow.
            kept &= layer.weight.detach().cpu().numpy() != 0
            weights.round_to_grid(layer)
        seconds = (time.perf_counter() - began) / len(job.chosen)
        outcomes[layer.name] = Outcome(kept, gone.size, int(np.count_nonzero(gone)), None, seconds)
    return outcomes


def _result(job: _Job, outcomes: Mapping[str, Outcome], peak_bytes: int | None) -> PruneResult:
    weights.drop_stale_grids(job.chosen)
    reports: list[LayerReport] = []
    for layer in job.chosen:
        done = outcomes[layer.name]
        zeros = int(torch.count_nonzero(layer.weight.detach() == 0))
        shape = (layer.weight.shape[0], layer.weight.shape[1])
        reports.append(
            LayerReport(layer.name, shape, done.units, done.pruned, zeros, done.relative_error, done.seconds)
        )
    units = sum(r.units for r in reports)
    share = job.share if job.share is not None else sum(r.pruned for r in reports) / max(1, units)
    recipe = job.recipe
    report = PruneReport(
        recipe.method,
        recipe.pattern.name,
        recipe.scope,
        share,
        tuple(reports),
        peak_bytes,
        precision=recipe.precision,
    )
    return PruneResult(job.work, {layer.name: outcomes[layer.name].kept for layer in job.chosen}, report)
