"""Importance by gradients: what a loss says of a weight (Taylor; Fisher). Imports torch.

To zero w changes a loss by -w g + w^2 h / 2. ``taylor`` takes the first term, squared (Molchanov et al.
2019),
``gradient`` the second, with the mean square of gradients, Fisher's diagonal, for h. Where no loss is given
it is the distance to what the dense model itself gives, by which g is nought and only the second is left. Its
h is found without labels: for outputs that are logits by labels drawn from the model's own answer, for others
by random signs (Hutchinson 1989): the mean square of the gradient of signs times outputs is the diagonal of
J^T J. Signs are independent, so one backward pass of a whole batch is an unbiased estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.prune.batches import Call, taking
from aerogel.prune.imitation import view
from aerogel.prune.layers import Layer
from aerogel.prune.problem import Problem

Loss = Callable[[torch.nn.Module], Iterable[torch.Tensor]]
"""From the model to its losses, one scalar a batch, to be minimised:
``lambda model: (cross_entropy(model(x), y) for x, y in loader)``."""


def by_gradients(problem: Problem) -> NDArray[np.floating[Any]]:
    """Saliency of each unit: the sum of its weights' w^2 times what ``worths`` found."""
    assert problem.worth is not None, "gradients are taken before any layer is pruned"
    return problem.ranked(problem.weight.square() * problem.worth)


def worths(
    model: torch.nn.Module, layers: Sequence[Layer], calls: Sequence[Call], kind: str, loss: Loss | None
) -> dict[str, torch.Tensor]:
    """By layer, what w^2 is multiplied by, [outputs, inputs] float32: over the losses the mean of the
    gradient's squares (``square``), or the square of its mean (``mean``); zeros where it has none.

    InputError for losses that are not finite scalars, for none, or a mean without a loss on labels.
    """
    weights = [layer.weight for layer in layers]
    before = [weight.requires_grad for weight in weights]
    sums = [torch.zeros(layer.shape, device=layer.weight.device) for layer in layers]
    count = 0
    try:
        for weight in weights:
            weight.requires_grad_()
        with torch.enable_grad():
            for value in _own(model, calls, kind) if loss is None else loss(model):
                _require_scalar(value)
                slopes = torch.autograd.grad(value, weights, allow_unused=True, materialize_grads=True)
                for total, slope in zip(sums, slopes, strict=True):
                    part = slope.detach().reshape(total.shape).float()
                    total.add_(part.square() if kind == "square" else part)
                count += 1
    finally:
        for weight, wanted in zip(weights, before, strict=True):
            weight.requires_grad_(wanted)
    require(count, InputError, "loss gave no loss: give one scalar for each batch")
    for layer, total in zip(layers, sums, strict=True):
        told = f"the loss's gradient for layer {layer.name!r} is NaN or infinite: check the data and the loss"
        require(bool(torch.isfinite(total).all()), InputError, told)
        total.div_(count)
    found = sums if kind == "square" else [total.square_() for total in sums]
    return {layer.name: total for layer, total in zip(layers, found, strict=True)}


def _require_scalar(value: object) -> None:
    usable = isinstance(value, torch.Tensor) and value.numel() == 1 and value.requires_grad
    told = "loss gave something that is no scalar of the model's: yield one loss tensor for each batch"
    require(usable, InputError, told)


def _own(model: torch.nn.Module, calls: Sequence[Call], kind: str) -> Iterator[torch.Tensor]:
    """The losses the model itself gives for data with labels; else ones whose gradients' mean squares are
    the curvature of the distance to its own outputs."""
    draws = torch.Generator().manual_seed(0)
    for index, call in enumerate(calls):
        if "labels" in call.kwargs:
            output = call.tried(model)
            told = f"batch {index} of data has labels, but {type(model).__name__} gives no loss: give loss="
            require(isinstance(output, Mapping) and "loss" in output, InputError, told)
            yield output["loss"]
            continue
        told = "importance 'taylor' needs a loss with a slope: give loss=, or data with labels; or 'gradient'"
        require(kind == "square", InputError, told)
        with taking(model):
            seen = view(model, call, ())
        rows = seen.output.reshape(-1, seen.output.shape[-1]).float()
        if call.mask is not None and len(rows) == call.mask.numel():
            rows = rows[call.mask.reshape(-1)]
        yield _drawn(rows, draws, logits=seen.logits)


def _drawn(rows: torch.Tensor, draws: torch.Generator, *, logits: bool) -> torch.Tensor:
    if logits:
        answers = torch.log_softmax(rows, -1)
        labels = torch.multinomial(answers.detach().exp().cpu(), 1, generator=draws).to(rows.device)
        return -answers.gather(1, labels).sum()
    signs = torch.randint(0, 2, rows.shape, generator=draws).mul_(2).sub_(1)
    return (rows * signs.to(rows.device, rows.dtype)).sum()
