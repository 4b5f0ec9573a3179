"""How much of each layer goes: one share for all, a map by name, or by outliers (OWL). Imports torch."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.prune.batches import Call
from aerogel.prune.hessian import tokens
from aerogel.prune.imitation import distance, view
from aerogel.prune.layers import Layer
from aerogel.prune.select import checked_sparsity, pruned_count, smallest
from aerogel.prune.watch import fed, run_watched

BUDGETS = ("uniform", "owl", "sensitivity")
OUTLIER = 5.0
REACH = 0.08
SAMPLE = 1024
FURTHEST = 0.2
"""OWL's M and lambda: a score over M times its layer's mean is an outlier; no share is further than
lambda from the mean."""


def checked_map(sparsity: Mapping[Any, Any], layers: Sequence[Layer]) -> dict[str, float]:
    """The share of each layer that a key of ``sparsity``, a regular expression searched in layer names,
    finds; the first key that finds it counts, and layers that none finds are not pruned.

    InputError for a key that finds no layer, or a share outside [0, 1].
    """
    names = [_module_name(layer) for layer in layers]
    found: dict[str, float] = {}
    for key, share in sparsity.items():
        require(isinstance(key, str), InputError, f"sparsity key {key!r} is no text: name layers")
        try:
            pattern = re.compile(key)
        except re.error as error:
            raise InputError(f"sparsity key {key!r} is not a regular expression: {error}") from error
        hits = [layer.name for layer, name in zip(layers, names, strict=True) if pattern.search(name)]
        require(hits, InputError, f"sparsity names {key!r}, which is no layer's: {_meant(key, names)}")
        value = checked_sparsity(share)
        for hit in hits:
            found.setdefault(hit, value)
    require(found, InputError, "sparsity is an empty map: name at least one layer")
    return found


def owl(
    model: torch.nn.Module,
    layers: Sequence[Layer],
    calls: Sequence[Call],
    sparsity: float,
    units: Sequence[int],
) -> dict[str, float]:
    """Outlier-weighed shares (Yin et al. 2024): the more of a layer's scores |w| |x| are outliers, the less
    of it goes; weighed by their ``units``: in all ``round(sparsity * units)`` go.
    One pass of the data."""
    squares = _input_squares(model, layers, calls)
    outliers = np.zeros(len(layers))
    for i, layer in enumerate(layers):
        if layer.name in squares and layer.weight.numel():
            scores = layer.weight.detach().float().abs() * squares[layer.name].sqrt().float()
            outliers[i] = float((scores > OUTLIER * scores.mean()).float().mean())
    spread = float(outliers.max() - outliers.min())
    kept_more = (outliers - outliers.min()) * (2 * REACH / spread) if spread > 0 else outliers
    return dict(zip((layer.name for layer in layers), exact(sparsity, -kept_more, units), strict=True))


def sensitivity(
    model: torch.nn.Module,
    layers: Sequence[Layer],
    calls: Sequence[Call],
    sparsity: float,
    units: Sequence[int],
) -> dict[str, float]:
    """More of layers without which the model's output changes little, in all ``round(sparsity * units)``.

    Measured: each layer alone is cut to ``sparsity`` by |w| |x|, on about SAMPLE tokens. What a layer
    costs is taken to double with each tenth more of it that goes, so that shares differ as the logarithm of
    the cost of a unit; none is further than FURTHEST from the mean.
    """
    squares = _input_squares(model, layers, calls)
    sample = _sample(calls)
    dense = [view(model, call, ()) for call in sample]
    costs = np.zeros(len(layers))
    for i, layer in enumerate(layers):
        if layer.name not in squares or not layer.weight.numel():
            continue
        kept = layer.weight.detach().clone()
        scores = kept.float().abs() * squares[layer.name].sqrt().float()
        gone = smallest(scores.cpu().numpy(), pruned_count(max(sparsity, 0.1), kept.numel()))
        layer.weight.masked_fill_(torch.from_numpy(gone).to(kept.device), 0.0)
        pairs = zip(sample, dense, strict=True)
        costs[i] = sum(float(distance(view(model, c, ()), d, c.mask)) for c, d in pairs) / units[i]
        layer.weight.copy_(kept)
    # What the data never reaches, or never matters, is as cheap as the cheapest.
    known = np.log2(np.maximum(costs, costs[costs > 0].min())) if (costs > 0).any() else costs
    offsets = np.clip(0.1 * (np.average(known, weights=units) - known), -FURTHEST, FURTHEST)
    return dict(zip((layer.name for layer in layers), exact(sparsity, offsets, units), strict=True))


def _sample(calls: Sequence[Call]) -> list[Call]:
    """Calls from all over the data, of SAMPLE tokens together or a little more."""
    found: list[Call] = []
    tokens_found = 0
    for index in np.random.default_rng(0).permutation(len(calls)):
        call = calls[int(index)]
        found.append(call)
        tokens_found += int(call.mask.sum()) if call.mask is not None else len(found) * SAMPLE
        if tokens_found >= SAMPLE:
            break
    return found


def exact(sparsity: float, offsets: NDArray[np.float64], units: Sequence[int]) -> list[float]:
    """Shares that differ as ``offsets`` do, as far as [0, 1] allows, such that of all ``units`` exactly
    ``round(sparsity * units)`` go; each share is a whole number of its layer's units."""
    sizes = np.array(units, np.float64)
    centred = sparsity + offsets - offsets.mean()
    low, high = -2.0 - np.ptp(offsets), 2.0 + np.ptp(offsets)
    for _ in range(80):
        middle = (low + high) / 2
        above = (np.clip(centred + middle, 0, 1) * sizes).sum() > sparsity * sizes.sum()
        low, high = (low, middle) if above else (middle, high)
    wanted = np.clip(centred + low, 0, 1) * sizes
    # Rounded sums, not sums of what is rounded: the last of them is the whole.
    ends = [*np.round(np.cumsum(wanted)[:-1], 0), round(sparsity * sum(units))]
    counts = np.diff([0.0, *ends])
    return [float(np.clip(c / n, 0, 1)) if n else 0.0 for c, n in zip(counts, units, strict=True)]


def _input_squares(
    model: torch.nn.Module, layers: Sequence[Layer], calls: Sequence[Call]
) -> dict[str, torch.Tensor]:
    """By layer, the sum over tokens of its inputs squared."""
    owner = {id(module): layer.name for layer in layers for module in layer.uses}
    squares: dict[str, torch.Tensor] = {}
    for call in calls:

        def seen(
            module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], mask: Any = call.mask
        ) -> bool:
            name, rows = owner[id(module)], tokens(fed(args, kwargs), mask)
            squares[name] = squares.get(name, 0) + rows.square().sum(0, dtype=torch.float64)
            return False

        run_watched(model, call, [m for layer in layers for m in layer.uses], seen)
    return squares


def _module_name(layer: Layer) -> str:
    return layer.name.removesuffix("weight").removesuffix(".")


def _meant(key: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"layers are {', '.join(map(repr, names[:4]))}, ..."
