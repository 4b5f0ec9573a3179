"""The configuration of a Hugging Face model follows what was cut, where it can say so. Imports torch.

Such a model is made anew from its configuration before its weights are loaded. Which of the configuration's
numbers mean what is guessed from their values, as in ``attributes.py``; what a model made from each guess is
like decides. transformers itself is not imported.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any

import numpy as np
import torch

from aerogel.prune.batches import Call
from aerogel.prune.structured.alike import difference, outputs
from aerogel.prune.structured.choose import Chosen
from aerogel.prune.structured.families import Family
from aerogel.prune.structured.units import Sizes, changed_sizes, put_config, put_sizes

TRIES = 200
"""A model without weights is made for each guess."""
RELOAD = "save_pretrained and from_pretrained reload the smaller model"
INSTEAD = "keep state_dict() and units of the result: remove_units(dense, units=...) makes what loads them"
Values = dict[str, int]


@dataclass(frozen=True, slots=True)
class Followed:
    """``values``: set in the configuration; ``sizes``: in modules, as a model has them that is made from it;
    ``told``: whether the model can be loaded again by that, empty for one that is not of Hugging Face."""

    values: Values
    sizes: Sizes
    told: str


def follow_config(smaller: torch.nn.Module, chosen: Chosen, call: Call) -> Followed:
    """Set in ``smaller``'s configuration, and in its modules, what makes it one that can be loaded again."""
    config: Any = getattr(smaller, "config", None)
    if not (hasattr(config, "to_dict") and hasattr(smaller, "save_pretrained")):
        return Followed({}, {}, "")
    left = [int(np.count_nonzero(~gone)) for _, gone in chosen]
    if len({(n, family.units) for n, (family, _) in zip(left, chosen, strict=True)}) > 1:
        shown = ", ".join(f"{f.name} {n} of {f.units}" for n, (f, _) in zip(left[:4], chosen, strict=False))
        shown += ", ..." if len(left) > 4 else ""
        return Followed(
            {}, {}, f"layers differ in what is left ({shown}), which no configuration says: {INSTEAD}"
        )
    cut = [(family, n) for n, (family, gone) in zip(left, chosen, strict=True) if gone.any()]
    if not cut:
        return Followed({}, {}, RELOAD)
    wanted = outputs(smaller, call)
    for values in islice(_guesses(config, cut), TRIES):
        changed = _changed(config, values)
        if not _same_shapes(smaller, changed):
            continue
        made = _remade(smaller, changed)
        if isinstance(difference(made, call, wanted), str):
            continue
        before, old = {path: _value(config, path) for path in values}, changed_sizes(made, smaller)
        sizes = changed_sizes(smaller, made)
        put_config(smaller, values)
        put_sizes(smaller, sizes)
        # Modules may look into the configuration as they run.
        if not isinstance(difference(smaller, call, wanted), str):
            shown = ", ".join(f"{path} {before[path]} -> {value}" for path, value in values.items())
            return Followed(values, sizes, f"configuration: {shown}; {RELOAD}")
        put_config(smaller, before)
        put_sizes(smaller, old)
    return Followed({}, {}, f"no {type(config).__name__} says what is left: {INSTEAD}")


def _guesses(config: Any, cut: list[tuple[Family, int]]) -> Iterator[Values]:
    """Sets of new values, those that change least first."""
    proposed: Values = {}
    for path, value in _numbers(config, ""):
        found = {new for family, left in cut if (new := _follows(path, value, family, left)) is not None}
        if len(found) == 1:
            proposed[path] = found.pop()
    for count in range(1, len(proposed) + 1):
        for paths in combinations(proposed, count):
            yield {path: proposed[path] for path in paths}


def _follows(path: str, value: int | None, family: Family, left: int) -> int | None:
    """What ``value`` is once ``left`` units of ``family`` are, if it may be about these."""
    widths = {at.size: at.shape[1] * left for at in family.places.values()}
    per_unit = [at.shape[1] for at in family.places.values()]
    if value is None:
        # By default it follows from other numbers, which are about to change, or not to.
        if path.endswith("head_dim") and family.kind == "head":
            return min(per_unit)
        return next(iter(widths.values())) if path.endswith(("inner", "intermediate_size")) else None
    if value in widths:
        return widths[value]
    counted = value % family.units == 0 and 1 <= value // family.units <= max(per_unit)
    return value // family.units * left if counted and "head" in path.rpartition(".")[2] else None


def _numbers(config: Any, prefix: str) -> Iterator[tuple[str, int | None]]:
    """By path, the whole numbers of ``config`` and of those inside it, and what is not set."""
    for name, value in config.to_dict().items():
        inner = getattr(config, name, None)
        if hasattr(inner, "to_dict"):
            yield from _numbers(inner, f"{prefix}{name}.")
        elif type(value) is int or value is None:
            yield f"{prefix}{name}", value


def _value(config: Any, path: str) -> Any:
    for part in path.split("."):
        config = getattr(config, part)
    return config


def _changed(config: Any, values: Values) -> Any:
    new = copy.deepcopy(config)
    for path, value in values.items():
        *inner, name = path.split(".")
        at = new
        for part in inner:
            at = getattr(at, part)
        setattr(at, name, value)
    return new


def _same_shapes(smaller: torch.nn.Module, config: Any) -> bool:
    """Would a model made from ``config`` have weights of the shapes that ``smaller`` has?"""
    try:
        # What is read back from a file is checked more strictly than what is set.
        type(config).from_dict(config.to_dict())
        with torch.device("meta"):
            made = type(smaller)(config)
    except Exception:  # noqa: BLE001  a configuration's own checks raise what they like
        return False
    shapes = {name: tensor.shape for name, tensor in made.state_dict().items()}
    return shapes == {name: tensor.shape for name, tensor in smaller.state_dict().items()}


def _remade(smaller: torch.nn.Module, config: Any) -> torch.nn.Module:
    """A model made from ``config``, with the very weights of ``smaller``."""
    device = next(smaller.parameters()).device
    with torch.random.fork_rng(devices=[]):
        made = type(smaller)(config)
    made.to(device).load_state_dict(smaller.state_dict(), assign=True)
    return made.eval()
