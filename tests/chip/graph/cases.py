"""Expressions of the sparse abstract machine's evaluation, operands for them, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

import aerogel as ag
from aerogel.chip.graph.build import DEFAULT, Options, Plan, build
from aerogel.chip.graph.interpret import interpret as run_graph
from aerogel.einsum.interpret import interpret
from aerogel.einsum.nodes import Assignment, Reduce, accesses, walk
from aerogel.einsum.parse import parse
from aerogel.formats.storage import Storage, check
from aerogel.tensor.places import grid

EXPRESSIONS = {
    "SpMV": "x(i) = B(i,j) * c(j)",
    "SpM*SpM": "X(i,j) = B(i,k) * C(k,j)",
    "SDDMM": "X(i,j) = B(i,j) * C(i,k) * D(j,k)",
    "InnerProd": "x = B(i,j,k) * C(i,j,k)",
    "TTV": "X(i,j) = B(i,j,k) * c(k)",
    "TTM": "X(i,j,k) = B(i,j,l) * C(k,l)",
    "MTTKRP": "X(i,j) = B(i,k,l) * C(j,k) * D(j,l)",
    "Residual": "x(i) = b(i) - C(i,j) * d(j)",
    "MatTransMul": "x(i) = b() * C(j,i) * d(j) + e() * f(i)",
    "MMAdd": "X(i,j) = B(i,j) + C(i,j)",
    "Plus3": "X(i,j) = B(i,j) + C(i,j) + D(i,j)",
    "Plus2": "X(i,j,k) = B(i,j,k) + C(i,j,k)",
    "ElemMult": "X(i,j) = B(i,j) * C(i,j)",
}
MORE = (
    "X(i,l) = B(i,j) * C(j,k) * D(k,l)",
    "X(i,j) = B(i,j) - C(i,k) * D(k,j)",
    "X(i,j) = relu(B(i,k) * C(k,j) + b(j))",
    "x(i) = exp(B(i,j)) * c(j)",
    "x(i) = reduce_max(j, B(i,j))",
    "x(i) = sum(j, B(i,j) ** 3)",
    "X(i,j) = exp(B(i,j) - c(i))",
    "X(i,j) = (B(i,j) + C(i,j)) * D(i,j)",
    "X(i,j) = B(i,j) * (C(i,j) - d(i))",
    "X(i,j) = B(i,j) * B(j,i)",
    "X(i,j) = B(i,j) * B(i,j) + B(i,j)",
    "X(i,j) = max(B(i,j), C(i,j))",
    "X(i,j) = B(i,j) > C(i,j)",
    "X(i,j) = sigmoid(B(i,j)) + tanh(C(i,j))",
    "x(i) = B(i,j) * c(j) + D(i,k) * e(k)",
    "X(i,j) = b(i) * c(j)",
    "x(i) = b(i) + 1",
    "x(i) = B(i,i) * c(i)",
    "X(i,j) = B(i,j) / (1 + sum(k, C(i,k)))",
    "X(i,j) = M(i,j) * exp(S(i,j) - m(i)) / (1 + sum(k, M(i,k) * exp(S(i,k) - m(i))))",
)
EXTENTS = {"i": 4, "j": 4, "k": 3, "l": 2}
Arrays = Mapping[str, NDArray[np.float64]]


def indices(assignment: Assignment) -> tuple[str, ...]:
    folded = [node.index for node in walk(assignment.expr) if isinstance(node, Reduce)]
    return tuple(dict.fromkeys((*assignment.out.indices, *folded)))


def orders(text: str) -> list[tuple[str, ...]]:
    return list(permutations(indices(parse(text))))


def operands(text: str, rng: np.random.Generator, filled: float = 0.4) -> dict[str, NDArray[np.float64]]:
    """Small whole numbers, so that sums are exact in any order."""
    found: dict[str, NDArray[np.float64]] = {}
    for access in accesses(parse(text).expr):
        shape = tuple(EXTENTS[i] for i in access.indices)
        values = rng.integers(1, 6, shape).astype(float)
        found[access.tensor] = np.where(rng.random(shape) < filled, values, 0.0) if shape else values
    return found


def stored(arrays: Arrays, formats: Mapping[str, str]) -> dict[str, Any]:
    """The operands as tensors; a scalar as it is."""
    return {n: ag.tensor(a, format=formats.get(n, "csf")) if a.ndim else a for n, a in arrays.items()}


def any_formats(arrays: Arrays, rng: np.random.Generator) -> dict[str, str]:
    """A kind for each level, and the modes in any order."""
    found: dict[str, str] = {}
    for name, array in arrays.items():
        kinds = ",".join(rng.choice(["dense", "compressed"], array.ndim))
        found[name] = f"{kinds}@{','.join(map(str, rng.permutation(array.ndim)))}" if array.ndim else ""
    return found


def wanted(text: str, arrays: Arrays, *, semiring: str = "plus_times") -> NDArray[Any]:
    """By the interpreter of expressions; what is 0 in an array is not stored."""
    assignment = parse(text, semiring=semiring)
    scalars = {a.tensor for a in accesses(assignment.expr) if not a.indices}
    masks = {n: np.ones((), np.bool_) if n in scalars else a != 0 for n, a in arrays.items()}
    return np.asarray(interpret(assignment, arrays, masks))


def planned(
    text: str, tensors: Mapping[str, Any], order: tuple[str, ...] | None = None, options: Options = DEFAULT
) -> tuple[Plan, Storage]:
    """The plan, and its result by the interpreter of graphs."""
    plan = build(text, tensors, order, options=options)
    return plan, check(plan.result(run_graph(plan.graph, plan.stored(tensors))), "the result")


def dense(storage: Storage) -> NDArray[Any]:
    return np.asarray(grid(storage))
