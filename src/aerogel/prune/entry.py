"""Prune a torch model: measure importance, choose, set to zero, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, MissingDependencyError, require
from aerogel.prune.magnitude import magnitude
from aerogel.prune.pattern import pattern_named
from aerogel.prune.report import LayerReport, PruneReport, PruneResult
from aerogel.prune.select import checked_scope, checked_sparsity, select

if TYPE_CHECKING:
    import torch

    from aerogel.prune.layers import LayerChoice

METHODS = {"magnitude": magnitude}


def prune(
    model: torch.nn.Module,
    sparsity: float,
    *,
    pattern: str = "unstructured",
    method: str = "magnitude",
    scope: str = "layer",
    layers: LayerChoice | None = None,
    inplace: bool = False,
) -> PruneResult:
    """Set exactly ``round(sparsity * units)`` units of the linear layers' weights to zero.

    ``pattern``: ``unstructured`` (a unit is one weight), ``block2x1`` or ``block4x1`` (2 or 4 consecutive
    outputs share an input's fate). ``scope``: that many of each layer (``layer``), or of all together
    (``global``). The least important units go; zeros of either sign are least of all; equal ones
    go by lowest index, so equal models give equal masks. ``layers``: a regular expression searched in layer
    names, or a predicate on (name, layer); by default every ``nn.Linear`` but task heads. A tied
    weight or a shared module is pruned once, under its first name. The model given is copied, not changed,
    unless ``inplace``; on an error it is never changed. InputError for unusable arguments or weights.
    """
    try:
        # torch is optional, and slow to import: only pruning itself needs it.
        from aerogel.prune import layers as selection
        from aerogel.prune import weights
    except ModuleNotFoundError as error:
        raise MissingDependencyError('pruning needs torch: pip install "aerogel[torch]"') from error

    module = weights.checked_module(model)
    wanted, units_of, within = checked_sparsity(sparsity), pattern_named(pattern), checked_scope(scope)
    require(method in METHODS, InputError, f"method {method!r} is unknown: choose from {', '.join(METHODS)}")
    target = module if inplace else weights.copied(module)
    chosen = selection.prunable(target, layers)
    saliencies = [METHODS[method](weights.finite_array(layer), units_of) for layer in chosen]
    masks: dict[str, NDArray[np.bool_]] = {}
    reports: list[LayerReport] = []
    for layer, gone in zip(chosen, select(saliencies, wanted, within), strict=True):
        shape = (layer.weight.shape[0], layer.weight.shape[1])
        masks[layer.name] = units_of.spread(~gone, shape)
        zeros = weights.zero_outside(layer, masks[layer.name])
        reports.append(LayerReport(layer.name, shape, gone.size, int(np.count_nonzero(gone)), zeros))
    return PruneResult(target, masks, PruneReport(method, pattern, within, wanted, tuple(reports)))
