"""What each unit of a family is worth. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree as pytree

from aerogel.core.errors import InputError, require
from aerogel.prune.batches import Call
from aerogel.prune.structured.families import Family, Place

Scores = NDArray[np.float64]
Loss = Callable[[Any], torch.Tensor]


def magnitude(family: Family, weights: Mapping[str, torch.Tensor]) -> Scores:
    """The 2-norm of all that a unit consists of: its slices of the trained weights, as one vector."""
    total = np.zeros(family.units)
    for place in family.places:
        name = place[0]
        if name in weights:
            total += _per_unit(family, place, weights[name].detach().double().square())
    return np.sqrt(total)


def weights_per_unit(model: torch.nn.Module, family: Family) -> int:
    """How many trained weights a unit consists of."""
    parameters = dict(model.named_parameters())
    found = 0
    for (name, axis), at in family.places.items():
        if name in parameters:
            found += parameters[name].numel() // parameters[name].shape[axis] * at.shape[1]
    return max(1, found)


def taylor(
    model: torch.nn.Module, found: Sequence[Family], calls: Sequence[Call], loss: Loss | None
) -> list[Scores]:
    """To first order, the mean square of what changes as a unit is removed (Molchanov 2019, by group):
    ``sum over batches of (sum of gradient * weight)^2``, over the weights that read the unit, since the model
    is linear in these.

    ``loss``: from the model's outputs to the scalar of which the gradient is taken. Without one it is the
    output itself, along a random direction of +-1 per batch (seeded): the mean over directions of the square
    is the squared distance of the outputs to the dense model's.
    """
    parameters = dict(model.named_parameters())
    totals = [np.zeros(family.units) for family in found]
    directions = torch.Generator().manual_seed(0)
    before = {name: p.requires_grad for name, p in parameters.items()}
    try:
        for parameter in parameters.values():
            parameter.requires_grad_(parameter.is_floating_point())
        for number, call in enumerate(calls):
            model.zero_grad(set_to_none=True)
            with torch.enable_grad():
                out = call.run(model)
                value = _projected(out, directions) if loss is None else loss(out)
                _checked(value, number).backward()
            for total, family in zip(totals, found, strict=True):
                np.add(total, _effect(family, parameters) ** 2, out=total)
    finally:
        model.zero_grad(set_to_none=True)
        for name, parameter in parameters.items():
            parameter.requires_grad_(before[name])
    return totals


def _effect(family: Family, parameters: Mapping[str, torch.nn.Parameter]) -> Scores:
    effect = np.zeros(family.units)
    for place in family.readers:
        weight = parameters.get(place[0])
        if weight is not None and weight.grad is not None:
            effect += _per_unit(family, place, (weight.grad * weight.detach()).double())
    return effect


def _per_unit(family: Family, place: Place, values: torch.Tensor) -> Scores:
    others = [axis for axis in range(values.ndim) if axis != place[1]]
    per_index = values.sum(others) if others else values
    return per_index.cpu().numpy()[family.places[place]].sum(1)


def _projected(out: object, directions: torch.Generator) -> torch.Tensor:
    tensors = [t for t in pytree.tree_leaves(dict(out) if isinstance(out, Mapping) else out)
               if isinstance(t, torch.Tensor) and t.requires_grad]  # fmt: skip
    require(
        tensors, InputError, "the model's outputs have no gradient: give loss=, or importance='magnitude'"
    )
    signs = [torch.randint(0, 2, t.shape, generator=directions).to(t) * 2 - 1 for t in tensors]
    return torch.stack([(t * s).sum() for t, s in zip(tensors, signs, strict=True)]).sum()


def _checked(value: object, batch: int) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        raise InputError(f"loss gave {type(value).__name__} for batch {batch}: it must give one number")
    finite = bool(torch.isfinite(value))
    require(finite, InputError, f"the loss on batch {batch} is {value.item()}: no importance follows from it")
    return value
