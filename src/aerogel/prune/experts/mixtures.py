"""Mixtures of experts in a torch model: a router beside experts, one by one or fused. Imports torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from aerogel.core.errors import UnsupportedError, require

_ROUTER = re.compile(r"gate|rout|switch", re.IGNORECASE)
_EXPERTS = re.compile(r"expert", re.IGNORECASE)
_TOP_K = ("top_k", "num_experts_per_tok", "num_experts_per_token", "num_selected_experts", "moe_k", "k")
_GROUPS = ("n_group", "num_group", "num_expert_group", "n_groups")


@dataclass(frozen=True, slots=True)
class Mixture:
    """``experts``: a list or dict of ``count`` modules, or, ``fused``, one module whose parameters have the
    experts along their first axis. ``router``: the module beside it that has one output for each expert,
    with whatever else is for routing. ``block``: what holds both."""

    name: str
    block: nn.Module
    router: nn.Module
    experts: nn.Module
    count: int
    fused: bool

    @property
    def top_k(self) -> int | None:
        """How many experts a token goes to, as the modules say it; None where they do not."""
        return _number((self.router, *self.router.children(), self.block, self.experts), _TOP_K)

    @property
    def each(self) -> list[nn.Module]:
        """The experts of a list, in order."""
        return list(self.experts.children())


def mixtures(model: nn.Module) -> list[Mixture]:
    """In the model's order, each once. UnsupportedError where there are none, where a router is not to be
    told from another, and where experts are routed by groups, which a removal would shift."""
    found: list[Mixture] = []
    for name, block in model.named_modules():
        for child, experts in block.named_children():
            count, fused = _count(experts)
            if count > 1:
                router = _router(name, block, child, count)
                if router is not None:
                    path = f"{name}.{child}" if name else child
                    found.append(Mixture(path, block, router, experts, count, fused))
    told = (
        f"{type(model).__name__} has no experts that are known: a list of them, or a module with 3-D weights "
        "[experts, ...], beside a router with as many outputs"
    )
    require(found, UnsupportedError, told)
    for mixture in found:
        groups = _number((mixture.router, *mixture.router.children(), mixture.block), _GROUPS)
        told = (
            f"{mixture.name}: its {mixture.count} experts are routed in {groups} groups, which cannot shrink"
        )
        require(groups is None or groups == 1, UnsupportedError, told)
    return found


def _count(module: nn.Module) -> tuple[int, bool]:
    """How many experts ``module`` may hold, 0 if none; are they fused?"""
    if isinstance(module, (nn.ModuleList, nn.ModuleDict)):
        kinds = {type(child) for child in module.children()}
        return (len(module) if len(kinds) == 1 else 0), False
    own = [p for p in module.parameters(recurse=False) if p.ndim == 3]
    sizes = {p.shape[0] for p in own}
    convolution = isinstance(module, (nn.Conv1d, nn.ConvTranspose1d))
    return (sizes.pop() if len(sizes) == 1 and not convolution else 0), True


def _router(name: str, block: nn.Module, experts: str, count: int) -> nn.Module | None:
    """The child of ``block`` that routes to ``count`` experts. A list of layers beside a head with as many
    outputs is no mixture: one of the names must say that it is."""
    named = _EXPERTS.search(experts) is not None
    found = {
        child: module
        for child, module in block.named_children()
        if child != experts and "shared" not in child and _routes(module, count)
    }
    found = {child: m for child, m in found.items() if named or _ROUTER.search(child)}
    if len(found) > 1:
        found = {child: m for child, m in found.items() if _ROUTER.search(child)} or found
    told = f"{name or 'the model'}: {', '.join(found)} could each be the router of {experts}: rename one"
    require(len(found) <= 1, UnsupportedError, told)
    return next(iter(found.values()), None)


def _routes(module: nn.Module, count: int) -> bool:
    weights = [p for m in module.modules() for n, p in m.named_parameters(recurse=False) if n == "weight"]
    return any(p.ndim == 2 and p.shape[0] == count for p in weights)


def _number(where: tuple[nn.Module, ...], names: tuple[str, ...]) -> int | None:
    values: list[Any] = [getattr(module, name, None) for module in where for name in names]
    return next((v for v in values if type(v) is int), None)


def real(mask: torch.Tensor | None, count: int, device: torch.device) -> torch.Tensor:
    """Which of ``count`` rows are tokens: bool [count]; all of them where there is no mask for these rows."""
    if mask is None or mask.numel() != count:
        return torch.ones(count, dtype=torch.bool, device=device)
    return mask.reshape(-1).to(device)
