"""Which weights of a small group go together: their joint cost, not the sum of their own. Imports torch."""

from __future__ import annotations

from itertools import combinations
from math import comb

import torch

MOST_SETS = 100
"""More sets than these are not tried one by one."""
_AT_ONCE = 2**22


class Groups:
    """Sets of ``drop`` of a group's m inputs (none, if that is not positive). ``factor``: T, [m, m] lower
    triangular: T^T T is the part of (H + d I)^-1 that is the group's, once the inputs behind it are settled.

    To zero the set S costs w_S^T ((T^T T)_SS)^-1 w_S (Hassibi and Stork 1993, for several weights at once):
    the least over all sets where there are at most MOST_SETS, else the cheapest weights one by one. All other
    weights, of the group and before it, then change by -(H + d I)^-1_S ((T^T T)_SS)^-1 w_S.
    """

    def __init__(self, factor: torch.Tensor, drop: int) -> None:
        self._drop, self._factor = max(0, drop), factor
        self._inverse = (factor.T.double() @ factor.double()).to(factor.dtype)
        few = 0 < self._drop and comb(len(factor), self._drop) <= MOST_SETS
        self._sets = list(combinations(range(len(factor)), self._drop)) if few else []

    def cheapest(self, weight: torch.Tensor, frozen: torch.Tensor) -> torch.Tensor:
        """Flags [outputs, m] of what goes, of ``weight`` [outputs, m]: ``frozen`` weights and, with them,
        ``drop``, or more where more are frozen. Equal sets go by lowest index."""
        if not self._drop:
            return frozen.clone()
        held = frozen.sum(1)
        chosen = self._joint(weight, frozen) if self._sets else self._single(weight, frozen)
        return torch.where((held >= self._drop)[:, None], frozen, chosen)

    def _joint(self, weight: torch.Tensor, frozen: torch.Tensor) -> torch.Tensor:
        sets = torch.tensor(self._sets, device=weight.device)
        parts = self._inverse[sets[:, :, None], sets[:, None, :]]
        theirs = weight[:, sets].permute(1, 2, 0)  # [sets, drop, outputs]
        costs = (torch.linalg.solve(parts, theirs) * theirs).sum(1).t()
        flags = torch.zeros((len(sets), weight.shape[1]), dtype=torch.bool, device=weight.device)
        flags.scatter_(1, sets, value=True)
        # A set without a weight that goes anyhow is none of those to choose from.
        without = (frozen[:, None, :] & ~flags).any(2)
        return flags[costs.masked_fill_(without, torch.inf).argmin(1)]

    def _single(self, weight: torch.Tensor, frozen: torch.Tensor) -> torch.Tensor:
        costs = (weight.square() / self._inverse.diagonal()).masked_fill_(frozen, -1.0)
        least = costs.argsort(dim=1, stable=True)[:, : self._drop]
        return torch.zeros_like(frozen).scatter_(1, least, value=True)

    def zero(self, weight: torch.Tensor, flags: torch.Tensor) -> torch.Tensor:
        """``weight`` [m, outputs], in place: zero where ``flags`` [outputs, m], the rest of the group made to
        make up for it. The losses [m, outputs], to be spread over the inputs before as ``sweep`` does."""
        width, outputs = weight.shape
        held = torch.zeros_like(weight)
        eye = torch.eye(width, dtype=weight.dtype, device=weight.device)
        for rows in torch.arange(outputs, device=weight.device).split(max(1, _AT_ONCE // width**2)):
            gone = flags[rows]
            both = gone[:, :, None] & gone[:, None, :]
            # Where nothing goes the equation is y = 0.
            part = torch.where(both, self._inverse, eye)
            wanted = weight[:, rows].t().masked_fill(~gone, 0.0)
            held[:, rows] = torch.linalg.solve(part, wanted).t()
        lost = self._factor @ held
        weight.sub_(self._factor.t() @ lost).masked_fill_(flags.t(), 0.0)
        return lost
