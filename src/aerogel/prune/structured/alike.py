"""Do two models compute the same, up to the order in which sums are rounded? Imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils import _pytree as pytree

from aerogel.prune.batches import Call
from aerogel.prune.watch import observed


def outputs(model: torch.nn.Module, call: Call) -> list[torch.Tensor]:
    """The tensors that ``model`` makes of ``call``, as in use."""
    with observed(model):
        out = call.run(model)
    leaves = pytree.tree_leaves(dict(out) if isinstance(out, dict) else out)
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


def difference(model: torch.nn.Module, call: Call, wanted: Sequence[torch.Tensor]) -> float | str:
    """How far ``model`` is from the outputs ``wanted``, relative to the largest; or why they differ."""
    try:
        got = outputs(model, call)
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
        return str(error).splitlines()[0]
    if [t.shape for t in wanted] != [t.shape for t in got]:
        return "its outputs have other shapes"
    found = max((_relative(g, w) for g, w in zip(got, wanted, strict=True)), default=0.0)
    if not found <= _tolerance(wanted):
        return f"its outputs are off by {found:.2g} of the largest"
    return found


def _relative(got: torch.Tensor, wanted: torch.Tensor) -> float:
    if not wanted.numel():
        return 0.0
    wide = torch.float64
    scale = float(wanted.to(wide).abs().max()) or 1.0
    return float((got.to(wide) - wanted.to(wide)).abs().max()) / scale


def _tolerance(wanted: Sequence[torch.Tensor]) -> float:
    """What the order of sums may change; narrower types round more."""
    widest = {torch.float64: 1e-9, torch.float32: 1e-3}
    return max((widest.get(t.dtype, 5e-2) for t in wanted if t.is_floating_point()), default=0.0)
