"""Which weights of a model may be non-zero, kept with the model itself. Imports torch.

A mask is a buffer, ``weight_mask``, of the module whose ``weight`` it is of: so it goes wherever the module
goes. ``deepcopy``, ``.to(device)``, ``state_dict`` and what saves it carry it without knowing of it, and
wrappers (compiled, distributed, adapters around a layer) change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.prune.layers import LayerChoice, prunable

MASK = "weight_mask"
_HOOKS = "_weight_mask_hooks"


@dataclass(frozen=True, slots=True)
class MaskedLayer:
    """``name``: of the parameter, as in the model that ``Masks`` was asked for; ``module``: that has it."""

    name: str
    module: torch.nn.Module

    @property
    def weight(self) -> torch.nn.Parameter:
        return self.module.get_parameter("weight")

    @property
    def mask(self) -> torch.Tensor:
        """True where the weight may be non-zero; of its shape, on its device. InputError if it is not."""
        mask, weight = self.module.get_buffer(MASK), self.weight
        told = (
            f"the mask of {self.name!r} is {list(mask.shape)}, but the weight {list(weight.shape)}: remove it"
        )
        require(mask.shape == weight.shape, InputError, told)
        return mask.to(weight.device, torch.bool)

    def array(self) -> NDArray[np.floating[Any]]:
        """The weight as [outputs, inputs], float64 if it is that, else float32; InputError if it has NaN or
        infinity."""
        found = matrix(self.weight)
        bad = int(found.size - np.count_nonzero(np.isfinite(found)))
        told = (
            f"parameter {self.name!r} has {bad} non-finite values: lower the rate, or start again before it"
        )
        require(bad == 0, InputError, told)
        return found

    def put(self, mask: torch.Tensor) -> None:
        """Make ``mask``, of as many elements, the mask; the weight stays as it is until ``apply``."""
        self.module.get_buffer(MASK).copy_(mask.reshape(self.weight.shape))

    def apply(self) -> None:
        """Zero, to +0.0, what the mask does not keep."""
        with torch.no_grad():
            self.weight.masked_fill_(~self.mask, 0.0)

    def outside(self) -> int:
        """Weights that are not zero although the mask says so."""
        return int(torch.count_nonzero(self.weight.detach()[~self.mask]))


class Masks:
    """The masks of a model: ``Masks.attach`` gives it some, ``Masks.of`` finds those it has."""

    def __init__(self, root: torch.nn.Module, layers: tuple[MaskedLayer, ...]) -> None:
        self._root, self._layers = root, layers

    @classmethod
    def attach(
        cls,
        model: torch.nn.Module,
        masks: Mapping[str, NDArray[np.bool_]] | None = None,
        *,
        layers: LayerChoice | None = None,
    ) -> Self:
        """Masks for ``model``: ``masks``, by parameter, as in ``PruneResult.masks``, applied at once; or, for
        each layer that ``layers`` takes (see ``ag.prune``), one that keeps all. What is masked already stays
        so; and a model that has masks gets no more, unless ``layers`` says which.

        From then on ``state_dict`` has them, loading one that has none keeps them, and whatever is loaded is
        masked again. InputError for a name or a shape that is not the model's.
        """
        root = unwrapped(model)
        if masks is None:
            masked = layers is None and any(map(has_mask, root.modules()))
            for layer in () if masked else prunable(root, layers):
                _give(layer.uses[0])
        else:
            for name, given in masks.items():
                mask = np.asarray(given, np.bool_)
                owner = _owner(root, name, mask)
                _give(owner)
                MaskedLayer(name, owner).put(torch.from_numpy(mask))
        _hook_root(root)
        found = cls.of(root)
        found.apply()
        return found

    @classmethod
    def of(cls, model: torch.nn.Module) -> Self:
        """The masks that ``model`` has; InputError where it has none."""
        root = unwrapped(model)
        found = tuple(
            MaskedLayer(f"{name}.weight" if name else "weight", module)
            for name, module in root.named_modules()
            if has_mask(module)
        )
        require(found, InputError, f"{type(root).__name__} has no masks: Masks.attach(model) gives it some")
        return cls(root, found)

    def __iter__(self) -> Iterator[MaskedLayer]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    @property
    def size(self) -> int:
        """Weights that have a mask."""
        return sum(layer.weight.numel() for layer in self)

    @property
    def sparsity(self) -> float:
        """The share of them that the masks do not keep; 0 where there are none."""
        gone = sum(int(torch.count_nonzero(~layer.mask)) for layer in self)
        return gone / self.size if self.size else 0.0

    def arrays(self) -> dict[str, NDArray[np.bool_]]:
        """By parameter, True where it may be non-zero: copies."""
        return {layer.name: layer.mask.cpu().numpy().copy() for layer in self}

    def apply(self) -> int:
        """Zero what the masks do not keep, such as after adapters were merged; how many were not zero."""
        changed = 0
        for layer in self:
            changed += layer.outside()
            layer.apply()
        return changed

    def merge(self, name: str, up: torch.Tensor, down: torch.Tensor, scale: float = 1.0) -> None:
        """Add a low-rank adapter to the weight called ``name``, masked again: W + scale (up @ down), ``up``
        [outputs, rank] and ``down`` [rank, inputs] (LoRA's B and A, and alpha / rank). What the adapter did
        where the mask keeps nothing is lost."""
        layer = next((layer for layer in self if layer.name == name), None)
        if layer is None:
            known = ", ".join(layer.name for layer in self)
            raise InputError(f"{name!r} has no mask: those that do are {known}")
        weight = layer.weight
        shape = (up.shape[0], down.shape[-1])
        told = f"the adapter is {list(shape)}, but {name!r} is {list(weight.shape)}: give this layer's"
        require(shape == tuple(weight.shape) and up.shape[-1] == down.shape[0], InputError, told)
        with torch.no_grad():
            weight.add_((scale * (up @ down)).to(weight.device, weight.dtype))
        layer.apply()

    def check(self) -> None:
        """InputError unless every weight outside the masks is zero."""
        for layer in self:
            bad = layer.outside()
            told = (
                f"{bad} masked weights of {layer.name!r} are not zero: something set them after the last step"
            )
            told += "; Masks.of(model).apply() zeroes them"
            require(bad == 0, InputError, told)

    def remove(self) -> None:
        """The modules are as if they had never had masks; their zeros stay."""
        for layer in self:
            delattr(layer.module, MASK)
        for module in (self._root, *(layer.module for layer in self)):
            for handle in module.__dict__.pop(_HOOKS, ()):
                handle.remove()


def matrix(values: torch.Tensor) -> NDArray[np.floating[Any]]:
    """``values`` [outputs, ...] as [outputs, inputs], float64 if they are that, else float32."""
    wide = torch.float64 if values.dtype == torch.float64 else torch.float32
    flat = values.detach().reshape(values.shape[0], -1)
    return flat.to("cpu", wide).numpy()


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """The module inside what ``torch.compile`` or torch's data parallelism put around it."""
    while True:
        if isinstance(model, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), torch.nn.Module):
            model = inner
        else:
            return model


def has_mask(module: torch.nn.Module) -> bool:
    return MASK in dict(module.named_buffers(recurse=False))


def _give(module: torch.nn.Module) -> None:
    if has_mask(module):
        return
    weight = module.get_parameter("weight")
    module.register_buffer(MASK, torch.ones(weight.shape, dtype=torch.bool, device=weight.device))
    # Functions of this file, so that the module can still be copied and pickled.
    hooks = (
        module.register_load_state_dict_pre_hook(_fill_in),
        module.register_load_state_dict_post_hook(_mask_loaded),
    )
    module.__dict__[_HOOKS] = hooks


def _hook_root(root: torch.nn.Module) -> None:
    """Two modules may share a weight, and the one without the mask be loaded last: so mask at the end."""
    if _HOOKS not in root.__dict__:
        root.__dict__[_HOOKS] = (root.register_load_state_dict_post_hook(_mask_all_loaded),)


def _fill_in(module: torch.nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """A state without masks leaves those that are there."""
    if has_mask(module) and f"{prefix}weight" in state:
        state.setdefault(f"{prefix}{MASK}", module.get_buffer(MASK))


def _mask_loaded(module: torch.nn.Module, _: Any) -> None:
    if has_mask(module):
        MaskedLayer("weight", module).apply()


def _mask_all_loaded(root: torch.nn.Module, _: Any) -> None:
    for module in root.modules():
        _mask_loaded(module, None)


def _owner(root: torch.nn.Module, name: str, mask: NDArray[np.bool_]) -> torch.nn.Module:
    """The module whose weight is called ``name``."""
    path, _, last = name.rpartition(".")
    known = dict(root.named_parameters(remove_duplicate=False))
    told = (
        f"there is a mask for {name!r}, which is no weight of {type(root).__name__}: give masks of this model"
    )
    require(last == "weight" and name in known, InputError, told)
    shape = list(known[name].shape)
    told = f"the mask of {name!r} is {list(mask.shape)}, but the weight {shape}: give masks of this model"
    require(list(mask.shape) == shape, InputError, told)
    return root.get_submodule(path)
