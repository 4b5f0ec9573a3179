"""Prunes one layer of a torch module at a time, and puts it back. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from aerogel.core.errors import AerogelError, InputError, UnsupportedError
from aerogel.find.samples import Sample, sample
from aerogel.find.sensitivity import SPARSITIES, Sensitivity, SensitivityReport
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.find.subject import Subject
from aerogel.prune.batches import Call, calls_of
from aerogel.prune.hessian import tokens
from aerogel.prune.imitation import view
from aerogel.prune.layers import Layer, prunable
from aerogel.prune.magnitude import magnitude
from aerogel.prune.pattern import pattern_named
from aerogel.prune.select import pruned_count, smallest
from aerogel.prune.watch import observed

# A line of progress for so many layers.
_TOLD = 6


def measure_sensitivity(
    subject: Subject, data: Any, left: Callable[[], float], progress: Callable[[str], None]
) -> SensitivityReport:
    """Prune every layer that ``prune`` would take, one at a time, and put it back. InputError for a model
    that is no torch module; UnsupportedError where it fails on the sample."""
    module = required_module(subject)
    fed = sample(subject, data)
    layers = prunable(module, None)
    rows: list[Sensitivity] = []
    missing: list[Skipped] = []
    with observed(module):
        calls = _calls(module, subject, fed)
        dense = [_output(module, call) for call in calls]
        for done, layer in enumerate(layers, 1):
            if left() <= 0:
                missing.append(Skipped(f"the sensitivity of {len(layers) - done + 1} layers", NO_TIME))
                break
            if done % _TOLD == 1:
                progress(f"pruning one layer at a time: {done} of {len(layers)}")
            rows += [_one(module, layer, share, calls, dense) for share in SPARSITIES]
    return SensitivityReport(fed.about, tuple(rows), tuple(missing))


def required_module(subject: Subject) -> torch.nn.Module:
    """The torch module, or InputError: an .aero file and bare weights have none."""
    if subject.module is None:
        raise InputError(
            f"{subject.name} is no torch module, which --sensitivity (sensitivity=) needs: give the model it "
            "was made from"
        )
    return subject.module


def _calls(module: torch.nn.Module, subject: Subject, fed: Sample) -> list[Call]:
    if fed.batches is None:
        return calls_of(module, [subject.example])
    return calls_of(
        module, [{name: torch.from_numpy(a) for name, a in batch.items()} for batch in fed.batches]
    )


def _output(module: torch.nn.Module, call: Call) -> torch.Tensor:
    """What the model gives for real tokens, or for each row: [columns, features]."""
    try:
        return tokens(view(module, call, ()).output, call.mask)
    except AerogelError:
        raise
    except Exception as error:  # a module's forward can raise anything
        raise UnsupportedError(f"the module fails on its sample: {type(error).__name__}: {error}") from error


def _one(
    module: torch.nn.Module, layer: Layer, share: float, calls: Sequence[Call], dense: Sequence[torch.Tensor]
) -> Sensitivity:
    kept = layer.matrix.clone()
    saliency = magnitude(kept.float().cpu().numpy(), pattern_named("unstructured"))
    gone = smallest(saliency, pruned_count(share, saliency.size))
    try:
        layer.put(kept.masked_fill(torch.from_numpy(gone).to(kept.device), 0.0))
        found = [_output(module, call) for call in calls]
    finally:
        layer.put(kept)
    lost = sum(float((a - b).square().sum()) for a, b in zip(found, dense, strict=True))
    whole = sum(float(b.square().sum()) for b in dense)
    change = (lost / whole) ** 0.5 if whole > 0 else 0.0
    return Sensitivity(layer.name, (kept.shape[0], kept.shape[1]), share, change)
