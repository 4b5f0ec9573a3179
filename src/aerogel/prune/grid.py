"""The int8 grid of a layer's weights: whole numbers times a scale per output. Imports torch.

A layer on a grid has the persistent buffer ``weight_scale`` [outputs] float32, and its weight is, in float32,
``weight_scale[:, None]`` times whole numbers from -LARGEST to LARGEST.
"""

from __future__ import annotations

import numpy as np
import torch

LARGEST = 127
_SHRUNK = np.linspace(1.0, 0.7, 13)
_SMALLEST = float(torch.finfo(torch.float32).tiny)


def on_grid(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The nearest whole number of ``scale``, -LARGEST to LARGEST of it; 0 is never -0.0."""
    return (weight / scale).round_().clamp_(-LARGEST, LARGEST).add_(0.0).mul_(scale)


def fitted_scale(weight: torch.Tensor, worth: torch.Tensor | None = None) -> torch.Tensor:
    """A scale for each row of ``weight`` [outputs, inputs]: max |w| / LARGEST, or as little as 0.7 of that
    where the row, rounded, is then closer to itself: the sum of squares, each input's times ``worth``.
    1 for a row of zeros; never below the smallest normal number."""
    scale = largest_scale(weight)
    best, least = scale, torch.full_like(scale, torch.inf)
    for share in _SHRUNK:
        trial = (scale * float(share)).clamp_min_(_SMALLEST)
        errors = (on_grid(weight, trial[:, None]) - weight).square_()
        error = errors.sum(1) if worth is None else errors @ worth
        better = error < least
        best, least = torch.where(better, trial, best), torch.where(better, error, least)
    return best


def largest_scale(weight: torch.Tensor) -> torch.Tensor:
    """max |w| / LARGEST of each row; 1 for a row of zeros; never below the smallest normal number."""
    if not weight.shape[1]:
        return torch.ones(len(weight), dtype=torch.float32, device=weight.device)
    most = weight.abs().amax(1)
    return torch.where(most > 0, (most / LARGEST).clamp_min(_SMALLEST), 1.0)
