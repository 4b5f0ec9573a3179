"""Where activations are made zero: what linear layers are fed, or activation functions give. Imports torch.

A zero at the input of a linear layer saves a column of its weights (TEAL: Liu et al. 2024). In a gated MLP,
``down(act(gate(x)) * up(x))``, a zero of act(gate(x)) saves a row of up and a column of down (CATS: Lee et
al. 2024).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.prune.activation.report import Place
from aerogel.prune.batches import Call
from aerogel.prune.blocks import hidden
from aerogel.prune.hessian import tokens
from aerogel.prune.layers import LayerChoice, prunable
from aerogel.prune.watch import fed

_FUNCTIONS = (
    torch.nn.ReLU, torch.nn.ReLU6, torch.nn.GELU, torch.nn.SiLU, torch.nn.Mish, torch.nn.Hardswish,
    torch.nn.LeakyReLU, torch.nn.ELU, torch.nn.CELU, torch.nn.SELU,
)  # fmt: skip
"""Functions that are about 0 for whatever they switch off. Tanh, sigmoid and softmax are none of these."""


@dataclass(frozen=True, slots=True)
class Site:
    """A module whose input (a linear layer) or output (an activation function) gets a threshold.

    ``weights``: what a zero saves, relative to other sites: the weights of a linear layer, 1 for a function,
    whose readers are not known.
    """

    name: str
    module: torch.nn.Module
    weights: int


def sites(model: torch.nn.Module, place: Place, layers: LayerChoice | None) -> list[Site]:
    """In the model's order, each module once. ``layers`` as for ``prune``; for ``gates`` it is asked about
    activation functions. InputError where there are none, or none is taken."""
    return _inputs(model, layers) if place == "inputs" else _gates(model, layers)


def _inputs(model: torch.nn.Module, layers: LayerChoice | None) -> list[Site]:
    taken = {id(use) for layer in prunable(model, layers) for use in layer.uses}
    linears = [(n, m) for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    found = [Site(n, m, m.weight.numel()) for n, m in linears if id(m) in taken]
    kind = type(model).__name__
    told = f"{kind} has no nn.Linear to take small inputs from: give a model with some, or set layers="
    require(found, InputError, told)
    return found


def _gates(model: torch.nn.Module, layers: LayerChoice | None) -> list[Site]:
    every = [(n, m) for n, m in model.named_modules() if _is_function(m)]
    kind = type(model).__name__
    told = (
        f"{kind} has no activation function that is a module, such as nn.SiLU (one that is called as a "
        'function cannot be reached): use place="inputs"'
    )
    require(every, InputError, told)
    takes = _predicate(layers)
    found = [Site(n, m, 1) for n, m in every if takes(n, m)]
    shown = ", ".join(n for n, _ in every[:6])
    told = f"layers={layers!r} takes none of {kind}'s activation functions ({shown}): set layers="
    require(found, InputError, told)
    return found


def _is_function(module: torch.nn.Module) -> bool:
    kind = type(module)
    spelt = kind.__module__ == "transformers.activations" and kind.__name__ != "LinearActivation"
    return spelt or isinstance(module, _FUNCTIONS)


def _predicate(choice: LayerChoice | None) -> Callable[[str, Any], bool]:
    if choice is None:
        return lambda _, __: True
    if callable(choice):
        return choice
    try:
        pattern = re.compile(choice)
    except (re.error, TypeError) as error:
        raise InputError(f"layers={choice!r} is not a regular expression: {error}") from error
    return lambda name, _: pattern.search(name) is not None


@contextmanager
def watching(
    found: Sequence[Site], call: Call, told: Callable[[Site, torch.Tensor], None]
) -> Generator[None]:
    """Inside, where the model runs on ``call``, ``told`` gets the activations at each site that is passed,
    its threshold applied, as float32 rows [tokens, features] without padding.

    InputError where an activation is NaN or infinite.
    """

    def tell(site: Site, x: torch.Tensor) -> None:
        require(x.is_floating_point(), UnsupportedError, f"{site.name}: its activations are {x.dtype}")
        rows = tokens(x, call.mask)
        bad = int(rows.numel() - torch.isfinite(rows).sum())
        require(not bad, InputError, f"{site.name}: {bad} activations are NaN or infinite: check the model")
        told(site, rows)

    with ExitStack() as hooks:
        for site in found:
            if isinstance(site.module, torch.nn.Linear):
                handle = site.module.register_forward_pre_hook(
                    lambda _, args, kwargs, site=site: tell(site, fed(args, kwargs)), with_kwargs=True
                )
            else:
                handle = site.module.register_forward_hook(
                    lambda _, __, output, site=site: tell(site, _tensor(site, output))
                )
            hooks.callback(handle.remove)
        yield


def _tensor(site: Site, output: Any) -> torch.Tensor:
    made = hidden(output)
    if made is None:
        raise UnsupportedError(f"{site.name} gives a {type(output).__name__}: leave it out with layers=")
    return made
