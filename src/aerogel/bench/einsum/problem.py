"""One operation on one pattern in one type: its operands, always the same, and what must come out.

A result is a dense array, ``Entries``, or a number. Whether it is right is judged entry by entry against
the same thing computed by NumPy and SciPy in float64, in roundings: the unit is half the type's epsilon
times the sum of the magnitudes of the terms that were added up, so that neither large entries nor
cancellation hide an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.einsum.data import Pattern
from aerogel.bench.einsum.entries import Entries
from aerogel.bench.einsum.operations import INNER, RANK
from aerogel.core.errors import InputError, MeasureError, require
from aerogel.core.suggest import unknown

DTYPES = ("f64", "f32")
_NUMPY = {"f64": np.float64, "f32": np.float32}
MOST_ROUNDINGS = 64.0

Result = Entries | NDArray[Any] | float


@dataclass(frozen=True, slots=True)
class Problem:
    """Entries are in order, but those of ``coo_to_csr``; of ``spgemm`` the second operand is the first
    where that is square."""

    operation: str
    sparse: tuple[Entries, ...]
    dense: tuple[NDArray[Any], ...] = ()

    def map(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Problem:
        """The same with other values."""
        sparse = tuple(Entries(a.shape, a.coords, change(a.values)) for a in self.sparse)
        return Problem(self.operation, sparse, tuple(change(x) for x in self.dense))


def build(operation: str, pattern: Pattern, dtype: str) -> Problem:
    """The operands; InputError for an operation that no pattern of this kind fits."""
    require(dtype in _NUMPY, InputError, unknown("type", dtype, DTYPES))
    draw = _Draw(_NUMPY[dtype])
    matrix = operation not in ("ttv", "ttm", "mttkrp")
    fits = len(pattern.shape) == (2 if matrix else 3)
    require(fits, InputError, f"{operation} does not fit {pattern.name} of {len(pattern.shape)} modes")
    whole = draw.entries(pattern.shape, pattern.coords)
    match operation:
        case "spmv":
            return Problem(operation, (whole,), (draw.array(whole.shape[1]),))
        case "spmm32" | "spmm128":
            return Problem(operation, (whole,), (draw.array(whole.shape[1], int(operation[4:])),))
        case "spgemm":
            square = whole.shape[0] == whole.shape[1]
            return Problem(operation, (whole, whole if square else transposed(whole)))
        case "sddmm":
            return Problem(
                operation, (whole,), (draw.array(whole.shape[0], INNER), draw.array(whole.shape[1], INNER))
            )
        case "add3":
            return Problem(operation, (whole, *_others(whole, draw)))
        case "transpose":
            return Problem(operation, (whole,))
        case "coo_to_csr":
            return Problem(operation, (draw.shuffled(whole),))
        case "triangles":
            return Problem(operation, (below_diagonal(whole),))
        case "ttv":
            return Problem(operation, (whole,), (draw.array(whole.shape[2]),))
        case "ttm":
            return Problem(operation, (whole,), (draw.array(whole.shape[2], RANK),))
        case "mttkrp":
            return Problem(
                operation, (whole,), (draw.array(whole.shape[1], RANK), draw.array(whole.shape[2], RANK))
            )
        case _:
            raise InputError(f"operation {operation!r} is unknown")


class _Draw:
    """Random numbers, the same every time."""

    def __init__(self, dtype: Any) -> None:
        self._rng, self._dtype = np.random.default_rng(0), dtype

    def array(self, *shape: int) -> NDArray[Any]:
        """Between 0.5 and 1.5, of either sign."""
        sign = self._rng.integers(0, 2, shape) * 2.0 - 1.0
        return (sign * self._rng.uniform(0.5, 1.5, shape)).astype(self._dtype)

    def entries(self, shape: tuple[int, ...], coords: tuple[NDArray[np.int32], ...]) -> Entries:
        return Entries(shape, coords, self.array(len(coords[0])))

    def shuffled(self, whole: Entries) -> Entries:
        order = self._rng.permutation(whole.stored)
        return Entries(whole.shape, tuple(coord[order] for coord in whole.coords), whole.values[order])


def transposed(matrix: Entries) -> Entries:
    rows, columns = matrix.coords
    return Entries(matrix.shape[::-1], (columns, rows), matrix.values).in_order()


def _others(matrix: Entries, draw: _Draw) -> tuple[Entries, Entries]:
    """The pattern moved a column on, and its transpose (or the pattern moved two on): entries that partly
    meet those of ``matrix``."""
    moved = [_moved(matrix, by) for by in (1, 2)]
    second = transposed(matrix) if matrix.shape[0] == matrix.shape[1] else moved[1]
    return draw.entries(matrix.shape, moved[0].coords), draw.entries(matrix.shape, second.coords)


def _moved(matrix: Entries, by: int) -> Entries:
    rows, columns = matrix.coords
    moved = ((columns.astype(np.int64) + by) % matrix.shape[1]).astype(np.int32)
    return Entries(matrix.shape, (rows, moved), matrix.values).in_order()


def below_diagonal(graph: Entries) -> Entries:
    """Ones for the edges from each node to those of lower number, nodes renumbered by degree: few edges
    first, as is usual before triangles are counted."""
    rows, columns = graph.coords
    degree = np.bincount(rows, minlength=graph.shape[0])
    number = np.empty(graph.shape[0], np.int32)
    number[np.argsort(degree, kind="stable")] = np.arange(graph.shape[0], dtype=np.int32)
    high, low = number[rows], number[columns]
    kept = high > low
    ones = np.ones(int(kept.sum()), graph.values.dtype)
    return Entries(graph.shape, (high[kept], low[kept]), ones).in_order()


@dataclass(frozen=True, slots=True)
class Wanted:
    """``exact``: what must come out, entries in order; ``bound``: the sum of its terms' magnitudes, of the
    same form."""

    exact: Result
    bound: Result
    epsilon: float

    def roundings(self, found: Result) -> float:
        """The largest error of ``found``; MeasureError where it has another shape, a place twice, or an
        error above ``MOST_ROUNDINGS``."""
        if isinstance(self.exact, Entries):
            require(isinstance(found, Entries), MeasureError, "the result is not sparse, as it should be")
            assert isinstance(found, Entries) and isinstance(self.bound, Entries)
            values, exact, bound = _aligned(found, self.exact, self.bound)
        else:
            require(
                not isinstance(found, Entries), MeasureError, "the result is sparse, which it should not be"
            )
            values, exact, bound = (np.asarray(x, np.float64) for x in (found, self.exact, self.bound))
            require(
                values.shape == exact.shape,
                MeasureError,
                f"the result has shape {values.shape}, not {exact.shape}",
            )
        error = np.abs(values - exact)
        unit = 0.5 * self.epsilon * bound
        # Where nothing was added up, zero is exact. What is not a number stays so, and is wrong.
        relative = np.where(error == 0, 0.0, error / np.maximum(unit, np.finfo(np.float64).tiny))
        worst = float(np.max(relative, initial=0))
        right = worst <= MOST_ROUNDINGS
        require(right, MeasureError, f"the result is wrong: an entry is off by {worst:.3g} roundings")
        return worst


def _aligned(found: Entries, exact: Entries, bound: Entries) -> tuple[NDArray[np.float64], ...]:
    """Values of all three at the places that any of them has."""
    require(
        found.shape == exact.shape, MeasureError, f"the result has shape {found.shape}, not {exact.shape}"
    )
    found = found.in_order()
    keys, places, bounds = found.keys(), exact.keys(), bound.keys()
    require(bool(np.all(keys[1:] > keys[:-1])), MeasureError, "the result has a place twice")
    parts = tuple(np.asarray(e.values, np.float64) for e in (found, exact, bound))
    # A sum that is 0 may be left out of any of them.
    if np.array_equal(keys, places) and np.array_equal(places, bounds):
        return parts
    every = np.sort(np.concatenate([keys, places, bounds]))
    every = every[np.append(True, every[1:] > every[:-1])]
    spread = [np.zeros(len(every)) for _ in parts]
    for into, at, values in zip(spread, (keys, places, bounds), parts, strict=True):
        into[np.searchsorted(every, at)] = values
    return tuple(spread)


def save(path: Path, problem: Problem, wanted: Wanted) -> None:
    """Both, as one ``.npz`` that ``load`` reads."""
    arrays: dict[str, NDArray[Any]] = {
        "operation": np.array(problem.operation),
        "epsilon": np.array(wanted.epsilon),
    }
    # An operand that is used twice is one object for everyone.
    same = len(problem.sparse) == 2 and problem.sparse[0] is problem.sparse[1]
    for number, entries in enumerate(problem.sparse[:1] if same else problem.sparse):
        arrays |= _arrays(f"sparse{number}", entries)
    arrays["uses"] = np.array(len(problem.sparse))
    arrays |= {f"dense{number}": array for number, array in enumerate(problem.dense)}
    # Of the bound, a few digits are enough.
    rounded = _narrowed(wanted.bound)
    for name, result in (("exact", wanted.exact), ("bound", rounded)):
        arrays |= _arrays(name, result) if isinstance(result, Entries) else {name: np.asarray(result)}
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]


def _narrowed(bound: Result) -> Result:
    if isinstance(bound, Entries):
        return Entries(bound.shape, bound.coords, bound.values.astype(np.float32))
    return np.asarray(bound, np.float32)


def load(path: Path) -> tuple[Problem, Wanted]:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    sparse = [_entries(arrays, f"sparse{n}") for n in range(len(arrays)) if f"sparse{n}.values" in arrays]
    sparse += sparse * (int(arrays["uses"]) - len(sparse))
    dense = tuple(arrays[f"dense{n}"] for n in range(len(arrays)) if f"dense{n}" in arrays)
    exact, bound = (arrays[n] if n in arrays else _entries(arrays, n) for n in ("exact", "bound"))
    problem = Problem(str(arrays["operation"]), tuple(sparse), dense)
    return problem, Wanted(exact, bound, float(arrays["epsilon"]))


def _arrays(name: str, entries: Entries) -> dict[str, NDArray[Any]]:
    coords = {f"{name}.coord{mode}": coord for mode, coord in enumerate(entries.coords)}
    return {f"{name}.shape": np.array(entries.shape), f"{name}.values": entries.values, **coords}


def _entries(arrays: dict[str, NDArray[Any]], name: str) -> Entries:
    shape = tuple(int(size) for size in arrays[f"{name}.shape"])
    coords = tuple(arrays[f"{name}.coord{mode}"] for mode in range(len(shape)))
    return Entries(shape, coords, arrays[f"{name}.values"])
