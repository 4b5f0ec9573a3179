"""Small patterns for the tests of contenders, and their cases as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from aerogel.bench.einsum.data import Pattern, pattern_of
from aerogel.bench.einsum.operations import OPERATIONS
from aerogel.bench.einsum.problem import build, save
from aerogel.bench.einsum.reference import wanted
from aerogel.bench.einsum.side import file_name


def pattern(name: str, shape: tuple[int, ...], stored: int, *, undirected: bool = False) -> Pattern:
    """Random places; rows and fibers without entries among them."""
    rng = np.random.default_rng([stored, *shape])
    coords = tuple(rng.integers(0, max(1, size - 1), stored) for size in shape)
    if undirected:
        coords = tuple(np.concatenate([coords[a], coords[1 - a]]) for a in (0, 1))
    return pattern_of(name, shape, coords, undirected=undirected)


SQUARE = pattern("square", (17, 17), 60)
TALL = pattern("tall", (23, 9), 50)
GRAPH = pattern("graph", (20, 20), 70, undirected=True)
TENSOR = pattern("tensor", (6, 7, 9), 60)


def patterns_for(operation: str) -> tuple[Pattern, ...]:
    match OPERATIONS[operation].kind:
        case "matrix":
            return SQUARE, TALL
        case "graph":
            return (GRAPH,)
        case "tensor":
            return (TENSOR,)


def write_case(folder: Path, operation: str, of: Pattern, dtype: str) -> dict[str, Any]:
    """The case as a contender's ``prepare`` takes it."""
    problem = build(operation, of, dtype)
    save(folder / file_name(operation, of.name, dtype), problem, wanted(problem))
    return {"operation": operation, "data": of.name, "dtype": dtype}
