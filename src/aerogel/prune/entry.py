"""Prune a torch model: measure importance, choose, set to zero, recover, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aerogel.core.errors import InputError, MissingDependencyError, require
from aerogel.prune.pattern import pattern_named
from aerogel.prune.report import PruneResult
from aerogel.prune.schedule import Schedule
from aerogel.prune.select import checked_scope

if TYPE_CHECKING:
    import torch

    from aerogel.prune.gradient import Loss
    from aerogel.prune.layers import LayerChoice
    from aerogel.prune.recovery import Step


def prune(  # noqa: PLR0913  the public face: every choice by keyword, each with a default
    model: torch.nn.Module,
    sparsity: float | Mapping[str, float] | None = None,
    *,
    method: str | None = None,
    importance: str | None = None,
    pattern: str = "unstructured",
    budget: str = "uniform",
    recovery: str | Sequence[str] | None = None,
    data: Iterable[Any] | None = None,
    layers: LayerChoice | None = None,
    scope: str = "layer",
    repair: bool = False,
    loss: Loss | None = None,
    precision: str = "fp32",
    inplace: bool = False,
    checkpoint: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> PruneResult:
    """Set exactly ``round(sparsity * units)`` units of the weights of linear layers and convolutions to zero.

    Four choices, of which any go together: which weights matter (``importance``), which share one fate
    (``pattern``), how much of each layer goes (``budget``), what is done about the loss (``recovery``).

    ``sparsity``: the share for every layer; or a map from regular expressions, searched in layer names, to
    shares: the first that finds a layer counts, and a layer that none finds is left alone.
    ``importance``: ``magnitude`` needs no data; ``wanda`` (weights by the norm of their input, per output),
    ``obs`` (what a weight costs when the others make up for it), ``gradient`` (the curvature of the distance
    to the dense model's outputs, or of ``loss``) and ``taylor`` (the slope of ``loss``) do.
    ``pattern``: ``unstructured`` (a unit is one weight); ``block2x1``, ``block4x1``, ``block1x4`` or
    ``block4x4`` (consecutive outputs x consecutive inputs share one fate); ``panel4`` (single weights, but
    those of 4 consecutive outputs that share an input are kept rather than lone ones: as many zeros, and a
    faster kernel); or N:M as in ``2:4`` (of every M consecutive inputs of an output at most N are kept; the
    sparsity, 1 - N/M, may then be left out). Inputs of a convolution are those of its patches.
    ``budget``: ``uniform``; or, as much in all, ``global``: the least important of all layers' units;
    ``erk``: less of small layers; ``owl``: less of layers with many outliers; ``sensitivity``: less of layers
    without which the output changes most (these two need data). ``latency:3ms`` or, of the dense time,
    ``latency:0.5``: as much as brings the linear layers down to that time for the first batch on one thread
    of this CPU, measured; ``sparsity`` is then left out. ``scope="global"`` is ``budget="global"``.
    ``recovery``: one of, or a list in order of: of each layer ``obs`` (each weight that goes is made up for
    by the others), ``admm`` (choose and fit in turns), ``least_squares`` (refit what is kept); then of the
    model
    ``batch_norm`` (statistics anew) and ``"distill:90s"``, ``"distill:10m"`` or ``"distill:200steps"``: train
    the kept weights, for so long, to do on ``data`` what the dense model does (``recover`` has more to set).
    ``method``: a preset: ``magnitude``; ``wanda``; ``sparsegpt``: importance and recovery ``obs``. What else
    is given replaces its importance, and comes after its recovery; a recovery that starts with ``none`` drops
    it.
    ``repair``: recovery by ``least_squares``.
    ``data``: batches of what the model takes: each a tensor, a tuple of arguments, or a dict of them; some
    hundred short texts are enough, above 60 % and without training a thousand and more. Tokens where
    ``attention_mask`` is 0 do not count.
    ``loss``: from the model to its losses on your data, one scalar a batch, where gradients shall be of
    these:
    ``lambda model: (cross_entropy(model(x), y) for x, y in loader)``.
    ``layers``: a regular expression searched in layer names, or a predicate on (name, layer); by default
    every one but task heads. A tied weight or a shared module is pruned once, under its first name. Of
    convolutions by groups, if you choose them, and layers that the data does not reach, the smallest go.
    ``precision``: ``int8``: what is kept ends as whole numbers from -127 to 127 times a scale per output, and
    the layer has these scales as its buffer ``weight_scale``; with data, what rounding loses is made up for,
    too. A ``sparsity`` of 0 rounds alone. Linear layers only.
    ``checkpoint``: a folder in which each layer is kept once it is pruned with data, and training each
    minute, so that the same call, made again, goes on from there; delete it when it has served.
    ``progress``: told the name of each layer once it is pruned.

    The least important units go; zeros of either sign are least of all, and stay zero; equal ones go by
    lowest index, so equal models give equal masks. With data, a layer's bias makes up for the mean of what
    is lost. The model given is copied, not changed, unless ``inplace``; on an error it is never changed.
    InputError for unusable arguments, weights or data.
    """
    try:
        # torch is optional, and slow to import: only pruning itself needs it.
        from aerogel.prune import recipe
        from aerogel.prune.axes import chosen_axes
    except ModuleNotFoundError as error:
        raise MissingDependencyError('pruning needs torch: pip install "aerogel[torch]"') from error
    if checked_scope(scope) == "global":
        both = budget in ("uniform", "global")
        require(both, InputError, f"scope='global' is a budget, as is {budget!r}: leave one of them out")
        budget = "global"
    axes = chosen_axes(method, importance, pattern_named(pattern), budget, recovery, repair=repair)
    folder = None if checkpoint is None else Path(checkpoint)
    asked = recipe.Recipe(axes, layers, inplace, precision, loss, folder)
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
