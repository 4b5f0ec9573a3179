"""Gradual magnitude pruning: ever more of the smallest weights go while the rest learns on. Imports torch.
(Zhu and Gupta 2017: "To prune, or not to prune".)"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.prune.layers import LayerChoice
from aerogel.prune.magnitude import magnitude
from aerogel.prune.pattern import wanted_sparsity
from aerogel.prune.select import Scope, checked_scope, checked_sparsity, per_group, pruned_count, smallest
from aerogel.prune.training.callback import TrainingMasks, gone_units, put_gone
from aerogel.prune.training.masks import Masks
from aerogel.prune.training.ramp import SHARE, Ramp


class GradualMagnitude(TrainingMasks):
    """From ``initial`` zeros after step ``begin`` to ``sparsity`` after step ``end``, more every ``every``
    steps on a cubic ramp (see ``Ramp``); then the masks stay. What is pruned once never comes back.

    ``end`` None: three quarters of the steps that the trainer announces. ``pattern``, ``scope`` and
    ``layers``: as for ``ag.prune``; of N:M, M - 1 of M are kept first, then fewer, down to N. Exactly
    ``round(share * units)`` units are masked, equal ones by lowest index.
    """

    def __init__(  # noqa: PLR0913  each by keyword, each with a default
        self,
        sparsity: float | None = None,
        *,
        begin: int = 0,
        end: int | None = None,
        every: int = 100,
        initial: float = 0.0,
        pattern: str = "unstructured",
        scope: str = "layer",
        layers: LayerChoice | None = None,
    ) -> None:
        super().__init__(pattern, layers)
        self._sparsity = checked_sparsity(wanted_sparsity(self.pattern, sparsity))
        self._scope: Scope = checked_scope(scope)
        told = f"pattern {pattern} is alike in all layers: leave scope out"
        require(self.pattern.kept_of is None or scope == "layer", InputError, told)
        self._begin, self._end, self._every, self._initial = begin, end, every, initial
        # What cannot be is told at once, not when training begins.
        Ramp(initial, self._sparsity, begin, begin if end is None else end, every)
        self._ramp: Ramp | None = None

    @property
    def settings(self) -> dict[str, Any]:
        asked = {"sparsity": self._sparsity, "initial": self._initial, "pattern": self.pattern.name}
        return asked | {"scope": self._scope, "begin": self._begin, "end": self._end, "every": self._every}

    @property
    def requested(self) -> float:
        return self._sparsity

    def start(self, masks: Masks) -> None:
        end = self.last_step(self._end, SHARE)
        self._ramp = Ramp(self._initial, self._sparsity, self._begin, max(self._begin, end), self._every)
        if self._ramp.progress(self.step) >= 0:
            # Zeros go first: so a resumed run that lost its masks finds them again.
            self._prune(masks, self._ramp.at(self.step))

    def change(self, masks: Masks) -> bool:
        if self._ramp is None or not self._ramp.due(self.step):
            return False
        self._prune(masks, self._ramp.at(self.step))
        return True

    def _prune(self, masks: Masks, share: float) -> None:
        layers = list(masks)
        frozen = [gone_units(layer, self.pattern) for layer in layers]
        saliencies = [self._saliency(layer.array(), gone) for layer, gone in zip(layers, frozen, strict=True)]
        if self.pattern.kept_of is not None:
            kept, of = self.pattern.kept_of
            # The small addend: 0.75 of 4 is 3 and no less, however it was computed.
            now = max(kept, of - int(share * of + 1e-9))
            chosen = [per_group(s, f, now, of) for s, f in zip(saliencies, frozen, strict=True)]
        elif self._scope == "global":
            joined = np.concatenate([s.reshape(-1) for s in saliencies])
            parts = np.split(_least(joined, share), np.cumsum([s.size for s in saliencies])[:-1])
            chosen = [part.reshape(s.shape) for part, s in zip(parts, saliencies, strict=True)]
        else:
            chosen = [_least(s, share) for s in saliencies]
        for layer, gone in zip(layers, chosen, strict=True):
            put_gone(layer, self.pattern, gone)

    def _saliency(
        self, weight: NDArray[np.floating[Any]], gone: NDArray[np.bool_]
    ) -> NDArray[np.floating[Any]]:
        """Of units; -1 of those that are gone, which so go before any other."""
        found = magnitude(weight, self.pattern).copy()
        found[gone] = -1
        return found


def _least(saliency: NDArray[np.floating[Any]], share: float) -> NDArray[np.bool_]:
    """``round(share * units)`` of the least, or all that are gone, if these are more."""
    return smallest(saliency, max(int(np.count_nonzero(saliency < 0)), pruned_count(share, saliency.size)))
