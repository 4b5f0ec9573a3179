"""Graphs given other outputs: what becomes of each kind, and that the numbers are the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tests.model.graphs import Draft, tokens

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.model.check import check
from aerogel.model.graph import Graph, Output
from aerogel.model.graph_outputs import SENTENCE, TOKENS, sentence_graph, token_graph
from aerogel.model.reference import evaluate

GIVEN = tokens((5, 2, 1))


def encoder(**names: str) -> Graph:
    """Tokens, their mean, and a vector made from it; ``names``: what is put out, and as what."""
    draft = Draft()
    hidden = draft.attend(draft.embedding())
    mean = draft.pool(hidden)
    made = {"hidden": hidden, "mean": mean, "head": draft.linear(mean, 3)}
    graph = draft.graph()
    return replace(graph, outputs=tuple(Output(name, made[kind]) for name, kind in names.items()))


@pytest.mark.parametrize(
    "names",
    [
        {SENTENCE: "mean"},
        {SENTENCE: "head"},
        {"vector": "head"},
        {"last_hidden_state": "hidden", SENTENCE: "mean"},
    ],
)
def test_a_graph_with_vectors_stays_as_it_is(names: dict[str, str]) -> None:
    graph = encoder(**names)
    assert sentence_graph(graph) is graph


@pytest.mark.parametrize(
    "names",
    [
        {"last_hidden_state": "hidden"},
        {TOKENS: "hidden"},
        {"last_hidden_state": "hidden", "pooler_output": "head"},
        {"last_hidden_state": "hidden", "other": "head"},
    ],
)
def test_hidden_states_get_their_mean(names: dict[str, str]) -> None:
    graph = sentence_graph(encoder(**names))
    check(graph)
    assert [o.name for o in graph.outputs] == [SENTENCE]
    expected = evaluate(encoder(mean="mean"), GIVEN)["mean"]
    assert_allclose(evaluate(graph, GIVEN)[SENTENCE], expected, rtol=1e-12)


def test_a_value_of_the_graph_may_bear_the_name_already() -> None:
    graph = encoder(last_hidden_state="hidden")
    ops = tuple(
        replace(op, out=replace(op.out, name=SENTENCE)) if i == 5 else op for i, op in enumerate(graph.ops)
    )
    renamed = sentence_graph(replace(graph, ops=ops[:6]))
    check(renamed)
    assert renamed.ops[-1].out.name == f"{SENTENCE}_0"


@pytest.mark.parametrize(
    "names", [{"logits": "head"}, {"pooler_output": "head"}, {"logits": "hidden"}, {"a": "mean", "b": "head"}]
)
def test_what_is_no_encoder_is_refused(names: dict[str, str]) -> None:
    with pytest.raises(InputError, match=f"puts out {', '.join(names)}: "):
        sentence_graph(encoder(**names))


@pytest.mark.parametrize("kind", ["mean", "head"])
def test_the_tokens_a_vector_is_made_of(kind: str) -> None:
    graph = token_graph(encoder(other="hidden", vector=kind), "vector")
    check(graph)
    found = evaluate(graph, GIVEN)
    assert list(found) == ["vector", TOKENS]
    assert_array_equal(found[TOKENS], evaluate(encoder(hidden="hidden"), GIVEN)["hidden"])
    assert_array_equal(found["vector"], evaluate(encoder(vector=kind), GIVEN)["vector"])


def test_tokens_of_two_poolings_are_refused() -> None:
    draft = Draft()
    x, y = draft.embedding(), draft.embedding()
    both = draft.graph(draft.add(draft.pool(x), draft.pool(y, "max")))
    with pytest.raises(UnsupportedError, match="pooled from 2 values"):
        token_graph(both, "out0")
