"""Make small activations zero: find thresholds on data, apply them, and see on other data. Imports torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch

from aerogel.core.errors import InputError, require
from aerogel.core.suggest import unknown
from aerogel.prune.activation.allocate import Distributions, greedy
from aerogel.prune.activation.magnitudes import Magnitudes
from aerogel.prune.activation.report import ActivationReport, ActivationResult, Allocation, Place, SiteReport
from aerogel.prune.activation.sites import Site, sites, watching
from aerogel.prune.activation.thresholds import apply_thresholds, paused, remove_thresholds, thresholds_of
from aerogel.prune.batches import Call, calls_of
from aerogel.prune.layers import LayerChoice
from aerogel.prune.output_change import Evaluate, OutputChange, output_of, quality_of
from aerogel.prune.select import checked_sparsity
from aerogel.prune.watch import observed
from aerogel.prune.weights import checked_module, copied

_HELD_OUT = 5
"""One batch of so many is held out where none are given for that."""


def sparsify_activations(  # noqa: PLR0913  the public face: every choice by keyword, each with a default
    model: torch.nn.Module,
    sparsity: float,
    *,
    data: Iterable[Any],
    place: Place = "inputs",
    allocation: Allocation = "uniform",
    layers: LayerChoice | None = None,
    held_out: Iterable[Any] | None = None,
    evaluate: Evaluate | None = None,
    inplace: bool = False,
    progress: Callable[[str], None] | None = None,
) -> ActivationResult:
    """A copy of ``model`` that sets the share ``sparsity`` of its activations to zero, the smallest ones.

    A threshold for each place is the quantile of |x| there on ``data``; what was achieved is what is found on
    all tokens of ``held_out``. No kernel of ours leaves such zeros out yet, so the report claims no speed.

    ``place``: ``inputs`` of linear layers (TEAL), or ``gates``: outputs of activation functions, act(gate(x))
    of a gated MLP (CATS). ``allocation``: ``uniform``, the same share everywhere; or ``greedy``: within each
    block, as much in all, but more where the block's output moves least.
    ``layers``: as for ``prune``; a regular expression searched in, or a predicate on, the names of linear
    layers or, for ``gates``, of activation functions. By default all but task heads.
    ``data``, ``held_out``: batches as ``prune`` takes them; tokens where ``attention_mask`` is 0 do not
    count. Without ``held_out`` each fifth batch of ``data``, the last one at least, is kept for it.
    ``evaluate``: from the model to its quality, asked before and after.
    ``progress``: told the name of each block once its share is found.

    ``state_dict`` of the model has the thresholds as buffers; ``aerogel.prune.activation`` has
    ``apply_thresholds``, ``remove_thresholds`` and ``thresholds_of``. InputError for unusable arguments or
    data; the model given is then as it was.
    """
    started = time.monotonic()
    module, share = checked_module(model), checked_sparsity(sparsity)
    _require_known("place", place, get_args(Place))
    _require_known("allocation", allocation, get_args(Allocation))
    told = f"{type(module).__name__} has thresholds already: take them off with remove_thresholds"
    require(not thresholds_of(module), InputError, told)
    calls, held = _split(module, data, held_out)
    work = module if inplace else copied(module)
    found = sites(work, place, layers)
    try:
        with observed(work):
            dense = _distributions(work, found, calls)
            told = "the data reaches none of these layers: set layers=, or give other data"
            require(any(m.values for m in dense.values()), InputError, told)
            shares = {site.name: share for site in found}
            if allocation == "greedy":
                shares = greedy(work, found, dense, calls, share, progress or (lambda _: None))
            thresholds = {name: dense[name].quantile(part) for name, part in shares.items()}
            apply_thresholds(work, thresholds)
            seen = _see(work, found, held, evaluate)
    except BaseException:
        remove_thresholds(work)
        raise
    rows = tuple(_row(site, shares[site.name], thresholds[site.name], dense, seen) for site in found)
    report = ActivationReport(
        place, allocation, share, rows, _tokens(seen.widths, dense), _tokens(seen.widths, seen.sparse),
        seen.change.relative, *seen.quality, time.monotonic() - started, _notes(rows),
    )  # fmt: skip
    return ActivationResult(work, thresholds, report)


def _require_known(what: str, value: str, known: Sequence[str]) -> None:
    require(value in known, InputError, unknown(what, value, known))


def _split(
    module: torch.nn.Module, data: Iterable[Any], held_out: Iterable[Any] | None
) -> tuple[list[Call], list[Call]]:
    calls = calls_of(module, data)
    if held_out is not None:
        return calls, calls_of(module, held_out)
    told = "data is one batch, and none is left to see what was achieved: give more batches, or held_out="
    require(len(calls) > 1, InputError, told)
    last = len(calls) - 1
    held = [i for i in range(len(calls)) if i == last or i % _HELD_OUT == _HELD_OUT - 1]
    return [c for i, c in enumerate(calls) if i not in held], [calls[i] for i in held]


def _distributions(model: torch.nn.Module, found: Sequence[Site], calls: Sequence[Call]) -> Distributions:
    dense = {site.name: Magnitudes() for site in found}
    for call in calls:
        with watching(found, call, lambda site, rows: dense[site.name].add(rows)):
            call.run(model)
    return dense


@dataclass
class _Seen:
    """On held-out data: the ``sparse`` activations, by site their ``widths``, and how the output changed."""

    sparse: Distributions
    widths: dict[str, int]
    change: OutputChange
    quality: tuple[float | None, float | None] = (None, None)


def _see(model: torch.nn.Module, found: Sequence[Site], held: Sequence[Call], ask: Evaluate | None) -> _Seen:
    seen = _Seen({site.name: Magnitudes() for site in found}, {}, OutputChange())

    def count(site: Site, rows: torch.Tensor) -> None:
        seen.sparse[site.name].add(rows)
        seen.widths[site.name] = rows.shape[-1]

    for call in held:
        with watching(found, call, count):
            changed = output_of(model, call)
        with paused(model):
            seen.change.add(changed, output_of(model, call))
    if ask is not None:
        with paused(model):
            before = quality_of(model, ask)
        seen.quality = before, quality_of(model, ask)
    return seen


def _row(site: Site, target: float, threshold: float, dense: Distributions, seen: _Seen) -> SiteReport:
    achieved = seen.sparse[site.name].zero_share
    had = dense[site.name].zero_share
    width = seen.widths.get(site.name)
    return SiteReport(site.name, width, site.weights, threshold, target, achieved, had)


def _tokens(widths: dict[str, int], counts: Distributions) -> int:
    """The most that passed one site."""
    return max((counts[name].values // width for name, width in widths.items() if width), default=0)


def _notes(rows: Sequence[SiteReport]) -> tuple[str, ...]:
    notes: list[str] = []
    relu = [row.name for row in rows if row.relu_like]
    if relu:
        notes.append(
            f"exact zeros without any threshold, as after ReLU, at {len(relu)} of {len(rows)} places"
        )
    lost = [row.name for row in rows if row.exact_zeros is None]
    if lost:
        notes.append(f"no calibration token came by, so nothing is made zero there: {', '.join(lost)}")
    return tuple(notes)
