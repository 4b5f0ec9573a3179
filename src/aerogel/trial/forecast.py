"""Before a model is pruned: would its layers, at so many zeros, be faster on this CPU? Imports torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from aerogel.core.target import current
from aerogel.prune import prune
from aerogel.prune.layers import prunable
from aerogel.tune.choose import choose
from aerogel.tune.plan import LayerPlan

MOST_WEIGHTS = 4 << 20
"""Timing larger layers is no quick look any more."""
_WORTH_TELLING = 1.05


@dataclass(frozen=True, slots=True)
class Forecast:
    """``layers``: linear layers to be pruned (no convolutions), of which ``timed`` have a shape that was
    timed: one layer of each, pruned by magnitude, on one thread, by ``tune.choose``. ``no_faster``: those of
    them for which a dense kernel is the best; ``speedup``: over it, of all timed layers, None where there are
    none."""

    layers: int
    timed: int
    no_faster: int
    speedup: float | None

    def warning(self, sparsity: float, pattern: str) -> str | None:
        """What to tell before minutes are spent; None where the zeros are likely to pay."""
        if self.speedup is None or self.speedup >= _WORTH_TELLING:
            return None
        return (
            f"{100 * sparsity:g} % zeros ({pattern}) are not likely to make this model faster on this CPU: "
            f"timed, its layers take 1/{self.speedup:.2f} of the time, and dense kernels stay the best for "
            f"{self.no_faster} of {self.timed}"
        )


def forecast(module: torch.nn.Module, sparsity: float, pattern: str, layers: str | None = None) -> Forecast:
    """Times one layer of each shape among those that ``prune`` would take; a second or so. InputError as of
    ``prune``."""
    # The engine computes no convolution, so there is no time to tell.
    linear = (layer for layer in prunable(module, layers) if layer.matrix.shape == layer.weight.shape)
    weights = [layer.weight.detach() for layer in linear]
    count = Counter(tuple(weight.shape) for weight in weights)
    small = {tuple(w.shape): w for w in weights if 0 < w.numel() <= MOST_WEIGHTS}
    plans = _timed(list(small.values()), sparsity, pattern)
    dense = sum(count[shape] * _seconds(plan, "dense") for shape, plan in plans.items())
    best = sum(count[shape] * _seconds(plan, str(plan.many)) for shape, plan in plans.items())
    slow = sum(count[shape] for shape, plan in plans.items() if plan.many.dense)
    timed = sum(count[shape] for shape in small)
    # Where nothing was worth a trial there are no times, and nothing is faster.
    speedup = dense / best if best else 1.0
    return Forecast(len(weights), timed, slow, speedup if timed else None)


def _timed(weights: list[torch.Tensor], sparsity: float, pattern: str) -> dict[tuple[int, ...], LayerPlan]:
    if not weights:
        return {}
    likes = torch.nn.ModuleList()
    for weight in weights:
        like = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        with torch.no_grad():
            like.weight.copy_(weight)
        likes.append(like)
    pruned = prune(likes, sparsity, pattern=pattern, inplace=True).model
    arrays = {name: p.detach().numpy() for name, p in pruned.named_parameters()}
    plan = choose({name: np.asarray(array, np.float32) for name, array in arrays.items()}, current())
    return {arrays[layer.layer].shape: layer for layer in plan.layers}


def _seconds(plan: LayerPlan, candidate: str) -> float:
    return plan.many_seconds.get(candidate, 0.0)
