"""From the last input of a layer to the first, what is lost with each is made up for by those before it.
Imports torch.

(H + d I)^-1 = M^T M, M lower triangular. The first j inputs alone have M's first j rows and columns. So when
input j changes by -w, the best the inputs before it can do is to change by -w / M_jj times M's row j.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from aerogel.prune.grid import on_grid

BLOCK = 128

Inside = Callable[[int, int], torch.Tensor]
"""Settles the inputs from start to stop, in place, and returns their losses w / M_jj, [inputs, outputs]."""


def edges(inputs: int, group: int) -> list[tuple[int, int]]:
    """Blocks of at most BLOCK inputs, or one group if that is more, from the last to the first; ``group``
    consecutive inputs, counted from the first of all, are never parted."""
    groups, step = -(-inputs // group), max(1, BLOCK // group)
    bounds = [(max(0, stop - step), stop) for stop in range(groups, 0, -step)]
    return [(a * group, min(inputs, b * group)) for a, b in bounds]


def sweep(weight: torch.Tensor, factor: torch.Tensor, blocks: list[tuple[int, int]], inside: Inside) -> None:
    """``weight`` [inputs, outputs], changed in place: ``inside`` settles each block, whose losses are then
    spread over all inputs before it at once. ``factor``: M."""
    for start, stop in blocks:
        lost = inside(start, stop)
        weight[:start].addmm_(factor[start:stop, :start].t(), lost, alpha=-1)


def settle(
    block: torch.Tensor, factor: torch.Tensor, keep: torch.Tensor, scale: torch.Tensor | None = None
) -> torch.Tensor:
    """``block`` [inputs, outputs], in place: zeroed where ``keep`` is 0, and what is kept rounded to whole
    numbers of ``scale`` [outputs], if that is given, see ``on_grid``. The losses."""
    lost = torch.empty_like(block)
    inverse = factor.diagonal().reciprocal()
    for j in range(len(block) - 1, -1, -1):
        row = block[j]
        settled = row * keep[j] if scale is None else on_grid(row, scale) * keep[j]
        torch.mul(row - settled, inverse[j], out=lost[j])
        block[j] = settled
        if j:
            block[:j].addr_(factor[j, :j], lost[j], alpha=-1)
    # Times 0.0 leaves -0.0 where a weight was negative.
    block.masked_fill_(block == 0, 0.0)
    return lost
