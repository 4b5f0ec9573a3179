"""Thresholds in a torch module: what is not above them in magnitude is zero. Imports torch.

A threshold is a buffer of the layer it belongs to and a hook that reads it, so it goes wherever the module
goes: ``deepcopy``, pickling, ``.to()``, ``state_dict``. Weights keep their names.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from aerogel.core.errors import InputError, require
from aerogel.prune.watch import fed

BUFFER = "activation_threshold"
"""In a state dict: ``LAYER.activation_threshold``."""
_HANDLE = "_activation_threshold_handle"
_OFF = -1.0
"""No magnitude is as small as this."""


def apply_thresholds(model: torch.nn.Module, thresholds: Mapping[str, float]) -> torch.nn.Module:
    """``model``, in place, in which by module name: inputs x of a linear layer, and outputs x of any other
    module, are 0 where ``|x| <= threshold``. One that the module had already is replaced.

    InputError for a name that the model lacks, or a threshold that is negative or not finite; the model is
    then as it was.
    """
    modules = dict(model.named_modules())
    for name, threshold in thresholds.items():
        told = f"{type(model).__name__} has no module {name!r}: thresholds are for a model of other layers"
        require(name in modules, InputError, told)
        usable = math.isfinite(threshold) and threshold >= 0
        require(usable, InputError, f"threshold of {name!r} is {threshold}: give a finite number from 0")
    for name, threshold in thresholds.items():
        module = modules[name]
        if not hasattr(module, BUFFER):
            _attach(module, _device(module, model))
        module.get_buffer(BUFFER).fill_(threshold)
    return model


def remove_thresholds(model: torch.nn.Module) -> torch.nn.Module:
    """``model``, in place, without any thresholds: it computes what it did before, to the bit."""
    for module in model.modules():
        if hasattr(module, BUFFER):
            getattr(module, _HANDLE).remove()
            delattr(module, _HANDLE)
            delattr(module, BUFFER)
    return model


def thresholds_of(model: torch.nn.Module | Mapping[str, Any]) -> dict[str, float]:
    """By module name; of a module, or of what its ``state_dict`` gave: ``apply_thresholds`` takes them."""
    state = model.state_dict() if isinstance(model, torch.nn.Module) else model
    ends = {name: name.rpartition(".") for name in state}
    return {where: float(state[name]) for name, (where, _, last) in ends.items() if last == BUFFER}


@contextmanager
def paused(model: torch.nn.Module) -> Generator[None]:
    """Inside, ``model`` computes as if it had no thresholds."""
    buffers = [m.get_buffer(BUFFER) for m in model.modules() if hasattr(m, BUFFER)]
    before = [buffer.clone() for buffer in buffers]
    try:
        for buffer in buffers:
            buffer.fill_(_OFF)
        yield
    finally:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)


def _attach(module: torch.nn.Module, device: torch.device) -> None:
    module.register_buffer(BUFFER, torch.zeros((), device=device))
    if isinstance(module, torch.nn.Linear):
        handle = module.register_forward_pre_hook(_zero_input, with_kwargs=True)
    else:
        handle = module.register_forward_hook(_zero_output)
    # The handle is copied and pickled with the module, and then removes the copy's hook.
    setattr(module, _HANDLE, handle)


def _device(module: torch.nn.Module, model: torch.nn.Module) -> torch.device:
    """Activation functions have no parameters; they run where the rest of the model is."""
    parameter = next(module.parameters(), next(model.parameters(), None))
    return torch.device("cpu") if parameter is None else parameter.device


def _zeroed(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    # NaN is not below a threshold: it stays, and is seen.
    return x.masked_fill(x.abs() <= module.get_buffer(BUFFER), 0.0)


def _zero_input(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    x = _zeroed(module, fed(args, kwargs))
    return ((x, *args[1:]), kwargs) if args else (args, kwargs | {"input": x})


def _zero_output(module: torch.nn.Module, _: Any, output: torch.Tensor) -> torch.Tensor:
    return _zeroed(module, output)
