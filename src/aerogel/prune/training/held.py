"""Masks that stay as they are, while a pruned model trains on. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.prune.layers import LayerChoice
from aerogel.prune.training.callback import TrainingMasks
from aerogel.prune.training.masks import Masks


class HeldMasks(TrainingMasks):
    """What is zero when training begins stays zero: the rest of a pruned model learns on.

    ``masks``: by parameter, such as ``PruneResult.masks``; by default, the masks that the model has, and
    where it has none, its zeros, in each layer that ``layers`` takes.
    """

    def __init__(
        self, masks: Mapping[str, NDArray[np.bool_]] | None = None, *, layers: LayerChoice | None = None
    ) -> None:
        super().__init__("unstructured", layers)
        self._given = masks

    @property
    def settings(self) -> dict[str, Any]:
        return {}

    @property
    def requested(self) -> None:
        return None

    def attach(self, model: torch.nn.Module) -> Masks:
        return Masks.attach(model, self._given, layers=self._layers)

    def start(self, masks: Masks) -> None:
        for layer in masks:
            if self._given is None and bool(layer.mask.all()):
                layer.put(layer.weight.detach() != 0)
