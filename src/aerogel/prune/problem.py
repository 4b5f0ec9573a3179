"""One layer to prune, and what a method makes of it. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.prune.hessian import Moments
from aerogel.prune.pattern import Pattern
from aerogel.prune.select import pruned_count


@dataclass(frozen=True, slots=True)
class Problem:
    """``weight``: what the layer should do, [outputs, inputs] float32; ``frozen``: weights of the layer that
    are zero already, and stay so; ``moments``: of its inputs; ``sparsity``: the share of units to go."""

    weight: torch.Tensor
    frozen: torch.Tensor
    moments: Moments
    pattern: Pattern
    sparsity: float
    damping: float = 0.01

    @property
    def shape(self) -> tuple[int, int]:
        return self.weight.shape[0], self.weight.shape[1]

    @property
    def units(self) -> int:
        rows, columns = self.pattern.unit_shape(self.shape)
        return rows * columns

    def frozen_units(self) -> NDArray[np.bool_]:
        """Units all of whose weights are frozen, [units of outputs, inputs]: they go before any other."""
        frozen = self.frozen.cpu().numpy()
        if self.pattern.rows == 1:
            return frozen
        return np.logical_and.reduceat(frozen, np.arange(0, frozen.shape[0], self.pattern.rows), axis=0)

    def unit_sums(self, scores: torch.Tensor) -> torch.Tensor:
        """[outputs, any] -> [units of outputs, any]: the sum of each unit's scores."""
        rows = self.pattern.rows
        if rows == 1:
            return scores
        missing = -scores.shape[0] % rows
        padded = torch.nn.functional.pad(scores, (0, 0, 0, missing))
        return padded.reshape(-1, rows, scores.shape[1]).sum(1)

    def budget(self, frozen: int) -> int:
        """How many units go: those asked for, or all that are frozen, if these are more."""
        return max(frozen, pruned_count(self.sparsity, self.units))


@dataclass(frozen=True, slots=True)
class Solution:
    """``weight``: the kept weights, perhaps changed, zero elsewhere; ``gone``: flags per unit."""

    weight: torch.Tensor
    gone: NDArray[np.bool_]


Method = Callable[[Problem], Solution]


def spread(problem: Problem, gone: NDArray[np.bool_]) -> torch.Tensor:
    """The weights that are zero, [outputs, inputs]: those of the units in ``gone``, and the frozen."""
    flags = torch.from_numpy(problem.pattern.spread(gone, problem.shape))
    return flags.to(problem.weight.device).logical_or_(problem.frozen)
