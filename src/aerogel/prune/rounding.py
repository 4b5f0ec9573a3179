"""Weights onto the int8 grid, each rounding made up for (GPTQ, Frantar et al. 2023). Imports torch."""

from __future__ import annotations

import torch

from aerogel.prune.grid import fitted_scale
from aerogel.prune.hessian import Moments
from aerogel.prune.sweep import edges, settle, sweep


def rounded(
    weight: torch.Tensor, zero: torch.Tensor, moments: Moments, damping: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(``weight`` [outputs, inputs] on the grid, the scales [outputs]): zero where ``zero`` is set, and what
    each input's rounding loses made up for by the inputs before it. ``weight`` may be overwritten.

    A sweep spreads what is lost linearly. So from weights that a sweep has pruned, this gives what one sweep
    that zeroes and rounds at once would; and from weights that are the best with these zeros (see
    ``repaired``), what rounding costs is all that is added to what they cost.
    """
    factor = moments.factor(damping)
    scale = fitted_scale(weight, moments.hessian.diagonal() + moments.damping)
    # A sweep's result is inputs x outputs in memory already, and then no other copy is made.
    work = weight.t().contiguous()

    def inside(start: int, stop: int) -> torch.Tensor:
        keep = (~zero[:, start:stop]).t().to(work.dtype)
        return settle(work[start:stop], factor[start:stop, start:stop], keep, scale)

    sweep(work, factor, edges(len(work), 1), inside)
    return work.t(), scale
