"""How far what a changed model gives is from what the dense one gave: without labels. Imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from aerogel.core.errors import InputError, require
from aerogel.prune.batches import Call
from aerogel.prune.hessian import tokens
from aerogel.prune.imitation import view

Evaluate = Callable[[torch.nn.Module], float]
"""From a model to its quality; whether more is better is the caller's to know."""


def quality_of(model: torch.nn.Module, evaluate: Evaluate) -> float:
    """What ``evaluate`` says; InputError where that is no number."""
    found = evaluate(model)
    told = f"evaluate gave {found!r}: give a function from the model to a number"
    require(isinstance(found, (int, float)) and not math.isnan(found), InputError, told)
    return float(found)


def output_of(model: torch.nn.Module, call: Call) -> torch.Tensor:
    """The model's logits, or else its first output, as float32 rows [tokens, width]; padding is left out."""
    return tokens(view(model, call, ()).output, call.mask)


class OutputChange:
    """Sums over batches of ``|y' - y|^2`` and ``|y|^2``; the changed model gives y', the dense one y."""

    def __init__(self) -> None:
        self._off = self._whole = 0.0
        self.rows = 0

    def add(self, changed: torch.Tensor, dense: torch.Tensor) -> None:
        """Two of the same shape. InputError where the changed one is not finite."""
        finite = bool(torch.isfinite(changed).all())
        require(finite, InputError, "the changed model's output is NaN or infinite: ask for less sparsity")
        self._off += float((changed - dense).square().sum(dtype=torch.float64))
        self._whole += float(dense.square().sum(dtype=torch.float64))
        self.rows += len(dense)

    @property
    def relative(self) -> float | None:
        """``sqrt(sum |y' - y|^2 / sum |y|^2)``; None where nothing was added, or all the dense outputs are 0
        and the changed ones are not."""
        if not self.rows or (not self._whole and self._off):
            return None
        return math.sqrt(self._off / self._whole) if self._whole else 0.0
