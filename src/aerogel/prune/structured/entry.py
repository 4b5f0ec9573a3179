"""Make a model smaller: trace, score, choose, cut, and check that it computes the same. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.core.suggest import meant, unknown
from aerogel.prune import weights
from aerogel.prune.batches import Call, calls_of
from aerogel.prune.select import checked_sparsity, pruned_count
from aerogel.prune.structured import score
from aerogel.prune.structured.alike import difference, outputs
from aerogel.prune.structured.attributes import GUESSES, Guess, follow_cuts
from aerogel.prune.structured.choose import Chosen, budget_named
from aerogel.prune.structured.config import Followed, follow_config
from aerogel.prune.structured.families import Family, Kind, families
from aerogel.prune.structured.report import KeptWhole, RemovedUnits, StructuredReport, StructuredResult
from aerogel.prune.structured.shrink import masked, removed, shrink
from aerogel.prune.structured.trace import trace
from aerogel.prune.structured.units import Sizes, Units, changed_sizes, parsed, require_replaceable
from aerogel.prune.watch import observed

Importance = Literal["magnitude", "taylor"]


def remove_units(  # noqa: PLR0913  the public face: every choice by keyword, each with a default
    model: torch.nn.Module,
    sparsity: float | None = None,
    *,
    pattern: str | None = None,
    data: Iterable[Any] | None = None,
    importance: str = "magnitude",
    budget: str = "uniform",
    layers: str | Callable[[str], bool] | None = None,
    loss: Callable[[Any], torch.Tensor] | None = None,
    inplace: bool = False,
    units: Mapping[str, Any] | None = None,
) -> StructuredResult:
    """A smaller copy of ``model``, without ``round(sparsity * units)`` units of each family; one stays.

    ``pattern``: what a unit is. ``channel``: of convolutions, with all norms and layers along its way;
    ``head``: a head of attention (with grouped queries: a head of keys and values, and its queries);
    ``neuron``: an output of a linear layer that only other linear layers read.
    ``data``: batches as ``prune`` takes them; the model is followed on the first, and must be able to run it.
    ``importance``: ``magnitude``, the 2-norm of all weights of a unit; ``taylor``, how much, to first order,
    the outputs on ``data`` change without it, or ``loss`` (outputs to one number) where it is given.
    ``budget``: ``uniform``, or ``global``: ``round(sparsity * units)`` of all families together, the least
    important wherever they are (by magnitude: the root mean square of a unit's weights, as units of different
    layers have not as many), but never a whole layer.
    ``layers``: a regular expression searched in, or a predicate on, the name of the layer that makes a unit.
    ``inplace``: ``model`` itself becomes smaller, once all has been checked; its weights are new tensors, so
    make the optimiser afterwards.
    ``units``: those of an earlier result, to be removed from its dense model (or one wired alike) again, so
    that a ``state_dict`` of the smaller one can be loaded; nothing else is then given, but ``inplace``.

    What the smaller model computes is what the dense one does with the removed units' weights zero, up to the
    order in which sums are rounded; this is checked on the first batch, and families that fail stay whole.
    The configuration of a Hugging Face model follows where it can say what is left; the report says if so.
    InputError for unusable arguments, weights or data; UnsupportedError where nothing can be removed, which
    says why for each layer.
    """
    module = weights.checked_module(model)
    if inplace:
        require_replaceable(module)
    if units is not None:
        alone = sparsity is None and pattern is None and data is None
        require(alone, InputError, "units says what goes: leave sparsity, pattern and data out")
        return _again(module, parsed(units), inplace=inplace)
    asked = _Asked.checked(sparsity, pattern, importance, budget)
    told = "removing units needs data: give data=[batch], to follow the model on"
    require(data is not None, InputError, told)
    _require_finite(module)
    calls = calls_of(module, data)
    with observed(module):
        found, kept = _found(module, calls[0], asked.pattern, _predicate(layers))
        scores = _scores(module, found, calls, asked, loss)
    # Not as observed: the smaller model is as the dense one was, in training or not.
    attempt = _fitting(module, calls[0], budget_named(budget)(found, scores, asked.share))
    followed = follow_config(attempt.model, attempt.chosen, calls[0])
    report = _report(module, asked, attempt, (*kept, *attempt.failed), followed.told)
    record = _record(module, attempt, followed, report)
    masks = record.masks(module)
    smaller = record.cut(module) if inplace else attempt.model
    return StructuredResult(smaller, masks, report, record.to_json())


@dataclass(frozen=True, slots=True)
class _Asked:
    """The choices; ``share``: of the units."""

    share: float
    pattern: str
    importance: str
    budget: str

    @staticmethod
    def checked(sparsity: object, pattern: str | None, importance: str, budget: str) -> _Asked:
        """InputError for a choice that there is not."""
        share, kinds = checked_sparsity(sparsity), get_args(Kind)
        if pattern is None or pattern not in kinds:
            near = meant(str(pattern), kinds, f"choose from {', '.join(kinds)}")
            raise InputError(f"pattern {pattern!r} removes no units: {near}")
        known = get_args(Importance)
        require(importance in known, InputError, unknown(f"importance of {pattern}s", importance, known))
        budget_named(budget)
        return _Asked(share, pattern, importance, budget)


def _found(
    module: torch.nn.Module, call: Call, pattern: str, takes: Callable[[str], bool]
) -> tuple[list[Family], list[KeptWhole]]:
    """The families of this pattern that shall lose units, and what stays whole and why."""
    every, refused = families(module, trace(module, call))
    kept = [KeptWhole(r.name, r.reason) for r in refused]
    found = [family for family in every if family.kind == pattern and takes(family.name)]
    require(found, UnsupportedError, _nothing_found(module, pattern, kept))
    return found, kept


def _scores(
    module: torch.nn.Module,
    found: Sequence[Family],
    calls: Sequence[Call],
    asked: _Asked,
    loss: Callable[[Any], torch.Tensor] | None,
) -> list[score.Scores]:
    """What each unit of each family is worth, so that it can be compared with those it competes with."""
    if asked.importance == "taylor":
        scores = score.taylor(module, found, calls, loss)
    else:
        parameters = dict(module.named_parameters())
        scores = [score.magnitude(family, parameters) for family in found]
    for family, worth in zip(found, scores, strict=True):
        require(np.isfinite(worth).all(), InputError, f"{family.name}: an importance is not finite")
    if asked.importance == "magnitude" and asked.budget == "global":
        counts = [score.weights_per_unit(module, family) for family in found]
        scores = [worth / np.sqrt(count) for worth, count in zip(scores, counts, strict=True)]
    return scores


def _report(
    module: torch.nn.Module, asked: _Asked, attempt: _Attempt, kept: tuple[KeptWhole, ...], reload: str
) -> StructuredReport:
    done = [RemovedUnits(f.name, f.kind, f.units, int(gone.sum()), f.weights) for f, gone in attempt.chosen]
    return StructuredReport(
        pattern=asked.pattern,
        importance=asked.importance,
        requested=asked.share,
        removed=tuple(done),
        kept=kept,
        parameters_before=_parameters(module),
        parameters=_parameters(attempt.model),
        largest_difference=attempt.difference,
        budget=asked.budget,
        reload=reload,
        notes=_notes(done, asked.share, asked.budget),
    )


def _again(module: torch.nn.Module, units: Units, *, inplace: bool) -> StructuredResult:
    """Remove what was removed before."""
    units.check(module)
    masks, before, told = units.masks(module), _parameters(module), units.told
    try:
        gone = tuple(
            RemovedUnits(r["name"], r["kind"], r["units"], r["removed"], tuple(r["weights"]))
            for r in told["removed"]
        )
        asked = told["pattern"], told["importance"], told["requested"]
        last = told["budget"], told["reload"]
    except (KeyError, TypeError) as error:
        raise InputError("units lack what was told of them: give StructuredResult.units") from error
    smaller = units.cut(module if inplace else weights.copied(module))
    report = StructuredReport(*asked, gone, (), before, _parameters(smaller), None, *last)
    return StructuredResult(smaller, masks, report, units.to_json())


def _record(
    module: torch.nn.Module, attempt: _Attempt, followed: Followed, report: StructuredReport
) -> Units:
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    cuts = removed(attempt.chosen)
    lengths = {(name, axis): int(tensors[name].shape[axis]) for name, axis in cuts}
    kept = ("pattern", "importance", "requested", "budget", "reload")
    told = {key: getattr(report, key) for key in kept}
    gone = [asdict(r) | {"weights": list(r.weights)} for r in report.removed]
    sizes = attempt.sizes
    for name, values in followed.sizes.items():
        sizes[name] = sizes.get(name, {}) | values
    return Units(cuts, lengths, sizes, followed.values, told | {"removed": gone})


def _notes(done: Sequence[RemovedUnits], share: float, budget: str) -> tuple[str, ...]:
    """Where more was asked than can go, and where a layer is too small to lose the share that was asked."""
    all_units = sum(r.units for r in done)
    wanted = pruned_count(share, all_units)
    if budget == "global":
        short = wanted - sum(r.removed for r in done)
        return (f"{short} units fewer went than asked: one of each layer stays",) if short > 0 else ()
    held = [r.name for r in done if pruned_count(share, r.units) != r.removed]
    small = [r.name for r in done if share > 0 and r.removed == 0]
    notes: list[str] = []
    if held:
        notes.append(f"one unit stays of {_shown(held)}, though more was asked")
    if small:
        notes.append(f"too small to lose {share:.1%}: {_shown(small)}")
    return tuple(notes)


def _shown(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:4])) + (", ..." if len(names) > 4 else "")


@dataclass
class _Attempt:
    model: torch.nn.Module
    chosen: Chosen
    difference: float
    sizes: Sizes
    failed: list[KeptWhole] = field(default_factory=list[KeptWhole])


def _fitting(module: torch.nn.Module, call: Call, chosen: Chosen) -> _Attempt:
    """Cut; should the whole not compute the same, cut family by family, leaving whole those that fail."""
    told = ""
    for guess in GUESSES:
        made = _cut(module, call, [(chosen, guess)])
        if not isinstance(made, str):
            return _Attempt(made[0], chosen, made[1], made[2])
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
    return _Attempt(made[0], [pair for part, _ in good for pair in part], made[1], made[2], failed)


def _cut(
    module: torch.nn.Module, call: Call, parts: Sequence[tuple[Chosen, Guess]]
) -> tuple[torch.nn.Module, float, Sizes] | str:
    """A smaller copy, how far it is from the masked dense model, relative, and what its modules say of their
    sizes; or why it is not that."""
    cuts = removed([pair for part, _ in parts for pair in part])
    dense = weights.copied(module)
    masked(dense, cuts)
    wanted = outputs(dense, call)
    del dense
    smaller = weights.copied(module)
    for part, guess in parts:
        follow_cuts(smaller, part, guess)
    sizes = changed_sizes(module, smaller)
    smaller = shrink(smaller, cuts)
    found = difference(smaller, call, wanted)
    return found if isinstance(found, str) else (smaller, found, sizes)


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
