"""Training weights that lie on the int8 grid: rounded where the model runs, whole where steps add up.
Imports torch."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import torch

from aerogel.model.torch_grid import LARGEST, put_scale, scale_of
from aerogel.prune.grid import largest_scale, on_grid


class StraightThrough:
    """The weights named, of linear layers of ``model`` with a scale (see ``torch_grid``); others stay out.

    The model runs on rounded weights, and gradients go to those that were rounded as if nothing had been
    (straight-through, Bengio et al. 2013): so training learns to live with the rounding, and what is judged
    is what is used. A scale is that of the start, or more once a weight has outgrown it: so until the first
    step, rounding changes nothing.
    """

    def __init__(self, model: torch.nn.Module, names: Iterable[str]) -> None:
        wanted = {id(model.get_parameter(name)) for name in names}
        self._layers: list[tuple[torch.nn.Linear, torch.Tensor]] = []
        for module in model.modules():
            scale = scale_of(module) if isinstance(module, torch.nn.Linear) else None
            if isinstance(module, torch.nn.Linear) and scale is not None and id(module.weight) in wanted:
                self._layers.append((module, scale.clone()))

    @contextmanager
    def rounded(self) -> Generator[None]:
        """Inside, the model has the rounded weights; what backward adds to gradients stays."""
        whole = [layer.weight.detach().clone() for layer, _ in self._layers]
        self._round()
        try:
            yield
        finally:
            with torch.no_grad():
                for (layer, _), weight in zip(self._layers, whole, strict=True):
                    layer.weight.copy_(weight)

    def settle(self) -> None:
        """Round for good, and say on which grid."""
        for (layer, _), scale in zip(self._layers, self._round(), strict=True):
            put_scale(layer, scale)

    def _round(self) -> list[torch.Tensor]:
        with torch.no_grad():
            scales = [_grown(scale, layer.weight) for layer, scale in self._layers]
            for (layer, _), scale in zip(self._layers, scales, strict=True):
                layer.weight.copy_(on_grid(layer.weight, scale[:, None]))
        return scales


def _grown(scale: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``scale``, or as much as it takes where a row has outgrown it by more than rounding does."""
    if not weight.shape[1]:
        return scale
    beyond = weight.abs().amax(1) > (LARGEST + 0.5) * scale
    return torch.where(beyond, largest_scale(weight), scale)
