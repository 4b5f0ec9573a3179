"""Exact selection: which units go, given what each is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError

Scope = Literal["layer", "global"]
Saliency = NDArray[np.floating[Any]]


def checked_sparsity(sparsity: object) -> float:
    """``sparsity`` as a float in [0, 1], or InputError."""
    if isinstance(sparsity, bool) or not isinstance(sparsity, Real):
        raise InputError(f"sparsity is {sparsity!r}: give a number from 0 to 1")
    value = float(sparsity)
    if math.isnan(value) or not 0.0 <= value <= 1.0:
        raise InputError(f"sparsity is {value}: give a fraction from 0 to 1, such as 0.8")
    return value


def pruned_count(sparsity: float, units: int) -> int:
    """How many of ``units`` go: ``round(sparsity * units)``, halves to even."""
    return round(sparsity * units)


def smallest(saliency: Saliency, count: int) -> NDArray[np.bool_]:
    """Flags, in the shape of ``saliency``, exactly ``count`` of them set: the smallest values, and among
    equal ones those of lowest index (row-major)."""
    flat = saliency.reshape(-1)
    if count == 0:
        return np.zeros(saliency.shape, np.bool_)
    threshold = np.partition(flat, count - 1)[count - 1]
    chosen = flat < threshold
    ties = np.flatnonzero(flat == threshold)
    chosen[ties[: count - int(np.count_nonzero(chosen))]] = True
    return chosen.reshape(saliency.shape)


def per_group(saliency: Saliency, frozen: NDArray[np.bool_], kept: int, of: int) -> NDArray[np.bool_]:
    """Flags, in the shape of ``saliency`` [rows, columns]: of every ``of`` consecutive columns of a row all
    but ``kept`` go, the smallest first, ``frozen`` ones before others, equal ones by lowest index. Of a
    shorter last group as many are kept; and where more are frozen, these all go."""
    rows, columns = saliency.shape
    groups = -(-columns // of)
    # What is not there goes last, so that of a shorter group, too, no more than ``kept`` stay.
    padded = np.full((rows, groups * of), np.inf)
    padded[:, :columns] = np.where(frozen, -1.0, saliency)
    order = np.argsort(padded.reshape(rows, groups, of), axis=2, kind="stable")
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(of).reshape(1, 1, of), axis=2)
    there = np.minimum(of, columns - of * np.arange(groups)).reshape(1, groups, 1)
    chosen = (places < there - kept).reshape(rows, -1)[:, :columns]
    return chosen | frozen


def select(saliencies: Sequence[Saliency], sparsity: float, scope: Scope) -> list[NDArray[np.bool_]]:
    """The units to prune, one array of flags per layer.

    ``layer``: ``pruned_count`` of each layer; ``global``: of all layers together, ranked in one list.
    """
    match scope:
        case "layer":
            return [smallest(s, pruned_count(sparsity, s.size)) for s in saliencies]
        case "global":
            joined = np.concatenate([s.reshape(-1) for s in saliencies])
            chosen = smallest(joined, pruned_count(sparsity, joined.size))
            cuts = np.cumsum([s.size for s in saliencies])[:-1]
            parts = np.split(chosen, cuts)
            return [part.reshape(s.shape) for part, s in zip(parts, saliencies, strict=True)]
        case _:
            assert_never(scope)


def checked_scope(scope: str) -> Scope:
    """``scope`` if it is one, else InputError."""
    match scope:
        case "layer" | "global":
            return scope
        case _:
            raise InputError(f"scope {scope!r} is unknown: choose 'layer' or 'global'")
