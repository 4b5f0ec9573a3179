"""A torch model's weights as NumPy arrays and back. Imports torch."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.prune.layers import Layer


def checked_module(model: object) -> torch.nn.Module:
    """``model`` if it is a torch module, else InputError."""
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"the model is a {type(model).__name__}: give a torch.nn.Module")
    return model


def copied(model: torch.nn.Module) -> torch.nn.Module:
    """A deep copy, tied parameters still tied; InputError where torch cannot make one."""
    try:
        return copy.deepcopy(model)
    except (RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{type(model).__name__} cannot be copied ({reason}): pass inplace=True") from error


def finite_array(layer: Layer) -> NDArray[np.floating[Any]]:
    """The weight as a NumPy array, float64 if it is float64, else float32 (exact for the narrower types);
    InputError if it holds NaN or infinity."""
    wide = torch.float64 if layer.weight.dtype == torch.float64 else torch.float32
    array = layer.weight.detach().to("cpu", wide).numpy()
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    require(bad == 0, InputError, f"parameter {layer.name!r} has {bad} non-finite values: repair it first")
    return array


def zero_outside(layer: Layer, mask: NDArray[np.bool_]) -> int:
    """Zero what ``mask`` does not keep (to +0.0, never -0.0); the number of zeros in the weight now."""
    with torch.no_grad():
        layer.weight.masked_fill_(torch.from_numpy(~mask).to(layer.weight.device), 0.0)
        return int((layer.weight == 0).sum())


def take_over(module: torch.nn.Module, work: torch.nn.Module) -> torch.nn.Module:
    """``module``, with the numbers of ``work``, a copy of it."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(work.get_parameter(name))
    return module
