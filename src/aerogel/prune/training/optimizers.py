"""Where masks meet optimisers: a step sees no gradient of what is masked, and leaves it zero. Imports torch.

Hooks of the optimiser itself, so that it does not matter who calls ``step``: a plain loop, a ``GradScaler``
(which does not where gradients are infinite), or a framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from aerogel.core.errors import InputError, require
from aerogel.prune.training.masks import Masks


class HeldOptimizers:
    """Keeps ``masks`` through the steps of ``optimizers``. ``before`` and ``after`` are called around each
    step of the first that trains a masked weight: with gradients as they were found, and all done."""

    def __init__(
        self,
        masks: Masks,
        optimizers: Sequence[torch.optim.Optimizer],
        before: Callable[[], None],
        after: Callable[[], None],
    ) -> None:
        self._masks, self._before, self._after = masks, before, after
        masked = {id(layer.weight) for layer in masks}
        self._optimizers = [o for o in optimizers if not masked.isdisjoint(map(id, _parameters(o)))]
        told = (
            "the optimizer trains no weight that has a mask: make it from the parameters of this very model"
        )
        require(self._optimizers, InputError, told)
        self._handles: list[Any] = []
        for optimizer in self._optimizers:
            self._handles.append(optimizer.register_step_pre_hook(self._on_before))
            self._handles.append(optimizer.register_step_post_hook(self._on_after))

    def clear_state(self) -> None:
        """Momentum, and whatever else is kept for each weight, becomes 0 outside the masks: so a weight that
        grows again starts as if it had never been."""
        for layer in self._masks:
            for optimizer in self._optimizers:
                for value in dict(optimizer.state.get(layer.weight, {})).values():
                    if isinstance(value, torch.Tensor) and value.shape == layer.weight.shape:
                        value.masked_fill_(~layer.mask.to(value.device), 0)

    def release(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _on_before(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if optimizer is self._optimizers[0]:
            self._before()
        with torch.no_grad():
            for layer in self._masks:
                if layer.weight.grad is not None:
                    layer.weight.grad.masked_fill_(~layer.mask, 0)

    def _on_after(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for layer in self._masks:
            layer.apply()
        if optimizer is self._optimizers[0]:
            self._after()


def plain(optimizers: object) -> list[torch.optim.Optimizer]:
    """The torch optimisers in ``optimizers``, one or several, out of the wrappers that frameworks put around
    them; InputError where one is none."""
    many: Iterable[object] = optimizers if isinstance(optimizers, list | tuple) else (optimizers,)
    found: list[torch.optim.Optimizer] = []
    for one in many:
        inner = one
        # accelerate's and Lightning's wrappers claim to be optimisers, but their hooks are never run.
        while (wrapped := _inside(inner)) is not None:
            inner = wrapped
        if not isinstance(inner, torch.optim.Optimizer):
            raise InputError(
                f"the optimizer is a {type(one).__name__}: give a torch.optim.Optimizer, or several"
            )
        found.append(inner)
    return found


def _inside(optimizer: object) -> object | None:
    for name in ("optimizer", "_optimizer"):
        inner = getattr(optimizer, name, None)
        if isinstance(inner, torch.optim.Optimizer):
            return inner
    return None


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]
