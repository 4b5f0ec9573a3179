"""Operations and bytes, gross and effective: by formula, the same as ``inspect`` counts, in words."""

from __future__ import annotations

from functools import cache

import numpy as np
from tests.model.graphs import Draft, quick, rows_of, tokens

from aerogel.model.graph import Graph
from aerogel.model.program import Program
from aerogel.model.work import NOTHING, Work, step_work, work_of


@cache
def encoder() -> Graph:
    """Attention with its linear layers, then two more, of which one is three quarters zeros."""
    d = Draft()
    x = d.embedding(16)
    x = d.norm(d.add(d.activation(d.linear(d.attend(x), 16)), x))
    graph = d.graph(x, d.linear(d.pool(x), 4))
    d.weights["layer5.weight"][:, 4:] = 0
    return graph


@cache
def program() -> Program:
    return quick(encoder())


def test_by_formula() -> None:
    """A layer of 3 x 4 on 5 rows, of whose weights 5 are not zero."""
    d = rows_of(4)
    y = d.linear("x", 3)
    (name,) = (name for name, weight in d.weights.items() if np.ndim(weight) == 2)
    d.weights[name][:] = np.eye(3, 4)
    d.weights[name][0, 2:] = 7
    p = quick(d.graph(y))
    batch = p.batch(np.zeros((5, 4), np.float32))
    feed, layer, fetch = (step_work(p.built, i, batch) for i in range(3))
    assert (layer.flops_gross, layer.flops_effective) == (2 * 3 * 4 * 5, 2 * 5 * 5)
    activations = 4 * (3 + 5 * 4 + 5 * 3)  # bias, x, y
    assert layer.bytes_gross == activations + 4 * 3 * 4
    assert layer.bytes_effective == activations + next(iter(p.built.packed.values())).at(5).nbytes
    assert feed == Work(0, 0, 0, 2 * 4 * 5 * 4, 2 * 4 * 5 * 4)
    assert fetch.flops_gross == 0
    assert p.work(np.zeros((5, 4), np.float32)) == feed + layer + fetch == work_of(p.built, batch)


def test_what_kernels_compute_lies_between_gross_and_effective() -> None:
    for lengths in ((9, 30), (3,)):
        batch = program().batch(**tokens(lengths))
        for number in range(len(program().built.steps)):
            step = step_work(program().built, number, batch)
            assert step.flops_effective <= step.flops_computed
        found = program().work(**tokens(lengths))
        assert found.flops_effective < found.flops_gross


def test_attention_is_quadratic_in_each_length_and_padding_is_no_work() -> None:
    """Lengths 9 and 30 make 9^2 + 30^2 pairs in each of two products, of 16 features."""
    batch = program().batch(**tokens((9, 30)))
    steps = program().built.steps
    (number,) = (i for i, step in enumerate(steps) if type(step).__name__ == "AttentionStep")
    assert step_work(program().built, number, batch).flops_gross == 4 * (9**2 + 30**2) * 16


def test_nothing_is_no_work() -> None:
    work = Work(5, 4, 4, 3, 2)
    assert work + NOTHING == work
    assert program().work(np.zeros((0, 3), int)).flops_gross == 0
    assert work.to_json()["bytes_effective"] == 2
