"""Least squares on the kept weights: the zeros stay where they are. Imports torch."""

from __future__ import annotations

import torch

from aerogel.prune.hessian import Moments

ITERATIONS = 24


def repaired(
    weight: torch.Tensor, target: torch.Tensor, zero: torch.Tensor, moments: Moments, damping: float
) -> torch.Tensor:
    """The V [outputs, inputs], zero where ``zero`` is set, that brings V x closest to ``target`` x over the
    calibration data (and V, a little, to ``target``), by conjugate gradients from ``weight`` on.

    Rows are independent: each has its own step. Preconditioned by the diagonal, so that an input
    far larger than the others does not slow them down.
    """
    hessian = moments.hessian
    ridge = moments.damping or damping * float(hessian.diagonal().mean()) or 1.0
    inverse = 1 / (hessian.diagonal() + ridge)
    keep = (~zero).to(weight.dtype)

    def product(v: torch.Tensor) -> torch.Tensor:
        return (v @ hessian).add_(v, alpha=ridge).mul_(keep)

    found = weight * keep
    residual = product(target - found)
    direction = residual * inverse
    power = (residual * direction).sum(1, keepdim=True)
    for _ in range(ITERATIONS):
        turned = product(direction)
        curvature = (direction * turned).sum(1, keepdim=True)
        step = torch.where(curvature > 0, power / curvature, 0.0)
        found += step * direction
        residual -= step * turned
        scaled = residual * inverse
        after = (residual * scaled).sum(1, keepdim=True)
        direction = scaled + torch.where(power > 0, after / power, 0.0) * direction
        power = after
    return found.masked_fill_(zero, 0.0)
