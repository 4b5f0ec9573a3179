"""One layer to prune, and what a method makes of it. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.prune.apart import apart
from aerogel.prune.hessian import Moments
from aerogel.prune.panel import ROWS, density
from aerogel.prune.pattern import Pattern
from aerogel.prune.select import per_group, pruned_count, smallest


@dataclass(frozen=True, slots=True)
class Problem:
    """``weight``: what the layer should do, [outputs, inputs] float32; ``frozen``: weights of the layer that
    are zero already, and stay so; ``moments``: of its inputs; ``sparsity``: the share of units to go, unless
    the pattern itself says how many do. ``by_rows``: each row of units has that share (by panels, each
    panel), to within one; ``worth``: see ``gradient.worths``, None where nobody asked."""

    weight: torch.Tensor
    frozen: torch.Tensor
    moments: Moments
    pattern: Pattern
    sparsity: float
    damping: float = 0.01
    by_rows: bool = False
    worth: torch.Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.weight.shape[0], self.weight.shape[1]

    @property
    def units(self) -> int:
        rows, columns = self.pattern.unit_shape(self.shape)
        return rows * columns

    def frozen_units(self) -> NDArray[np.bool_]:
        """Units all of whose weights are frozen, by row and column of units: they go before any other."""
        return self.pattern.per_unit(self.frozen.cpu().numpy(), np.logical_and).astype(np.bool_, copy=False)

    def ranked(self, scores: torch.Tensor) -> NDArray[np.floating[Any]]:
        """From the scores of weights [outputs, any whole units of inputs] to those of units: sums, or by
        panels. A fresh array; the least go first."""
        for axis, size in enumerate((self.pattern.rows, self.pattern.columns)):
            if size > 1:
                missing = -scores.shape[axis] % size
                pad = (0, 0, 0, missing) if axis == 0 else (0, missing)
                padded = torch.nn.functional.pad(scores, pad)
                scores = padded.unflatten(axis, (padded.shape[axis] // size, size)).sum(axis + 1)
        found = scores.cpu().numpy()
        return density(found) if self.pattern.panel else found.copy()

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
    """The weights that are zero, [outputs, inputs]: those of the units in ``gone``, and the frozen. Where a
    unit is one weight, this is ``gone`` itself, in which the frozen are set."""
    whole = problem.pattern.rows == problem.pattern.columns == 1
    flags = torch.from_numpy(gone if whole else problem.pattern.spread(gone, problem.shape))
    return flags.to(problem.weight.device).logical_or_(problem.frozen)


def chosen(
    problem: Problem, saliency: NDArray[np.floating[Any]], sparsity: float | None = None
) -> NDArray[np.bool_]:
    """Flags of the units that go: exactly ``round(sparsity * units)`` with the least ``saliency``, or all
    that are frozen, if these are more; by rows of each as many, see ``apart``; by N:M all but N of each
    group. Frozen ones go first, equal ones by lowest index. ``saliency`` may be overwritten; ``sparsity``: by
    default the problem's."""
    frozen = problem.frozen_units()
    if problem.pattern.kept_of is not None:
        return per_group(saliency, frozen, *problem.pattern.kept_of)
    share = problem.sparsity if sparsity is None else sparsity
    saliency[frozen] = -1
    count = max(pruned_count(share, saliency.size), int(frozen.sum()))
    if not problem.by_rows:
        return smallest(saliency, count)
    return apart(saliency, frozen, count, ROWS if problem.pattern.panel else 1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """``kept``: where the weight may be non-zero, [outputs, inputs]; ``pruned``: units that went, of
    ``units``; ``relative_error``: of the layer's output over the calibration data, None if it saw none."""

    kept: NDArray[np.bool_]
    units: int
    pruned: int
    relative_error: float | None
    seconds: float
