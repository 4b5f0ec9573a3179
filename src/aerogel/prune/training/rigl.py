"""RigL: a network that is sparse from the start, and moves its connections while it learns. Imports torch.
(Evci et al. 2020: "Rigging the Lottery: Making All Tickets Winners".)"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.prune.layers import LayerChoice
from aerogel.prune.magnitude import magnitude
from aerogel.prune.select import checked_sparsity, pruned_count, smallest
from aerogel.prune.training.callback import TrainingMasks, gone_units, put_gone
from aerogel.prune.training.masks import MaskedLayer, Masks, matrix
from aerogel.prune.training.ramp import SHARE, cosine


class RigL(TrainingMasks):
    """``sparsity`` of each layer's units are masked from the start on: those that are zero, and others at
    random, from ``seed``. Every ``every`` steps until ``end``, drop / 2 (1 + cos(pi t / end)) of the kept
    units go, the smallest first, and as many others come, those of the largest gradient first. New weights
    are 0, and so is their momentum. As many are masked at any time.

    ``end`` None: three quarters of the steps that the trainer announces. A unit that goes may come back at
    once, as it was. The step at which connections move is done like any other, on gradients that it looks at.
    """

    def __init__(
        self,
        sparsity: float,
        *,
        end: int | None = None,
        every: int = 100,
        drop: float = 0.3,
        seed: int = 0,
        pattern: str = "unstructured",
        layers: LayerChoice | None = None,
    ) -> None:
        super().__init__(pattern, layers)
        self._sparsity = checked_sparsity(sparsity)
        blocks = self.pattern.kept_of is None and not self.pattern.panel
        told = f"RigL moves weights or blocks of them, not pattern {pattern}: give block4x1, say"
        require(blocks, UnsupportedError, told)
        require(every >= 1, InputError, f"every is {every}: move connections every 1 step or more")
        require(0 < drop < 1, InputError, f"drop is {drop}: give the share that is replaced, between 0 and 1")
        require(end is None or end >= 0, InputError, f"end is {end}: give the step after which masks stay")
        self._end, self._every, self._drop, self._seed = end, every, drop, seed
        self._last = 0
        self._gradients: dict[str, NDArray[np.floating[Any]]] = {}

    @property
    def settings(self) -> dict[str, Any]:
        asked = {"sparsity": self._sparsity, "pattern": self.pattern.name, "drop": self._drop}
        return asked | {"end": self._end, "every": self._every, "seed": self._seed}

    @property
    def requested(self) -> float:
        return self._sparsity

    def start(self, masks: Masks) -> None:
        self._last = self.last_step(self._end, SHARE)
        chance = np.random.default_rng(self._seed)
        for layer in masks:
            gone = gone_units(layer, self.pattern)
            # Masked ones go first, then those that are zero, then whatever chance has: so masks that are
            # as they should be stay, and zeros are found again where masks were lost.
            empty = magnitude(layer.array(), self.pattern) == 0
            rank = chance.random(gone.shape) - gone - empty
            count = max(int(np.count_nonzero(gone)), pruned_count(self._sparsity, gone.size))
            put_gone(layer, self.pattern, smallest(rank, count))

    def look(self, masks: Masks) -> None:
        self._gradients = {}
        if self._due(self.step + 1):
            for layer in masks:
                gradient = layer.weight.grad
                if gradient is not None:
                    self._gradients[layer.name] = magnitude(matrix(gradient), self.pattern).copy()

    def change(self, masks: Masks) -> bool:
        if not self._due(self.step):
            return False
        share = cosine(self._drop, self.step, self._last)
        for layer in masks:
            weight, gradient = layer.array(), self._gradients.get(layer.name)
            # No gradient, or an infinite one (of scaled losses): nothing is known of what should grow.
            if gradient is not None and np.isfinite(gradient).all():
                self._move(layer, magnitude(weight, self.pattern).astype(np.float64), gradient, share)
        self._gradients = {}
        return True

    def _due(self, step: int) -> bool:
        return step % self._every == 0 and step < self._last

    def _move(
        self,
        layer: MaskedLayer,
        weight: NDArray[np.floating[Any]],
        gradient: NDArray[np.floating[Any]],
        share: float,
    ) -> None:
        """``weight`` and ``gradient``: of units, as magnitudes."""
        gone = gone_units(layer, self.pattern)
        active = gone.size - int(np.count_nonzero(gone))
        # No more go than there are others that could come.
        count = min(round(share * active), gone.size - active)
        dropped = smallest(np.where(gone, np.inf, weight), count)
        free = gone | dropped
        grown = smallest(np.where(free, -gradient.astype(np.float64), np.inf), count)
        put_gone(layer, self.pattern, free & ~grown)
