"""Patterns for the comparison: from files, or small ones at random where none are given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import aerogel as ag
from aerogel.bench.chip.problem import random_pattern
from aerogel.bench.einsum.data import Pattern, pattern_of
from aerogel.core.errors import InputError, require


def from_files(paths: Iterable[Path]) -> tuple[Pattern, ...]:
    """Of ``.mtx`` and ``.tns`` files, matrices and tensors of three modes, by the files' names."""
    found: list[Pattern] = []
    for path in paths:
        tensor = ag.read(path)
        modes = len(tensor.shape)
        told = f"{path} has {modes} modes: the kernels take matrices and tensors of three"
        require(modes in (2, 3), InputError, told)
        require(tensor.nnz, InputError, f"{path} holds nothing: there is nothing to compute")
        coords, _ = tensor.coordinates()
        found.append(pattern_of(path.name.split(".")[0], tensor.shape, coords))
    return tuple(found)


def at_random() -> tuple[Pattern, ...]:
    """Two matrices, 1 and 10 % full, and a tensor at 2 %, as the published comparison's were."""
    return (
        random_pattern("200 x 200, 1 %", (200, 200), 0.01),
        random_pattern("200 x 200, 10 %", (200, 200), 0.1),
        random_pattern("30 x 30 x 30, 2 %", (30, 30, 30), 0.02),
    )
