"""How much of each layer goes: a map by name, or one of ``BUDGETS``. Imports torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.core.suggest import meant
from aerogel.prune.batches import Call
from aerogel.prune.imitation import distance, view
from aerogel.prune.layers import Layer
from aerogel.prune.pattern import Pattern
from aerogel.prune.select import Saliency, checked_sparsity, pruned_count, select, smallest
from aerogel.prune.unfold import rows_fed
from aerogel.prune.watch import fed, run_watched

OUTLIER = 5.0
REACH = 0.08
"""OWL's M and lambda: a score over M times its layer's mean is an outlier; no share is further than
lambda from the mean."""
SAMPLE = 1024
FURTHEST = 0.2


@dataclass(frozen=True)
class Question:
    """``model``, unpruned, and ``layers`` of it; ``calls``: None without data; ``sparsity``: what share of
    all units shall go, 0 where the budget itself says it; ``units`` of each layer by ``pattern``.
    ``saliencies``: those of each layer's units, by name, of the layers that the data reaches; frozen units
    have less than 0.
    """

    model: torch.nn.Module
    layers: Sequence[Layer]
    calls: Sequence[Call] | None
    sparsity: float
    units: Sequence[int]
    pattern: Pattern
    precision: str
    saliencies: Callable[[], dict[str, Saliency]]

    @property
    def data(self) -> Sequence[Call]:
        assert self.calls is not None, "checked by the recipe"
        return self.calls

    def named(self, shares: Sequence[float]) -> dict[str, float]:
        """By name, from shares in the order of the layers."""
        return dict(zip((layer.name for layer in self.layers), shares, strict=True))


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
        if not hits:
            known = f"layers are {', '.join(map(repr, names[:4]))}, ..."
            hint = meant(key, names, known, least=0.5)
            raise InputError(f"sparsity names {key!r}, which is no layer's: {hint}")
        value = checked_sparsity(share)
        for hit in hits:
            found.setdefault(hit, value)
    require(found, InputError, "sparsity is an empty map: name at least one layer")
    return found


def uniform(question: Question) -> dict[str, float]:
    """As much of each."""
    return question.named([question.sparsity] * len(question.layers))


def everywhere(question: Question) -> dict[str, float]:
    """Of each what it has of the least ``round(sparsity * units)`` of all units together, ranked by saliency
    in one list; of layers that the data does not reach as much as of all."""
    found = question.saliencies()
    known = [found.get(layer.name) for layer in question.layers]
    rest = [n for n, s in zip(question.units, known, strict=True) if s is None]
    share = question.sparsity
    left = [s for s in known if s is not None]
    total = sum(s.size for s in left)
    wanted = round(share * sum(question.units)) - sum(pruned_count(share, n) for n in rest)
    flags = iter(select(left, min(1.0, wanted / total) if total else 0.0, "global"))
    counts = [pruned_count(share, n) if s is None else int(np.count_nonzero(next(flags)))
              for n, s in zip(question.units, known, strict=True)]  # fmt: skip
    return question.named(_shares(counts, question.units))


def erk(question: Question) -> dict[str, float]:
    """By the Erdos-Renyi kernel (Evci et al. 2020): a layer is kept in proportion to the sum of its weight's
    dimensions over their product, so small layers more of, but at most whole: in all ``round(sparsity *
    units)`` units go."""
    sizes = np.array(question.units, np.float64)
    raw = np.array([sum(w.shape) / max(1, w.numel()) for w in (layer.weight for layer in question.layers)])
    keep, low, high = (1 - question.sparsity) * sizes.sum(), 0.0, 1 / raw.min()
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if (np.minimum(1, middle * raw) * sizes).sum() < keep else (low, middle)
    wanted = (1 - np.minimum(1, high * raw)) * sizes
    return question.named(_whole(wanted, question.units, round(question.sparsity * sum(question.units))))


def owl(question: Question) -> dict[str, float]:
    """Outlier-weighed shares (Yin et al. 2024): the more of a layer's scores |w| |x| are outliers, the less
    of it goes; weighed by their ``units``: in all ``round(sparsity * units)`` go.
    One pass of the data."""
    squares = _input_squares(question)
    outliers = np.zeros(len(question.layers))
    for i, layer in enumerate(question.layers):
        if layer.name in squares and layer.weight.numel():
            scores = layer.matrix.float().abs() * squares[layer.name].sqrt().float()
            outliers[i] = float((scores > OUTLIER * scores.mean()).float().mean())
    spread = float(outliers.max() - outliers.min())
    kept_more = (outliers - outliers.min()) * (2 * REACH / spread) if spread > 0 else outliers
    return question.named(exact(question.sparsity, -kept_more, question.units))


def sensitivity(question: Question) -> dict[str, float]:
    """More of layers without which the model's output changes little, in all ``round(sparsity * units)``.

    Measured: each layer alone is cut to ``sparsity`` by |w| |x|, on about SAMPLE tokens. What a layer
    costs is taken to double with each tenth more of it that goes, so that shares differ as the logarithm of
    the cost of a unit; none is further than FURTHEST from the mean.
    """
    model, layers, units = question.model, question.layers, question.units
    squares = _input_squares(question)
    sample = _sample(question.data)
    dense = [view(model, call, ()) for call in sample]
    costs = np.zeros(len(layers))
    for i, layer in enumerate(layers):
        if layer.name not in squares or not layer.weight.numel():
            continue
        kept = layer.matrix.clone()
        scores = kept.float().abs() * squares[layer.name].sqrt().float()
        gone = smallest(scores.cpu().numpy(), pruned_count(max(question.sparsity, 0.1), kept.numel()))
        layer.put(kept.masked_fill(torch.from_numpy(gone).to(kept.device), 0.0))
        pairs = zip(sample, dense, strict=True)
        costs[i] = sum(float(distance(view(model, c, ()), d, c.mask)) for c, d in pairs) / units[i]
        layer.put(kept)
    # What the data never reaches, or never matters, is as cheap as the cheapest.
    known = np.log2(np.maximum(costs, costs[costs > 0].min())) if (costs > 0).any() else costs
    offsets = np.clip(0.1 * (np.average(known, weights=units) - known), -FURTHEST, FURTHEST)
    return question.named(exact(question.sparsity, offsets, units))


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
    return _whole(np.clip(centred + low, 0, 1) * sizes, units, round(sparsity * sum(units)))


def _whole(wanted: NDArray[np.float64], units: Sequence[int], total: int) -> list[float]:
    """``wanted`` units of each layer as shares that are whole numbers of units, ``total`` together."""
    # Rounded sums, not sums of what is rounded: the last of them is the whole.
    ends = [*np.round(np.cumsum(wanted)[:-1], 0), total]
    return _shares(np.diff([0.0, *ends]).tolist(), units)


def _shares(counts: Sequence[float], units: Sequence[int]) -> list[float]:
    return [float(np.clip(c / n, 0, 1)) if n else 0.0 for c, n in zip(counts, units, strict=True)]


def _input_squares(question: Question) -> dict[str, torch.Tensor]:
    """By layer, the sum over tokens of its inputs squared."""
    owner = {id(module): layer.name for layer in question.layers for module in layer.uses}
    squares: dict[str, torch.Tensor] = {}
    for call in question.data:

        def seen(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], mask: Any = call.mask) -> bool:
            name = owner[id(module)]
            for rows in rows_fed(module, fed(args, kwargs), mask):
                squares[name] = squares.get(name, 0) + rows.square().sum(0, dtype=torch.float64)
            return False

        run_watched(question.model, call, [m for layer in question.layers for m in layer.uses], seen)
    return squares


def _module_name(layer: Layer) -> str:
    return layer.name.removesuffix("weight").removesuffix(".")


@dataclass(frozen=True, slots=True)
class Budget:
    """``shares``: of each layer's units, by name; ``needs_data``, if the importance does not anyhow;
    ``ranks``: it compares units of different layers, so within a layer all compete, too."""

    shares: Callable[[Question], dict[str, float]]
    needs_data: bool = False
    ranks: bool = False


BUDGETS: dict[str, Budget] = {
    "uniform": Budget(uniform),
    "global": Budget(everywhere, ranks=True),
    "erk": Budget(erk),
    "owl": Budget(owl, needs_data=True),
    "sensitivity": Budget(sensitivity, needs_data=True),
}
"""Beside these there is ``latency:TIME`` and ``latency:SHARE``, see ``latency.LatencyBudget``."""
