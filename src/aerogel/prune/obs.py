"""Optimal brain surgeon, column by column (SparseGPT, Frantar and Alistarh 2023). Imports torch.

Inputs are decided from the last to the first, 128 at a time: those go whose removal, after the inputs not yet
decided have made up for it, costs least: w^2 / M_jj^2, where (H + d I)^-1 = M^T M. What is lost by zeroing
w is spread over the inputs still to come, first inside the block, then over all of them at once.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.prune.problem import Problem, Solution, spread
from aerogel.prune.select import smallest

BLOCK = 128
_DEAD = 1e-10


def sparsegpt(problem: Problem) -> Solution:
    """Exactly ``problem.budget`` units go: in each block of inputs its share, the cheapest over all outputs;
    equal ones by lowest index."""
    factor = problem.moments.factor(problem.damping)
    inputs = problem.shape[1]
    # Inputs x outputs: all that happens to one input is then contiguous.
    weight = problem.weight.t().clone(memory_format=torch.contiguous_format)
    spread_of = problem.moments.hessian.diagonal()
    dead = spread_of <= _DEAD * spread_of.mean()
    frozen = problem.frozen_units()
    gone = np.zeros(frozen.shape, np.bool_)
    edges = [(max(0, stop - BLOCK), stop) for stop in range(inputs, 0, -BLOCK)]
    counts = _shares(problem.budget(int(frozen.sum())), [frozen[:, a:b] for a, b in edges])
    for (start, stop), count in zip(edges, counts, strict=True):
        block = weight[start:stop]
        scores = (block / factor.diagonal()[start:stop, None]).square_().t()
        # Nothing is lost with an input that is never there; the damping pretends that there were a little.
        scores = torch.where(dead[start:stop], scores * _DEAD, scores)
        ranked = problem.unit_sums(scores).cpu().numpy().copy()
        ranked[frozen[:, start:stop]] = -1
        gone[:, start:stop] = smallest(ranked, count)
        part = Problem(problem.weight[:, start:stop], problem.frozen[:, start:stop], problem.moments,
                       problem.pattern, problem.sparsity)  # fmt: skip
        lost = _eliminate(block, factor[start:stop, start:stop], spread(part, gone[:, start:stop]).t())
        weight[:start].addmm_(factor[start:stop, :start].t(), lost, alpha=-1)
    return Solution(weight.t(), gone)


def _eliminate(block: torch.Tensor, factor: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
    """Zero ``block`` [inputs, outputs] where ``zero`` says, in place, each input's loss spread over those
    before it; the losses w / M_jj, [inputs, outputs]."""
    lost = torch.zeros_like(block)
    keep = (~zero).to(block.dtype)
    scale = factor.diagonal().reciprocal()
    for j in range(len(block) - 1, -1, -1):
        torch.mul(block[j], (1 - keep[j]) * scale[j], out=lost[j])
        block[j] *= keep[j]
        if j:
            block[:j].addr_(factor[j, :j], lost[j], alpha=-1)
    # Times 0.0 leaves -0.0 where a weight was negative.
    block.masked_fill_(zero, 0.0)
    return lost


def _shares(total: int, frozen: list[NDArray[np.bool_]]) -> list[int]:
    """``total`` over blocks: to each its frozen units, and of the rest in proportion to its other units."""
    held = [int(f.sum()) for f in frozen]
    free = [f.size - h for f, h in zip(frozen, held, strict=True)]
    rest, units = total - sum(held), max(1, sum(free))
    ends = np.cumsum([0, *free])
    # Rounded sums, not sums of what is rounded: so the shares add up, and none exceeds its block.
    cuts = [(2 * rest * int(end) + units) // (2 * units) for end in ends]
    return [h + b - a for h, a, b in zip(held, cuts, cuts[1:], strict=False)]
