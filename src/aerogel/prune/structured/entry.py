"""Make a model smaller: trace, score, choose, cut, and check that it computes the same. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree as pytree

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.prune import weights
from aerogel.prune.batches import Call, calls_of
from aerogel.prune.select import checked_sparsity, pruned_count, smallest
from aerogel.prune.structured import score
from aerogel.prune.structured.attributes import GUESSES, Guess, follow_cuts
from aerogel.prune.structured.families import Family, Kind, families
from aerogel.prune.structured.report import KeptWhole, RemovedUnits, StructuredReport, StructuredResult
from aerogel.prune.structured.shrink import masked, removed, shrink
from aerogel.prune.structured.trace import trace
from aerogel.prune.watch import observed

Importance = Literal["magnitude", "taylor"]
Chosen = list[tuple[Family, NDArray[np.bool_]]]
"""Families, each with flags of the units that go."""


def remove_units(
    model: torch.nn.Module,
    sparsity: float,
    *,
    pattern: str,
    data: Iterable[Any],
    importance: str = "magnitude",
    layers: str | Callable[[str], bool] | None = None,
    loss: Callable[[Any], torch.Tensor] | None = None,
) -> StructuredResult:
    """A smaller copy of ``model``, without ``round(sparsity * units)`` units of each family; one stays.

    ``pattern``: what a unit is. ``channel``: of convolutions, with all norms and layers along its way;
    ``head``: a head of attention (with grouped queries: a head of keys and values, and its queries);
    ``neuron``: an output of a linear layer that only other linear layers read.
    ``data``: batches as ``prune`` takes them; the model is followed on the first, and must be able to run it.
    ``importance``: ``magnitude``, the 2-norm of all weights of a unit; ``taylor``, how much, to first order,
    the outputs on ``data`` change without it, or ``loss`` (outputs to one number) where it is given.
    ``layers``: a regular expression searched in, or a predicate on, the name of the layer that makes a unit.

    What the smaller model computes is what the dense one does with the removed units' weights zero, up to the
    order in which sums are rounded; this is checked on the first batch, and families that fail stay whole.
    InputError for unusable arguments, weights or data; UnsupportedError where nothing can be removed, which
    says why for each layer.
    """
    module, share = weights.checked_module(model), checked_sparsity(sparsity)
    known = get_args(Kind)
    require(pattern in known, InputError, f"pattern {pattern!r} removes no units: choose from {known}")
    kinds = get_args(Importance)
    told = f"importance {importance!r} is unknown for {pattern}s: choose from {', '.join(kinds)}"
    require(importance in kinds, InputError, told)
    _require_finite(module)
    calls = calls_of(module, data)
    with observed(module):
        tracing = trace(module, calls[0])
        found, refused = families(module, tracing)
        kept = [KeptWhole(r.name, r.reason) for r in refused]
        takes = _predicate(layers)
        found = [family for family in found if family.kind == pattern and takes(family.name)]
        require(found, UnsupportedError, _nothing_found(module, pattern, kept))
        scores = _scores(module, found, calls, importance, loss)
        chosen: Chosen = []
        for family, worth in zip(found, scores, strict=True):
            require(np.isfinite(worth).all(), InputError, f"{family.name}: an importance is not finite")
            count = min(pruned_count(share, family.units), family.units - 1)
            chosen.append((family, smallest(worth, count)))
        attempt = _fitting(module, calls[0], chosen)
    kept += attempt.failed
    done = (RemovedUnits(f.name, f.kind, f.units, int(gone.sum()), f.weights) for f, gone in attempt.chosen)
    sizes = _parameters(module), _parameters(attempt.model)
    report = StructuredReport(
        pattern, importance, share, tuple(done), tuple(kept), *sizes, attempt.difference
    )
    return StructuredResult(attempt.model, _masks(module, attempt.chosen), report)


def _masks(module: torch.nn.Module, chosen: Chosen) -> dict[str, NDArray[np.bool_]]:
    masks: dict[str, NDArray[np.bool_]] = {}
    parameters = dict(module.named_parameters())
    for (name, axis), indices in removed(chosen).items():
        if name in parameters:
            mask = masks.setdefault(name, np.ones(tuple(parameters[name].shape), np.bool_))
            np.moveaxis(mask, axis, 0)[indices] = False
    return masks


def _scores(
    module: torch.nn.Module,
    found: Sequence[Family],
    calls: Sequence[Call],
    importance: str,
    loss: Callable[[Any], torch.Tensor] | None,
) -> list[score.Scores]:
    if importance == "taylor":
        return score.taylor(module, found, calls, loss)
    parameters = dict(module.named_parameters())
    return [score.magnitude(family, parameters) for family in found]


@dataclass
class _Attempt:
    model: torch.nn.Module
    chosen: Chosen
    difference: float
    failed: list[KeptWhole] = field(default_factory=list[KeptWhole])


def _fitting(module: torch.nn.Module, call: Call, chosen: Chosen) -> _Attempt:
    """Cut; should the whole not compute the same, cut family by family, leaving whole those that fail."""
    told = ""
    for guess in GUESSES:
        made = _cut(module, call, [(chosen, guess)])
        if not isinstance(made, str):
            return _Attempt(made[0], chosen, made[1])
        told = told or made
    good: list[tuple[Chosen, Guess]] = []
    failed: list[KeptWhole] = []
    for family in chosen:
        reasons = [_cut(module, call, [([family], guess)]) for guess in GUESSES]
        fits = next((g for g, r in zip(GUESSES, reasons, strict=True) if not isinstance(r, str)), None)
        if fits is None:
            failed.append(KeptWhole(family[0].name, f"cut, the model no longer fits together: {reasons[0]}"))
        else:
            good.append(([family], fits))
    made = _cut(module, call, good) if good else told
    if isinstance(made, str):
        raise UnsupportedError(f"{type(module).__name__} cannot be cut: {made}: set layers=, or cut by hand")
    return _Attempt(made[0], [pair for part, _ in good for pair in part], made[1], failed)


def _cut(
    module: torch.nn.Module, call: Call, parts: Sequence[tuple[Chosen, Guess]]
) -> tuple[torch.nn.Module, float] | str:
    """A smaller copy and how far it is from the masked dense model, relative; or why it is not that."""
    chosen = [pair for part, _ in parts for pair in part]
    cuts = removed(chosen)
    dense = weights.copied(module)
    masked(dense, cuts)
    smaller = weights.copied(module)
    for part, guess in parts:
        follow_cuts(smaller, part, guess)
    smaller = shrink(smaller, cuts)
    with observed(dense, smaller):
        wanted = _tensors(call.run(dense))
        try:
            got = _tensors(call.run(smaller))
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
            return str(error).splitlines()[0]
    if [t.shape for t in wanted] != [t.shape for t in got]:
        return "its outputs have other shapes"
    difference = max((_relative(g, w) for g, w in zip(got, wanted, strict=True)), default=0.0)
    if not difference <= _tolerance(wanted):
        return f"its outputs are off by {difference:.2g} of the largest"
    return smaller, difference


def _tensors(out: object) -> list[torch.Tensor]:
    leaves = pytree.tree_leaves(dict(out) if isinstance(out, dict) else out)
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


def _relative(got: torch.Tensor, wanted: torch.Tensor) -> float:
    if not wanted.numel():
        return 0.0
    wide = torch.float64
    scale = float(wanted.to(wide).abs().max()) or 1.0
    return float((got.to(wide) - wanted.to(wide)).abs().max()) / scale


def _tolerance(outputs: Sequence[torch.Tensor]) -> float:
    """What the order of sums may change; narrower types round more."""
    widest = {torch.float64: 1e-9, torch.float32: 1e-3}
    return max((widest.get(t.dtype, 5e-2) for t in outputs if t.is_floating_point()), default=0.0)


def _predicate(layers: str | Callable[[str], bool] | None) -> Callable[[str], bool]:
    if layers is None:
        return lambda _: True
    if isinstance(layers, str):
        import re

        try:
            pattern = re.compile(layers)
        except re.error as error:
            raise InputError(f"layers={layers!r} is not a regular expression: {error}") from error
        return lambda name: pattern.search(name) is not None
    require(callable(layers), InputError, f"layers is {layers!r}: give a regular expression or a predicate")
    return layers


def _require_finite(module: torch.nn.Module) -> None:
    for name, parameter in module.named_parameters():
        finite = parameter.is_meta or bool(torch.isfinite(parameter).all())
        require(finite, InputError, f"parameter {name!r} has non-finite values: repair it first")
        require(not parameter.is_meta, InputError, f"parameter {name!r} is on the meta device: load it first")


def _nothing_found(module: torch.nn.Module, pattern: str, kept: Sequence[KeptWhole]) -> str:
    shown = "; ".join(f"{k.name}: {k.reason}" for k in kept[:6]) + ("; ..." if len(kept) > 6 else "")
    return f"no {pattern} can be removed from {type(module).__name__} ({shown or 'no layer was followed'})"


def _parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
