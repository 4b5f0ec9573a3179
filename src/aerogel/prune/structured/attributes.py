"""Numbers that a model keeps about its own size, and reshapes by, must follow what is cut. Imports torch.

A module's code may say ``x.view(batch, tokens, self.num_heads, self.head_dim)``. Which of its whole numbers
mean what cannot be known, only guessed from name and value; each guess is tried, and what the model then
computes decides (``entry.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.prune.structured.families import Family

_SIZES = re.compile(r"dim|size|width|channels|features|hidden|inner|embed|planes|^d_")
_COUNTS = re.compile(r"head|group|^h$|^n_?h")
_MODEL_WIDTH = re.compile(r"embed|hidden|model")

Guess = Callable[[str], str]
"""From an attribute's name to what it counts: ``units``, ``width`` or nothing."""


def _by_name(name: str) -> str:
    if _SIZES.search(name):
        return "width"
    return "units" if _COUNTS.search(name) else ""


def _but_model_width(name: str) -> str:
    return "" if _MODEL_WIDTH.search(name) else _by_name(name)


def _counts_only(name: str) -> str:
    return "units" if _by_name(name) == "units" else ""


GUESSES: tuple[Guess, ...] = (_by_name, _but_model_width, _counts_only, lambda _: "")
"""The first that leaves the model computing the right thing is taken."""


def follow_cuts(
    model: torch.nn.Module, chosen: Iterable[tuple[Family, NDArray[np.bool_]]], guess: Guess
) -> None:
    """Set, in ``model``, the whole numbers of the modules around what is cut. Sizes are those before."""
    done: set[tuple[int, str]] = set()
    for family, gone in chosen:
        left, units = int(np.count_nonzero(~gone)), family.units
        if left == units:
            continue
        # A unit may be several of what is counted: with grouped queries, a head of keys and its queries.
        widths = {at.size: at.shape[1] * left for at in family.places.values()}
        most = max(at.shape[1] for at in family.places.values())
        for module in _around(model, family):
            for name, value in list(vars(module).items()):
                if type(value) is not int or (id(module), name) in done:
                    continue
                meaning = guess(name)
                if meaning == "width" and value in widths:
                    done.add((id(module), name))
                    setattr(module, name, widths[value])
                elif meaning == "units" and value % units == 0 and 1 <= value // units <= most:
                    done.add((id(module), name))
                    setattr(module, name, value // units * left)


def _around(model: torch.nn.Module, family: Family) -> list[torch.nn.Module]:
    """The modules that hold the layers that are cut, not the layers themselves; innermost first."""
    names: dict[str, None] = {}
    for weight in family.weights:
        layer = weight.rpartition(".")[0]
        if layer:
            names.setdefault(layer.rpartition(".")[0])
    return [model.get_submodule(name) for name in names]
