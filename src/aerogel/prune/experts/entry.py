"""Make a mixture of experts smaller: weigh the experts on data, cut, look at what changed. Imports torch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.prune.batches import Call, calls_of
from aerogel.prune.experts.cut import cut
from aerogel.prune.experts.mixtures import Mixture, mixtures
from aerogel.prune.experts.report import ExpertsReport, ExpertsResult, MixtureReport
from aerogel.prune.experts.saliency import Worth, worths
from aerogel.prune.output_change import Evaluate, OutputChange, output_of, quality_of
from aerogel.prune.select import checked_sparsity, pruned_count, smallest
from aerogel.prune.watch import observed
from aerogel.prune.weights import checked_module, copied


def remove_experts(
    model: torch.nn.Module,
    sparsity: float,
    *,
    data: Iterable[Any],
    held_out: Iterable[Any] | None = None,
    evaluate: Evaluate | None = None,
) -> ExpertsResult:
    """A smaller copy of ``model``, without ``round(sparsity * experts)`` experts of each mixture.

    Those go that add least: the mean, over the tokens of ``data`` that are routed to an expert, of its gate
    times the norm of what it gives (REAP); one that no token reaches adds nothing; equal ones go by lowest
    index. The router loses their outputs, and so weighs the others among themselves; what modules and the
    config say of their number follows, so the result is saved and loaded like any model.

    Experts are found as a list (or dict) of modules, or fused in 3-D weights, beside a router.
    ``data``, ``held_out``: batches as ``prune`` takes them; tokens where ``attention_mask`` is 0 do not
    count. How much the output changes is measured on ``held_out``, or else on ``data``.
    ``evaluate``: from the model to its quality, asked before and after.
    InputError for unusable arguments or data, and where fewer experts would be left than a token goes to;
    UnsupportedError for a model without experts, or with ones that cannot be told apart.
    """
    started = time.monotonic()
    module, share = checked_module(model), checked_sparsity(sparsity)
    found = mixtures(module)
    _require_enough(found, share, [mixture.top_k for mixture in found])
    calls = calls_of(module, data)
    held = calls if held_out is None else calls_of(module, held_out)
    smaller = copied(module)
    with observed(module, smaller):
        worth = worths(module, found, calls)
        top_k = [m.top_k or w.most for m, w in zip(found, worth, strict=True)]
        _require_enough(found, share, top_k)
        rows = [_row(m, w, k, share) for m, w, k in zip(found, worth, top_k, strict=True)]
        cut(smaller, mixtures(smaller), [row.kept for row in rows])
        change = _change(module, smaller, held)
        quality = (None, None) if evaluate is None else [quality_of(m, evaluate) for m in (module, smaller)]
    before, after = _parameters(module), _parameters(smaller)
    report = ExpertsReport(
        share, tuple(rows), before[0], after[0], before[1], after[1],
        "data" if held_out is None else "held_out", change.rows, change.relative,
        quality[0], quality[1], time.monotonic() - started, _notes(rows),
    )  # fmt: skip
    return ExpertsResult(smaller, report)


def _require_enough(found: Sequence[Mixture], share: float, top_k: Sequence[int | None]) -> None:
    for mixture, least in zip(found, top_k, strict=True):
        left, needed = mixture.count - pruned_count(share, mixture.count), least or 1
        told = (
            f"{mixture.name}: of {mixture.count} experts {left} would be left, but a token goes to {needed}: "
            f"ask for a sparsity of at most {1 - needed / mixture.count:.2f}"
        )
        require(left >= needed, InputError, told)


def _row(mixture: Mixture, worth: Worth, top_k: int, share: float) -> MixtureReport:
    gone = smallest(worth.saliency, pruned_count(share, mixture.count))
    return MixtureReport(
        mixture.name, mixture.fused, mixture.count, tuple(int(i) for i in gone.nonzero()[0]),
        tuple(float(s) for s in worth.saliency), tuple(int(n) for n in worth.tokens), top_k,
    )  # fmt: skip


def _change(dense: torch.nn.Module, smaller: torch.nn.Module, held: Sequence[Call]) -> OutputChange:
    change = OutputChange()
    for call in held:
        wanted = output_of(dense, call)
        try:
            got = output_of(smaller, call)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            reason = str(error).splitlines()[0]
            told = f"with fewer experts {type(smaller).__name__} no longer runs ({reason}): cut it by hand"
            raise UnsupportedError(told) from error
        change.add(got, wanted)
    return change


def _parameters(model: torch.nn.Module) -> tuple[int, int]:
    """How many numbers, and how many bytes."""
    sizes = [(p.numel(), p.numel() * p.element_size()) for p in model.parameters()]
    return sum(count for count, _ in sizes), sum(size for _, size in sizes)


def _notes(rows: Sequence[MixtureReport]) -> tuple[str, ...]:
    idle = [(row.name, [i for i, n in enumerate(row.tokens) if not n]) for row in rows]
    told = [f"{name}: no token was routed to {', '.join(map(str, which))}" for name, which in idle if which]
    return (*told, "more data would say more of these experts") if told else ()
