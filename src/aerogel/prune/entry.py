"""Prune a torch model: measure importance, choose, set to zero, recover, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aerogel.core.errors import InputError, MissingDependencyError, require
from aerogel.prune.pattern import pattern_named
from aerogel.prune.report import PruneResult
from aerogel.prune.schedule import Schedule
from aerogel.prune.select import checked_scope

if TYPE_CHECKING:
    import torch

    from aerogel.prune.layers import LayerChoice
    from aerogel.prune.recovery import Step


def prune(  # noqa: PLR0913  the public face: every choice by keyword, each with a default
    model: torch.nn.Module,
    sparsity: float | Mapping[str, float] | None = None,
    *,
    method: str = "magnitude",
    pattern: str = "unstructured",
    data: Iterable[Any] | None = None,
    layers: LayerChoice | None = None,
    scope: str = "layer",
    budget: str = "uniform",
    repair: bool = False,
    recovery: str | None = None,
    precision: str = "fp32",
    inplace: bool = False,
    progress: Callable[[str], None] | None = None,
) -> PruneResult:
    """Set exactly ``round(sparsity * units)`` units of the linear layers' weights to zero.

    ``sparsity``: the share for every layer; or a map from regular expressions, searched in layer names, to
    shares: the first that finds a layer counts, and a layer that none finds is left alone.
    ``method``: ``magnitude`` needs no data; ``wanda`` (weights by the norm of their input, per output) and
    ``sparsegpt`` (what is pruned is made up for by what is kept) do.
    ``pattern``: ``unstructured`` (a unit is one weight); ``block2x1``, ``block4x1``, ``block1x4`` or
    ``block4x4`` (consecutive outputs x consecutive inputs share one fate); ``panel4`` (single weights, but
    those of 4 consecutive outputs that share an input are kept rather than lone ones: as many zeros, and a
    faster kernel); or N:M as in ``2:4`` (of every M consecutive inputs of an output at most N are kept; the
    sparsity, 1 - N/M, may then be left out).
    ``data``: batches of what the model takes: each a tensor, a tuple of arguments, or a dict of them; some
    hundred short texts are enough. Tokens where ``attention_mask`` is 0 do not count.
    ``layers``: a regular expression searched in layer names, or a predicate on (name, layer); by default
    every ``nn.Linear`` but task heads. A tied weight or a shared module is pruned once, under its first name.
    ``scope``: that many of each layer (``layer``), or, by magnitude, of all together (``global``).
    ``budget``: ``uniform``; or, as much in all, ``owl``: less of layers with many outliers; ``sensitivity``:
    less of layers without which the output changes most. Both need data.
    ``repair``: least squares on the kept weights once a layer's zeros are known. Needs data.
    ``recovery``: ``"distill:90s"``, ``"distill:10m"`` or ``"distill:200steps"``: train the kept weights, for
    so long, to do on ``data`` what the dense model does. ``recover`` has more to set.
    ``precision``: ``int8``: what is kept ends as whole numbers from -127 to 127 times a scale per output, and
    the layer has these scales as its buffer ``weight_scale``; with data, what rounding loses is made up for,
    too. A ``sparsity`` of 0 rounds alone.
    ``progress``: told the name of each layer once it is pruned.

    The least important units go; zeros of either sign are least of all, and stay zero; equal ones go by
    lowest index, so equal models give equal masks. With data, a layer's bias makes up for the mean of what
    is lost. The model given is copied, not changed, unless ``inplace``; on an error it is never changed.
    InputError for unusable arguments, weights or data.
    """
    try:
        # torch is optional, and slow to import: only pruning itself needs it.
        from aerogel.prune import recipe
        from aerogel.prune.methods import METHODS
    except ModuleNotFoundError as error:
        raise MissingDependencyError('pruning needs torch: pip install "aerogel[torch]"') from error

    require(method in METHODS, InputError, f"method {method!r} is unknown: choose from {', '.join(METHODS)}")
    asked = recipe.Recipe(
        method,
        pattern_named(pattern),
        checked_scope(scope),
        budget,
        repair,
        recovery,
        layers,
        inplace,
        precision,
    )
    return recipe.carry_out(model, sparsity, asked, data, progress or (lambda _: None))


def recover(
    pruned: PruneResult,
    teacher: torch.nn.Module,
    data: Iterable[Any],
    schedule: Schedule | str,
    *,
    checkpoint: str | Path | None = None,
    progress: Callable[[Step], bool | None] | None = None,
) -> PruneResult:
    """Train ``pruned.model``, in place, to imitate ``teacher``, the dense model, on ``data``.

    What is matched is every block's output and the model's own. What is zero stays zero: masks are applied
    after each step. Embedding tables are not trained. What lies on an int8 grid runs as it is there, is
    trained all the same, and ends on one. ``schedule``: a ``Schedule``, or text such as ``distill:10m``.
    ``checkpoint``: a file to go on from if it is there, and to save to each minute
    and at the end. ``progress``: told of each step; True ends training.
    InputError for bad data, a checkpoint of another run, or a loss that is not finite.
    """
    try:
        from aerogel.prune import recovery
    except ModuleNotFoundError as error:
        raise MissingDependencyError('recovery needs torch: pip install "aerogel[torch]"') from error
    return recovery.recover(pruned, teacher, data, schedule, checkpoint=checkpoint, progress=progress)
