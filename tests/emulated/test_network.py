"""A whole network on an emulated ARM processor: its answers are those of float64, whatever the threads."""

from __future__ import annotations

import numpy as np
import pytest
from tests.emulated.arm import Emulated
from tests.model.graphs import Draft, agree, as_dict, tokens

from aerogel.core.target import Target, available
from aerogel.model import assemble
from aerogel.model.compile import build
from aerogel.model.graph import Graph
from aerogel.model.program import Program
from aerogel.model.quantised import quantised
from aerogel.model.reference import evaluate


def network(zeros: float) -> Graph:
    """Two layers of an encoder and a pooled vector, that share of the weights being zero."""
    d = Draft()
    x = d.add(d.embedding(24), d.embedding(24))
    for _ in range(2):
        x = d.norm(d.add(d.linear(d.attend(x), 24), x))
        x = d.norm(d.add(d.linear(d.activation(d.linear(x, 72)), 24), x))
    graph = d.graph(x, d.normalize(d.pool(x)))
    for name, weight in d.weights.items():
        if name.startswith("layer") and weight.ndim == 2:
            weight[np.random.default_rng(0).random(weight.shape) < zeros] = 0
    return graph


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "compile_native", Emulated)


@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("zeros", [0.0, 0.8])
def test_answers_are_right(arm: Target, zeros: float) -> None:
    program: Program = build(network(zeros), plan="quick", target=arm, threads=1)
    assert isinstance(program.built.compiled, Emulated)
    for lengths in ((1,), (5, 9, 2), (17,) * 3):
        agree(program, tokens(lengths))


@pytest.mark.usefixtures("emulated")
def test_threads_change_no_bit(arm: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    program = build(network(0.5), plan="quick", target=arm, threads=1)
    inputs = tokens((7, 3, 12))
    first = agree(program, inputs)
    for threads in (2, 3):
        for name, array in agree(program, inputs, threads=threads).items():
            np.testing.assert_array_equal(array.view(np.uint32), first[name].view(np.uint32))


@pytest.mark.usefixtures("emulated")
def test_integers_give_the_bits_of_any_other_cpu(arm: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention, norms and activations between them too; at one thread and at three."""
    graph, inputs = quantised(network(0.5)), tokens((7, 3, 12))
    program = build(graph, plan="quick", target=arm, threads=1)
    monkeypatch.undo()
    wanted = as_dict(graph, build(graph, plan="quick", target=available()[-1], threads=1)(**inputs))
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    for threads in (1, 3):
        for name, array in as_dict(graph, program(**inputs, threads=threads)).items():
            np.testing.assert_array_equal(array.view(np.uint32), wanted[name].view(np.uint32))


@pytest.mark.usefixtures("emulated")
def test_layers_in_integers(arm: Target) -> None:
    """Within what 8 bits may lose of a network in floats."""
    graph = network(0.5)
    program = build(quantised(graph, {}), plan="quick", target=arm, threads=1)
    inputs = tokens((7, 3, 12))
    got = as_dict(graph, program(**inputs))
    for name, array in evaluate(graph, inputs).items():
        assert 1e-4 < np.abs(got[name] - array).max() < 0.05 * np.abs(array).max(), name
