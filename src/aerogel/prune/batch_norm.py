"""Recovery by batch norms: their means and variances as they are after pruning. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from aerogel.core.errors import InputError, require
from aerogel.prune.batches import Call


def batch_norms(model: torch.nn.Module) -> list[_BatchNorm]:
    """Those of ``model`` that keep statistics, in order."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]


def reestimate(model: torch.nn.Module, calls: Sequence[Call]) -> None:
    """The statistics of every batch norm anew, in place: the mean over ``calls`` of those of each batch, each
    norm fed by norms that use their batch's own. Nothing else behaves as in training.

    InputError for a model without batch norms, or batches too small to have a variance; the statistics are
    then as they were.
    """
    norms = batch_norms(model)
    told = f"{type(model).__name__} has no batch norm to estimate anew: leave 'batch_norm' out of recovery"
    require(norms, InputError, told)
    kept = [[buffer.clone() for buffer in norm.buffers()] for norm in norms]
    before = [(norm.training, norm.momentum) for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
            # The mean of all batches, not a fading one.
            norm.momentum = None
        with torch.no_grad():
            for call in calls:
                call.run(model)
    except ValueError as error:
        for norm, buffers in zip(norms, kept, strict=True):
            for buffer, value in zip(norm.buffers(), buffers, strict=True):
                buffer.copy_(value)
        told = f"batch norms cannot be estimated on this data ({error}): give batches of several samples"
        raise InputError(told) from error
    finally:
        for norm, (training, momentum) in zip(norms, before, strict=True):
            norm.training, norm.momentum = training, momentum
