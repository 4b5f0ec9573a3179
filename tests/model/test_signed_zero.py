"""A zero is a zero whatever its sign: in what is fed, in what is looked up, in weights, at every target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.model.graphs import Draft, as_dict, quick, rows_of, tokens

from aerogel.core.target import Target, available
from aerogel.model.graph import ActivationFn, Graph

TARGETS = pytest.mark.parametrize("target", available(), ids=lambda t: t.name)
FUNCTIONS: tuple[ActivationFn, ...] = ("gelu", "gelu_tanh", "relu", "silu", "tanh", "sigmoid")


def signed(array: NDArray[Any], zero: float) -> NDArray[np.float32]:
    """``array`` with every zero as ``zero``."""
    return np.where(array == 0, np.float32(zero), array).astype(np.float32)


def sparse(graph: Graph, zero: float) -> Graph:
    """Four in five numbers of every weight, table and bias are ``zero``, and one whole row of each is."""
    weights: dict[str, NDArray[np.float32]] = {}
    for name in graph.weights:
        weight = graph.weight(name)
        gone = np.random.default_rng(weight.size).random(weight.shape) < 0.8
        gone[:1] = True
        weights[name] = np.where(gone, np.float32(zero), weight)
    return replace(graph, weights=weights)


def same(
    one: Graph, other: Graph, target: Target, given: dict[str, Any], given_other: dict[str, Any]
) -> None:
    program, other_program = quick(one, target), quick(other, target)
    # A zero that is stored takes room, whatever its sign.
    assert program.nbytes == other_program.nbytes
    found, also = as_dict(one, program(**given)), as_dict(other, other_program(**given_other))
    for name, array in found.items():
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(array, also[name], name)


def rows() -> Graph:
    """The input as each operation takes it at once, and behind a linear layer."""
    draft = rows_of(24)
    values: list[str] = []
    for x in ("x", draft.linear("x", 24)):
        values += [draft.activation(x, fn) for fn in FUNCTIONS]
        values += [draft.norm(x), draft.normalize(x), draft.add(x, x), draft.mul(x, x), draft.linear(x, 5)]
    return draft.graph(*values)


def sequences() -> Graph:
    draft = Draft()
    x = draft.embedding(16)
    x = draft.norm(draft.add(x, draft.attend(x)))
    x = draft.add(x, draft.linear(draft.activation(draft.linear(x, 32), "relu"), 16))
    pooled = [draft.pool(x, kind) for kind in ("mean", "max", "first")]
    return draft.graph(x, *pooled, *[draft.normalize(p) for p in pooled])


@TARGETS
@pytest.mark.parametrize("columns", [1, 3, 40])
def test_features(target: Target, columns: int) -> None:
    random = np.random.default_rng(columns)
    x = random.standard_normal((columns, 24)).astype(np.float32)
    x[random.random(x.shape) < 0.5] = 0
    x[0] = 0  # nothing but zeros: there is no length to divide by, and no spread
    graph = rows()
    for given in (graph, sparse(graph, 0.0)):
        same(given, given, target, {"x": signed(x, 0.0)}, {"x": signed(x, -0.0)})


@TARGETS
@pytest.mark.parametrize("lengths", [(1,), (7, 1, 3, 12)])
def test_weights_tables_and_what_is_looked_up(target: Target, lengths: tuple[int, ...]) -> None:
    given = tokens(lengths)
    given["ids"][0, 0] = 0  # the row of zeros
    graph = sequences()
    same(sparse(graph, 0.0), sparse(graph, -0.0), target, given, given)
