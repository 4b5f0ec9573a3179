"""The int8 grid: which scale an output's weights get, and the nearest numbers of the grid. Imports torch."""

from __future__ import annotations

import numpy as np
import torch

from aerogel.model.torch_grid import LARGEST

_SHRUNK = np.linspace(1.0, 0.7, 13)
_SMALLEST = float(torch.finfo(torch.float32).tiny)
_AT_ONCE = 2**20
"""Weights that scales are tried on together: a trial needs some arrays of as many."""


def on_grid(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The nearest whole number of ``scale``, -LARGEST to LARGEST of it; 0 is never -0.0."""
    return (weight / scale).round_().clamp_(-LARGEST, LARGEST).add_(0.0).mul_(scale)


def largest_scale(weight: torch.Tensor) -> torch.Tensor:
    """max |w| / LARGEST for each row of ``weight`` [outputs, inputs]: nothing is cut off. 1 for a row of
    zeros; never below the smallest normal number."""
    if not weight.shape[1]:
        return torch.ones(len(weight), dtype=torch.float32, device=weight.device)
    most = weight.abs().amax(1)
    return torch.where(most > 0, (most / LARGEST).clamp_min(_SMALLEST), 1.0)


def fitted_scale(weight: torch.Tensor, worth: torch.Tensor | None = None) -> torch.Tensor:
    """``largest_scale``, or as little as 0.7 of it where the row, rounded so, is then closer to itself: by
    the sum of squares, each input's times ``worth`` [inputs], if that is given."""
    rows = max(1, _AT_ONCE // max(1, weight.shape[1]))
    parts = [_fitted(part, worth) for part in weight.split(rows)]
    return torch.cat(parts) if parts else largest_scale(weight)


def _fitted(weight: torch.Tensor, worth: torch.Tensor | None) -> torch.Tensor:
    scale = largest_scale(weight)
    best, least = scale, torch.full_like(scale, torch.inf)
    for share in _SHRUNK:
        trial = (scale * float(share)).clamp_min_(_SMALLEST)
        errors = (on_grid(weight, trial[:, None]) - weight).square_()
        error = errors.sum(1) if worth is None else errors @ worth
        better = error < least
        best, least = torch.where(better, trial, best), torch.where(better, error, least)
    # A row of zeros is as good on any grid; equal models give equal grids.
    return torch.where(weight.any(1), best, scale)
