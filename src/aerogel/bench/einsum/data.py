"""Real patterns from a folder of public data: Matrix Market files, ``.tns`` files, knowledge graphs.

Only where the entries stand is taken from the files. Their values are drawn: those of some matrices
(1e-306, 1e12) neither fit float32 nor leave its products there, and numbers so small take a CPU longer than
others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.einsum.operations import LEAST_STORED, Kind, Operation
from aerogel.core.errors import InputError, require

_MATRICES, _GRAPHS, _TENSORS = "suitesparse/*.mtx", "graphs/*.mtx", "tensors/*.tns"
# The other knowledge graphs there are parts of what tensors/ has, or small.
_TRIPLES = ("kg_tensors/WN18RR.npz", "kg_tensors/nations.npz")
_CORA = "cora/cora.npz"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Where the entries of a matrix or tensor stand: ``coords`` row-major, each place once. ``undirected``:
    a graph whose edges stand in both directions."""

    name: str
    shape: tuple[int, ...]
    coords: tuple[NDArray[np.int32], ...]
    undirected: bool = False

    @property
    def stored(self) -> int:
        return len(self.coords[0])

    def has(self, kind: Kind) -> bool:
        match kind:
            case "matrix":
                return len(self.shape) == 2
            case "graph":
                return self.undirected
            case "tensor":
                return len(self.shape) == 3


@dataclass(frozen=True, slots=True)
class Patterns:
    """All of a folder."""

    every: tuple[Pattern, ...]

    def of(self, operation: Operation) -> list[Pattern]:
        """What an operation is timed on, smallest first."""
        least, without = LEAST_STORED[operation.kind], dict(operation.left_out)
        fit = [p for p in self.every if p.has(operation.kind) and p.stored >= least and p.name not in without]
        return sorted(fit, key=lambda pattern: (pattern.stored, pattern.name))

    def too_small(self) -> dict[Kind, dict[str, int]]:
        """For each kind the patterns that are left out, and how many entries they have."""
        found: dict[Kind, dict[str, int]] = {}
        for kind, least in LEAST_STORED.items():
            small = [p for p in self.every if p.has(kind) and p.stored < least]
            found[kind] = {p.name: p.stored for p in sorted(small, key=lambda p: (p.stored, p.name))}
        return found


def read_patterns(folder: Path) -> Patterns:
    """InputError where the folder lacks what is looked for."""
    found: list[Pattern] = []
    for glob, read in ((_MATRICES, _matrix), (_GRAPHS, _graph), (_TENSORS, _tensor)):
        found += [read(path) for path in sorted(folder.glob(glob))]
    require(found, InputError, f"{folder} has neither {_MATRICES} nor {_GRAPHS} nor {_TENSORS}: give --data")
    others: list[tuple[str, Callable[[Path], Pattern]]] = [(_CORA, _cora), *((t, _triples) for t in _TRIPLES)]
    found += [read(folder / name) for name, read in others if (folder / name).is_file()]
    return Patterns(tuple(found))


def pattern_of(name: str, shape: tuple[int, ...], coords: Any, *, undirected: bool = False) -> Pattern:
    """Of coordinates in any order, of which some may stand twice."""
    wide = tuple(np.asarray(coord, np.int64) for coord in coords)
    keys = np.unique(np.ravel_multi_index(wide, shape))
    sorted_coords = tuple(coord.astype(np.int32) for coord in np.unravel_index(keys, shape))
    return Pattern(name, shape, sorted_coords, undirected)


def _matrix(path: Path) -> Pattern:
    return _market(path, may_be_graph=False)


def _graph(path: Path) -> Pattern:
    return _market(path, may_be_graph=True)


def _market(path: Path, *, may_be_graph: bool) -> Pattern:
    from scipy.io import mmread

    matrix: Any = mmread(path)
    found = pattern_of(path.stem, tuple(int(size) for size in matrix.shape), (matrix.row, matrix.col))
    undirected = may_be_graph and _symmetric(found)
    return Pattern(found.name, found.shape, found.coords, undirected)


def _symmetric(pattern: Pattern) -> bool:
    rows, columns = pattern.coords
    turned = pattern_of("", pattern.shape, (columns, rows))
    return all(np.array_equal(a, b) for a, b in zip(pattern.coords, turned.coords, strict=True))


def _tensor(path: Path) -> Pattern:
    coords = np.loadtxt(path, usecols=(0, 1, 2), dtype=np.int64).T - 1
    return pattern_of(path.stem, tuple(int(coord.max()) + 1 for coord in coords), coords)


def _triples(path: Path) -> Pattern:
    with np.load(path, allow_pickle=False) as file:
        coords = file["train"].T
        entities, relations = len(file["entities"]), len(file["relations"])
    return pattern_of(path.stem, (entities, relations, entities), coords)


def _cora(path: Path) -> Pattern:
    with np.load(path, allow_pickle=False) as file:
        nodes, pointer, columns = len(file["labels"]), file["adj_indptr"], file["adj_indices"]
    rows = np.repeat(np.arange(nodes), np.diff(pointer))
    return pattern_of("cora", (nodes, nodes), (rows, columns), undirected=True)
