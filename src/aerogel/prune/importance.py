"""The importances: each a function from a layer's problem to the saliency of its units. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError
from aerogel.core.suggest import unknown
from aerogel.prune.gradient import by_gradients
from aerogel.prune.magnitude import magnitude
from aerogel.prune.obs import by_surgeon
from aerogel.prune.problem import Problem
from aerogel.prune.wanda import wanda


@dataclass(frozen=True, slots=True)
class Importance:
    """``saliency``: of each unit, [units of outputs, units of inputs], a fresh array, at least 0, the least
    going first; ``by_rows``: an output's units compete with each other alone; ``needs_data``;
    ``gradients``: what of them it needs as ``Problem.worth``, see ``worths``."""

    saliency: Callable[[Problem], NDArray[np.floating[Any]]]
    by_rows: bool = False
    needs_data: bool = True
    gradients: Literal["", "square", "mean"] = ""


def by_size(problem: Problem) -> NDArray[np.floating[Any]]:
    """``magnitude``, of a problem."""
    return magnitude(problem.weight.cpu().numpy(), problem.pattern).copy()


IMPORTANCES: dict[str, Importance] = {
    "magnitude": Importance(by_size, needs_data=False),
    "wanda": Importance(wanda, by_rows=True),
    "obs": Importance(by_surgeon),
    "gradient": Importance(by_gradients, gradients="square"),
    "taylor": Importance(by_gradients, gradients="mean"),
}


def importance_named(name: object) -> Importance:
    """The importance called ``name``, or InputError."""
    if not isinstance(name, str) or name not in IMPORTANCES:
        raise InputError(unknown("importance", name, IMPORTANCES))
    return IMPORTANCES[name]
