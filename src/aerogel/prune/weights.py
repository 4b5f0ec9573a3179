"""A torch model's weights as NumPy arrays and back. Imports torch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.model.torch_grid import drop_scale, lies_on, put_scale, scale_of
from aerogel.prune.batch_norm import batch_norms
from aerogel.prune.grid import fitted_scale, on_grid
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
    """The weight's matrix as a NumPy array, float64 if it is float64, else float32 (exact for the narrower
    types); InputError if it holds NaN or infinity."""
    wide = torch.float64 if layer.weight.dtype == torch.float64 else torch.float32
    array = layer.matrix.to("cpu", wide).numpy()
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    require(bad == 0, InputError, f"parameter {layer.name!r} has {bad} non-finite values: repair it first")
    return array


def zero_outside(layer: Layer, mask: NDArray[np.bool_]) -> int:
    """Zero what ``mask`` [outputs, inputs] does not keep (to +0.0, never -0.0); the number of zeros in the
    weight now."""
    with torch.no_grad():
        gone = torch.from_numpy(~mask).to(layer.weight.device)
        layer.weight.masked_fill_(gone.reshape(layer.weight.shape), 0.0)
        return int((layer.weight == 0).sum())


def round_to_grid(layer: Layer) -> None:
    """The nearest numbers of an int8 grid, which the layer then says: see ``torch_grid``."""
    with torch.no_grad():
        scale = fitted_scale(layer.weight)
        layer.weight.copy_(on_grid(layer.weight, scale[:, None]))
    for use in layer.uses:
        assert isinstance(use, torch.nn.Linear), "checked by require_float32"
        put_scale(use, scale)


def require_float32(layers: Sequence[Layer]) -> None:
    """InputError unless the weights can lie on an int8 grid exactly."""
    for layer in layers:
        kind = str(layer.weight.dtype).removeprefix("torch.")
        told = f'parameter {layer.name!r} is {kind}: precision="int8" takes float32, so give model.float()'
        require(layer.weight.dtype == torch.float32, InputError, told)
        linear = all(isinstance(use, torch.nn.Linear) for use in layer.uses)
        told = (
            f'parameter {layer.name!r} is a convolution\'s: precision="int8" takes linear layers, see layers='
        )
        require(linear, InputError, told)


def drop_stale_grids(layers: Sequence[Layer]) -> None:
    """Layers whose weight no longer lies on the grid they have say so no more."""
    for layer in layers:
        for use in layer.uses:
            scale = scale_of(use) if isinstance(use, torch.nn.Linear) else None
            if isinstance(use, torch.nn.Linear) and scale is not None and not lies_on(use.weight, scale):
                drop_scale(use)


def take_over(module: torch.nn.Module, work: torch.nn.Module) -> torch.nn.Module:
    """``module``, with the numbers of ``work``, a copy of it, its batch norms' statistics and the grids that
    weights lie on."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(work.get_parameter(name))
        for ours, theirs in zip(batch_norms(module), batch_norms(work), strict=True):
            for name, buffer in ours.named_buffers(recurse=False):
                buffer.copy_(theirs.get_buffer(name))
    for ours, theirs in zip(module.modules(), work.modules(), strict=True):
        if isinstance(ours, torch.nn.Linear) and isinstance(theirs, torch.nn.Linear):
            drop_scale(ours)
            scale = scale_of(theirs)
            if scale is not None:
                put_scale(ours, scale)
    return module
