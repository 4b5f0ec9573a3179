"""Take experts out of a mixture, and their outputs out of its router; numbers follow. Imports torch.

The router then weighs the experts that are left: where it takes a softmax, over these alone, so that their
gates are what they were, divided by what these summed to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from aerogel.core.errors import UnsupportedError, require
from aerogel.prune.experts.mixtures import Mixture

_COUNT = re.compile(r"^(moe_)?(n|num)_(local_|routed_|total_)?experts$")


def cut(model: nn.Module, found: Sequence[Mixture], kept: Sequence[Sequence[int]]) -> None:
    """Keep, in place, of each mixture the experts ``kept``, which ascend; as many of each.

    What modules and configs say of their number follows. UnsupportedError, and nothing is changed, where
    mixtures of several sizes share one config, which has but one number.
    """
    configs = list(_configs(model))
    before, after = {m.count for m in found}, {len(k) for k in kept}
    alike = len(before) == 1 and len(after) == 1
    if configs:
        sizes = ", ".join(str(size) for size in sorted(before))
        told = f"{type(model).__name__} has layers of {sizes} experts, and its config one number for all"
        require(alike, UnsupportedError, told)
    for mixture, stay in zip(found, kept, strict=True):
        if mixture.fused:
            _slice(mixture.experts, mixture.count, stay, (0,))
        else:
            _relist(mixture.experts, stay)
        for module in mixture.router.modules():
            # A correction may be kept as a row, [1, experts].
            _slice(module, mixture.count, stay, (0, -1))
        _recount(mixture.block.modules(), mixture.count, len(stay))
    if alike:
        _recount([*model.modules(), *configs], before.pop(), after.pop())


def _slice(module: nn.Module, count: int, kept: Sequence[int], axes: Sequence[int]) -> None:
    """The module's own tensors, along the first of ``axes`` that is as long as there are experts."""
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    for name, tensor in own:
        axis = next((axis for axis in axes if tensor.ndim and tensor.shape[axis] == count), None)
        if axis is None:
            continue
        stays = tensor.detach().index_select(axis, torch.tensor(kept, device=tensor.device))
        is_weight = isinstance(tensor, nn.Parameter)
        setattr(module, name, nn.Parameter(stays, tensor.requires_grad) if is_weight else stays)
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape


def _relist(experts: nn.Module, kept: Sequence[int]) -> None:
    """Those that stay move up, under the names of the first ones."""
    stay = [child for index, child in enumerate(experts.children()) if index in set(kept)]
    names = [name for name, _ in experts.named_children()]
    for name in names:
        delattr(experts, name)
    for name, child in zip(names, stay, strict=False):
        experts.add_module(name, child)


def _recount(objects: Iterable[Any], before: int, after: int) -> None:
    for each in objects:
        for name, value in list(vars(each).items()):
            if type(value) is int and value == before and _COUNT.match(name):
                setattr(each, name, after)


def _configs(model: nn.Module) -> Iterable[Any]:
    """The configs of the model's modules, and what they hold of further ones, each once."""
    left = [getattr(module, "config", None) for module in model.modules()]
    seen: set[int] = set()
    while left:
        config = left.pop()
        if hasattr(config, "to_dict") and id(config) not in seen:
            seen.add(id(config))
            left += vars(config).values()
            yield config
