"""Calibration data: batches as calls of the model, checked once. Imports torch."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from aerogel.core.errors import AerogelError, InputError, require


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of one call, and ``mask``: which of its tokens count, bool [sequences, length], or None
    where all do."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    mask: torch.Tensor | None

    def run(self, module: torch.nn.Module) -> Any:
        return module(*self.args, **self.kwargs)

    def tried(self, module: torch.nn.Module) -> Any:
        """As ``run``; InputError, with torch's reason, where ``module`` cannot take these arguments."""
        with taking(module):
            return self.run(module)


@contextmanager
def taking(module: torch.nn.Module) -> Generator[None]:
    """InputError, with torch's reason, where ``module``, run inside on data, cannot take it."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError) as error:
        if isinstance(error, AerogelError):
            raise
        told = f"{type(module).__name__} cannot run on this data ({str(error).splitlines()[0]})"
        raise InputError(f"{told}: give batches that it takes, of its type and device") from error


def calls_of(model: torch.nn.Module, data: object) -> list[Call]:
    """``data``, an iterable of batches (a tensor, a tuple of arguments, or a dict of them by name), read
    once and brought to the model's device. InputError for no batch, or one that is none of these, or
    one that holds NaN or infinity, or only padding."""
    if isinstance(data, (torch.Tensor, Mapping, str)) or not isinstance(data, Iterable):
        kind = type(data).__name__
        raise InputError(f"data is one {kind}: give an iterable of batches, such as [batch]")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    calls = [_call(model, batch, index, device) for index, batch in enumerate(data)]
    require(calls, InputError, "data is empty: give at least one batch to calibrate on")
    return calls


def _call(model: torch.nn.Module, batch: object, index: int, device: torch.device) -> Call:
    if isinstance(batch, torch.Tensor):
        batch = (batch,)
    if isinstance(batch, Mapping):
        args, kwargs = (), {str(k): _moved(v, device, index) for k, v in batch.items()}
    elif isinstance(batch, (tuple, list)):
        args, kwargs = tuple(_moved(v, device, index) for v in batch), {}
    else:
        kind = type(batch).__name__
        raise InputError(f"batch {index} of data is a {kind}: give a tensor, a tuple or a dict of tensors")
    for value in (*args, *kwargs.values()):
        finite = not isinstance(value, torch.Tensor) or bool(torch.isfinite(value).all())
        require(finite, InputError, f"batch {index} of data holds NaN or infinity: leave such rows out")
    mask = _mask(model, args, kwargs)
    require(
        mask is None or bool(mask.any()), InputError, f"batch {index} of data is all padding: leave it out"
    )
    return Call(args, kwargs, mask)


def _moved(value: Any, device: torch.device, index: int) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    told = f"batch {index} of data is on the meta device, which holds no numbers: give real ones"
    require(not value.is_meta, InputError, told)
    return value.to(device)


def _mask(model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    """The argument ``attention_mask``, by name or by its place in ``forward``, where it is [n, length]."""
    try:
        named = inspect.signature(model.forward).bind(*args, **kwargs).arguments
    except TypeError:
        named = kwargs  # the call itself will say better what is wrong
    mask = named.get("attention_mask")
    return mask.bool() if isinstance(mask, torch.Tensor) and mask.ndim == 2 else None
