"""Cut weights, and tell the modules that hold them how large they are now. Imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aerogel.prune.structured.families import Family, Place
from aerogel.prune.structured.slim_attention import SlimAttention


def removed(chosen: Iterable[tuple[Family, NDArray[np.bool_]]]) -> dict[Place, NDArray[np.int64]]:
    """For each place that is cut, the indices that go there. ``chosen``: flags of the units that go."""
    places: dict[Place, list[NDArray[np.int64]]] = {}
    for family, gone in chosen:
        for place, indices in family.places.items():
            if gone.any():
                places.setdefault(place, []).append(indices[gone].ravel())
    return {place: np.sort(np.concatenate(parts)) for place, parts in places.items()}


def masked(model: torch.nn.Module, cuts: Mapping[Place, NDArray[np.int64]]) -> None:
    """Set to zero, in place, what ``shrink`` would cut from the parameters."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for (name, axis), indices in cuts.items():
            if name in parameters:
                parameters[name].index_fill_(axis, torch.from_numpy(indices).to(parameters[name].device), 0.0)


def shrink(model: nn.Module, cuts: Mapping[Place, NDArray[np.int64]]) -> nn.Module:
    """Cut, in place. A tied weight is cut once and stays tied. The result is ``model``, unless that is itself
    an attention that must be replaced."""
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    by_name: dict[str, dict[int, NDArray[np.int64]]] = {}
    for (name, axis), indices in cuts.items():
        by_name.setdefault(name, {})[axis] = indices
    fresh = {id(tensors[name]): _cut(tensors[name], axes) for name, axes in by_name.items()}
    for module in list(model.modules()):
        before = _own(module)
        for name, tensor in before.items():
            if id(tensor) in fresh:
                setattr(module, name, fresh[id(tensor)])
        if any(id(tensor) in fresh for tensor in before.values()):
            _resize(module, {name: tensor.shape for name, tensor in before.items()})
    return _with_slim_attention(model)


def _own(module: nn.Module) -> dict[str, torch.Tensor]:
    parameters = module.named_parameters(recurse=False, remove_duplicate=False)
    return dict(parameters) | dict(module.named_buffers(recurse=False, remove_duplicate=False))


def _cut(tensor: torch.Tensor, axes: Mapping[int, NDArray[np.int64]]) -> torch.Tensor:
    kept = tensor.detach()
    for axis, indices in axes.items():
        stays = np.setdiff1d(np.arange(tensor.shape[axis]), indices)
        kept = kept.index_select(axis, torch.from_numpy(stays).to(tensor.device))
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(kept, requires_grad=tensor.requires_grad)
    return kept


def _resize(module: nn.Module, before: Mapping[str, torch.Size]) -> None:
    """What a module says of its own size follows its weights."""
    own = _own(module)
    weight = own.get("weight")
    if weight is None:
        weight = next(iter(own.values()))
    match module:
        case nn.Linear():
            module.out_features, module.in_features = weight.shape
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            module.groups = module.groups * weight.shape[0] // before["weight"][0] if module.groups > 1 else 1
            module.out_channels, module.in_channels = weight.shape[0], weight.shape[1] * module.groups
        case nn.ConvTranspose1d() | nn.ConvTranspose2d() | nn.ConvTranspose3d():
            module.in_channels, module.out_channels = weight.shape[:2]
        case nn.GroupNorm():
            module.num_groups = module.num_groups * weight.shape[0] // before["weight"][0]
            module.num_channels = weight.shape[0]
        case nn.Embedding():
            module.embedding_dim = weight.shape[1]
        case nn.PReLU():
            module.num_parameters = weight.shape[0]
        case _ if type(getattr(module, "num_features", None)) is int:  # batch and instance norms
            module.__dict__["num_features"] = weight.shape[0]
        case _ if type(getattr(module, "nf", None)) is int:  # transformers' Conv1D
            module.__dict__.update(nx=weight.shape[0], nf=weight.shape[1])
        case _:
            pass


def _with_slim_attention(model: nn.Module) -> nn.Module:
    """torch's attention insists on heads that fill its width: where some are gone, ours takes over."""
    replaced: dict[int, SlimAttention] = {}
    for path, module in list(model.named_modules(remove_duplicate=False)):
        if type(module) is nn.MultiheadAttention and SlimAttention.needed(module):
            slim = replaced.setdefault(id(module), SlimAttention(module))
            if not path:
                return slim
            above, _, name = path.rpartition(".")
            setattr(model.get_submodule(above), name, slim)
    return model
