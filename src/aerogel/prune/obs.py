"""Optimal brain surgeon, column by column (SparseGPT, Frantar and Alistarh 2023). Imports torch.

Inputs are decided from the last to the first, 128 at a time: those units go whose removal, after the inputs
not yet decided have made up for it, costs least: w^2 / M_jj^2 for a weight, where (H + d I)^-1 = M^T M, and
for a unit of several inputs w^T (T^T T)^-1 w, T the part of M that is theirs alone. What is lost by zeroing
w is spread over the inputs still to come, first inside the block, then over all of them at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.prune.problem import Problem, Solution, spread
from aerogel.prune.select import smallest
from aerogel.prune.subset import Groups
from aerogel.prune.sweep import edges, settle, sweep

_DEAD = 1e-10


def sparsegpt(problem: Problem) -> Solution:
    """Exactly ``problem.budget`` units go: in each block of inputs its share, the cheapest over all outputs;
    equal ones by lowest index. By N:M the cheapest set of each group, found as the sweep gets there."""
    factor = problem.moments.factor(problem.damping)
    # Inputs x outputs: all that happens to one input is then contiguous.
    weight = problem.weight.t().clone(memory_format=torch.contiguous_format)
    chooser = (
        _Groups(problem, factor, weight) if problem.pattern.kept_of else _Blocks(problem, factor, weight)
    )
    sweep(weight, factor, chooser.blocks, chooser.inside)
    return Solution(weight.t(), chooser.gone)


def swept(problem: Problem, gone: NDArray[np.bool_]) -> Solution:
    """The units ``gone`` go, whoever chose them, and each is made up for as above."""
    factor = problem.moments.factor(problem.damping)
    weight = problem.weight.t().clone(memory_format=torch.contiguous_format)
    zero = spread(problem, gone)

    def inside(start: int, stop: int) -> torch.Tensor:
        keep = (~zero[:, start:stop]).t().to(weight.dtype)
        return settle(weight[start:stop], factor[start:stop, start:stop], keep)

    sweep(weight, factor, edges(len(weight), 1), inside)
    return Solution(weight.t(), gone)


def by_surgeon(problem: Problem) -> NDArray[np.floating[Any]]:
    """Saliency of each unit on its own, all other inputs free to make up for it (Hassibi and Stork 1993):
    w^T (V_SS)^-1 w with V = (H + d I)^-1 and S the unit's inputs, summed over its outputs."""
    factor, width = problem.moments.factor(problem.damping), problem.pattern.columns
    weight = problem.weight
    inputs = weight.shape[1]
    if width == 1:
        costs = weight.square() / factor.square().sum(0)
    else:
        costs = torch.empty_like(weight)
        for start in range(0, inputs, width):
            part = factor[:, start : start + width]
            own = weight[:, start : start + width]
            costs[:, start : start + width] = torch.linalg.solve(part.t() @ part, own.t()).t() * own
    diagonal = problem.moments.hessian.diagonal()
    # The damping pretends that an input that is never there were there a little.
    worth = torch.where(diagonal <= _DEAD * diagonal.mean(), _DEAD, 1.0)
    # Each part of a sum may be a little below 0; the sums are not, but for rounding.
    return np.maximum(problem.ranked(costs * worth), 0)


class _Chooser:
    """``gone``: flags per unit, of the blocks settled so far; ``blocks``: those to settle."""

    def __init__(self, problem: Problem, factor: torch.Tensor, weight: torch.Tensor) -> None:
        self._problem, self._factor, self._weight = problem, factor, weight
        spread_of = problem.moments.hessian.diagonal()
        # Nothing is lost with an input that is never there; the damping pretends that there were a little.
        self._worth = torch.where(spread_of <= _DEAD * spread_of.mean(), _DEAD, 1.0)
        self._frozen = problem.frozen_units()
        self.gone = np.zeros(self._frozen.shape, np.bool_)
        self.blocks = edges(problem.shape[1], problem.pattern.group)


class _Blocks(_Chooser):
    """All units of a block of inputs compete."""

    def __init__(self, problem: Problem, factor: torch.Tensor, weight: torch.Tensor) -> None:
        super().__init__(problem, factor, weight)
        held = [self._frozen[:, self._units(a, b)] for a, b in self.blocks]
        counts = _shares(problem.budget(int(self._frozen.sum())), held)
        self._counts = dict(zip(self.blocks, counts, strict=True))

    def _units(self, start: int, stop: int) -> slice:
        width = self._problem.pattern.columns
        return slice(start // width, -(-stop // width))

    def inside(self, start: int, stop: int) -> torch.Tensor:
        problem, units = self._problem, self._units(start, stop)
        block, factor = self._weight[start:stop], self._factor[start:stop, start:stop]
        scores = _costs(block, factor, problem.pattern.columns).mul_(self._worth[start:stop, None])
        ranked = problem.ranked(scores.t())
        ranked[self._frozen[:, units]] = -1
        self.gone[:, units] = smallest(ranked, self._counts[start, stop])
        part = Problem(problem.weight[:, start:stop], problem.frozen[:, start:stop], problem.moments,
                       problem.pattern, problem.sparsity)  # fmt: skip
        zero = spread(part, self.gone[:, units]).t()
        return settle(block, factor, (~zero).to(block.dtype))


class _Groups(_Chooser):
    """Of each output's M consecutive inputs the cheapest set goes that is large enough."""

    def inside(self, start: int, stop: int) -> torch.Tensor:
        kept, of = self._problem.pattern.kept_of or (1, 1)
        lost = torch.empty_like(self._weight[start:stop])
        for left in range((stop - 1) // of * of, start - 1, -of):
            right = min(left + of, stop)
            group, factor = self._weight[left:right], self._factor[left:right, left:right]
            frozen = torch.from_numpy(self._frozen[:, left:right]).to(group.device)
            worth = self._worth[left:right].sqrt()
            sets = Groups(factor, right - left - kept)
            zero = sets.cheapest(group.t() * worth, frozen)
            self.gone[:, left:right] = zero.cpu().numpy()
            losses = sets.zero(group, zero)
            self._weight[start:left].addmm_(self._factor[left:right, start:left].t(), losses, alpha=-1)
            lost[left - start : right - start] = losses
        return lost


def _costs(block: torch.Tensor, factor: torch.Tensor, width: int) -> torch.Tensor:
    """[inputs, outputs]: what each input's weight costs, those behind it in its unit of ``width`` inputs gone
    and made up for; over a unit they add up to w^T (T^T T)^-1 w = |T^-T w|^2. ``factor``: the block's."""
    if width == 1:
        return (block / factor.diagonal()[:, None]).square_()
    inputs, outputs = block.shape
    missing = -inputs % width
    whole = torch.eye(inputs + missing, dtype=factor.dtype, device=factor.device)
    whole[:inputs, :inputs] = factor
    groups = len(whole) // width
    own = whole.reshape(groups, width, groups, width).diagonal(dim1=0, dim2=2).permute(2, 0, 1)
    weights = torch.nn.functional.pad(block, (0, 0, 0, missing)).reshape(groups, width, outputs)
    lost = torch.linalg.solve_triangular(own.mT, weights, upper=True)
    return lost.square_().reshape(-1, outputs)[:inputs]


def _shares(total: int, frozen: list[NDArray[np.bool_]]) -> list[int]:
    """``total`` over blocks: to each its frozen units, and of the rest in proportion to its other units."""
    held = [int(f.sum()) for f in frozen]
    free = [f.size - h for f, h in zip(frozen, held, strict=True)]
    rest, units = total - sum(held), max(1, sum(free))
    ends = np.cumsum([0, *free])
    # Rounded sums, not sums of what is rounded: so the shares add up, and none exceeds its block.
    cuts = [(2 * rest * int(end) + units) // (2 * units) for end in ends]
    return [h + b - a for h, a, b in zip(held, cuts, cuts[1:], strict=False)]
