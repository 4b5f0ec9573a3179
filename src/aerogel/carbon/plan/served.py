"""A model that will be served much should be smaller than the compute-optimal one, and trained for longer.

Training takes 6 N D operations and serving T tokens 2 N T (forward alone), so at the same loss L the sum is
least for a smaller N on more tokens D (Sardana et al. 2024, arXiv:2401.00448). Operations are added as they
are: those of serving usually take more energy each, since serving keeps hardware less busy, so the best model
may be smaller still.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aerogel.carbon.plan.compute_optimal import EPOCH, ScalingLaw
from aerogel.core.errors import InputError, require

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Served:
    """A model for ``served_tokens`` over its life, that reaches the loss of the compute-optimal one.

    ``total_flop``: training and serving; ``compute_optimal_flop``: the same for the compute-optimal model.
    """

    law: ScalingLaw
    parameters: float
    tokens: float
    served_tokens: float
    training_flop: float
    total_flop: float
    compute_optimal_flop: float
    loss: float

    @property
    def saved(self) -> float:
        """The share of all operations that the smaller model saves."""
        return 1 - self.total_flop / self.compute_optimal_flop

    def to_json(self) -> dict[str, Any]:
        names = (
            "parameters",
            "tokens",
            "served_tokens",
            "training_flop",
            "total_flop",
            "compute_optimal_flop",
        )
        said = {"law": self.law.key, "loss_nats_per_token": self.loss, "saved": self.saved}
        return said | {name: getattr(self, name) for name in names}


def for_serving(flop: float, served_tokens: float, law: ScalingLaw = EPOCH) -> Served:
    """The model of least operations over its life that is as good as ``flop`` make the compute-optimal
    one."""
    require(flop > 0 and math.isfinite(flop), InputError, f"a budget of {flop} operations buys no training")
    good = served_tokens >= 0 and math.isfinite(served_tokens)
    require(good, InputError, f"{served_tokens} served tokens: give a number from 0 on, as 1e12")
    largest = law.best_size(flop)
    loss = law.loss(largest, flop / 6 / largest)

    def total(log_size: float) -> float:
        size = math.exp(log_size)
        return 6 * size * law.tokens_for(loss, size) + 2 * size * served_tokens

    # Below this size no number of tokens reaches the loss.
    smallest = (law.size_scale / (loss - law.irreducible)) ** (1 / law.size_exponent)
    size = math.exp(_least(total, math.log(smallest), math.log(largest)))
    tokens = law.tokens_for(loss, size)
    return Served(
        law=law,
        parameters=size,
        tokens=tokens,
        served_tokens=served_tokens,
        training_flop=6 * size * tokens,
        total_flop=total(math.log(size)),
        compute_optimal_flop=flop + 2 * largest * served_tokens,
        loss=loss,
    )


def _least(of: Callable[[float], float], low: float, high: float) -> float:
    """Where ``of``, which falls and then rises, is least between ``low`` and ``high``: golden sections."""
    while high - low > 1e-10:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        # Infinite near the low end: then the least lies to the right.
        if of(left) < of(right):
            high = right
        else:
            low = left
    return (low + high) / 2
