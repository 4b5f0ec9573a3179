"""Fewer, larger steps with the same result: what is fused, and what must not be."""

from __future__ import annotations

import numpy as np
import pytest
from tests.model.graphs import Draft, agree, quick, rows_of, tokens

from aerogel.core.errors import UnsupportedError
from aerogel.model.fuse import fuse
from aerogel.model.graph import FromConstant, FromPosition, Graph
from aerogel.model.steps import EmbedStep, LinearStep, NormStep, PairStep


def shape(graph: Graph) -> list[str]:
    """The kinds of the steps between the caller's arrays."""
    names = [type(step).__name__.removesuffix("Step").lower() for step in fuse(graph)]
    return [n for n in names if n not in ("feed", "fetch")]


def right(graph: Graph) -> None:
    """The fused program computes what the graph says."""
    agree(quick(graph), tokens((5, 1, 3)))


def linears(graph: Graph) -> list[LinearStep]:
    return [s for s in fuse(graph) if isinstance(s, LinearStep)]


# --- queries, keys and values --------------------------------------------------------------------


def test_three_products_of_an_attention_layer_become_one() -> None:
    d = Draft()
    graph = d.graph(d.attend(d.embedding()))
    assert shape(graph) == ["embed", "linear", "attention"]
    (product,) = linears(graph)
    assert product.weights == ("layer1.weight", "layer2.weight", "layer3.weight")
    assert product.name == "layer1 + layer2 + layer3"
    assert product.out.features == 24
    right(graph)


def test_the_order_of_the_products_does_not_matter() -> None:
    d = Draft()
    x = d.embedding()
    v, q, k = d.linear(x), d.linear(x), d.linear(x)
    graph = d.graph(d.attention(q, k, v))
    assert shape(graph) == ["embed", "linear", "attention"]
    right(graph)


def test_one_product_may_be_query_key_and_value() -> None:
    d = Draft()
    x = d.linear(d.embedding())
    graph = d.graph(d.attention(x, x, x))
    assert shape(graph) == ["embed", "linear", "attention"]
    right(graph)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_product_that_is_also_an_output_is_not_stacked(which: int) -> None:
    d = Draft()
    x = d.embedding()
    products = [d.linear(x) for _ in range(3)]
    graph = d.graph(d.attention(*products), products[which])
    assert products[which] in {s.out.buffer for s in linears(graph) if len(s.weights) == 1}
    with pytest.raises(UnsupportedError, match="different layers"):
        quick(graph)


def test_a_product_that_something_else_reads_is_not_stacked() -> None:
    d = Draft()
    x = d.embedding()
    q, k, v = (d.linear(x) for _ in range(3))
    graph = d.graph(d.add(d.attention(q, k, v), v))
    assert [len(s.weights) for s in linears(graph)] == [2, 1]


def test_products_of_different_values_are_not_stacked() -> None:
    d = Draft()
    x, y = d.embedding(), d.norm(d.embedding())
    graph = d.graph(d.attention(d.linear(x), d.linear(y), d.linear(y)))
    assert [len(s.weights) for s in linears(graph)] == [1, 2]
    with pytest.raises(UnsupportedError, match="at here"):
        quick(graph)


def test_layers_that_share_a_weight_have_names_of_their_own() -> None:
    d = Draft()
    x = d.linear(d.embedding(), weight="shared")
    graph = d.graph(d.linear(d.norm(x), weight="shared"))
    assert [s.name for s in linears(graph)] == ["shared", "shared (2)"]
    right(graph)


# --- residuals and activations -------------------------------------------------------------------


@pytest.mark.parametrize("swapped", [False, True])
def test_an_addition_is_where_the_sums_start(swapped: bool) -> None:
    d = Draft()
    x = d.embedding()
    y = d.linear(x)
    graph = d.graph(d.add(y, x) if swapped else d.add(x, y))
    assert shape(graph) == ["embed", "linear"]
    (product,) = linears(graph)
    assert product.residual is not None and product.residual.buffer == x
    assert product.out.buffer != x
    right(graph)


def test_of_two_products_the_second_takes_the_first() -> None:
    d = Draft()
    x = d.embedding()
    graph = d.graph(d.add(d.linear(x), d.linear(x)))
    first, second = linears(graph)
    assert first.residual is None and second.residual is not None
    right(graph)


def test_a_residual_made_later_is_added_by_itself() -> None:
    d = Draft()
    x = d.embedding()
    y = d.linear(x)
    graph = d.graph(d.add(y, d.norm(x)))
    assert shape(graph) == ["embed", "linear", "norm", "pair"]
    right(graph)


def test_a_product_added_to_itself_is_no_residual() -> None:
    d = Draft()
    y = d.linear(d.embedding())
    graph = d.graph(d.add(y, y))
    assert shape(graph) == ["embed", "linear", "pair"]
    right(graph)


def test_an_activation_is_applied_as_the_layer_stores() -> None:
    d = Draft()
    graph = d.graph(d.activation(d.linear(d.embedding()), "tanh"))
    assert shape(graph) == ["embed", "linear"]
    assert linears(graph)[0].activation == "tanh"
    right(graph)


def test_an_activation_may_follow_a_residual() -> None:
    d = Draft()
    x = d.embedding()
    graph = d.graph(d.activation(d.add(d.linear(x), x), "relu"))
    assert shape(graph) == ["embed", "linear"]
    right(graph)


def test_only_one_activation_is_swallowed() -> None:
    d = Draft()
    graph = d.graph(d.activation(d.activation(d.linear(d.embedding()), "tanh"), "sigmoid"))
    assert shape(graph) == ["embed", "linear", "activation"]
    right(graph)


@pytest.mark.parametrize("reader", ["output", "operation"])
def test_a_product_read_twice_keeps_its_value(reader: str) -> None:
    """Neither the activation nor the residual may replace what something else still reads."""
    d = Draft()
    x = d.embedding()
    y = d.linear(x)
    z = d.activation(y)
    graph = d.graph(z, y) if reader == "output" else d.graph(d.mul(z, y))
    assert shape(graph)[1:3] == ["linear", "activation"]
    right(graph)
    d = Draft()
    x = d.embedding()
    y = d.linear(x)
    z = d.add(y, x)
    graph = d.graph(z, y) if reader == "output" else d.graph(d.mul(z, y))
    assert shape(graph)[1:3] == ["linear", "pair"]
    right(graph)


def test_a_sum_read_twice_keeps_its_value_before_the_activation() -> None:
    d = Draft()
    x = d.embedding()
    y = d.add(d.linear(x), x)
    graph = d.graph(d.activation(y, "relu"), y)
    assert shape(graph) == ["embed", "linear", "activation"]
    right(graph)


def test_an_activation_of_something_else_stands_alone() -> None:
    d = Draft()
    graph = d.graph(d.activation(d.norm(d.embedding())))
    assert shape(graph) == ["embed", "norm", "activation"]
    right(graph)


# --- norms ---------------------------------------------------------------------------------------


def test_an_addition_read_by_a_norm_is_done_there() -> None:
    d = Draft()
    x = d.embedding()
    y = d.activation(x)
    graph = d.graph(d.norm(d.add(x, y)))
    assert shape(graph) == ["embed", "activation", "norm"]
    (norm,) = (s for s in fuse(graph) if isinstance(s, NormStep))
    assert norm.residual is not None
    right(graph)


def test_a_sum_that_is_also_an_output_is_not_lost_in_the_norm() -> None:
    d = Draft()
    x = d.embedding()
    total = d.add(x, d.activation(x))
    graph = d.graph(d.norm(total), total)
    assert shape(graph) == ["embed", "activation", "pair", "norm"]
    right(graph)


def test_a_value_doubled_before_a_norm() -> None:
    d = Draft()
    x = d.activation(d.embedding())
    graph = d.graph(d.norm(d.add(x, x)))
    right(graph)


# --- embeddings ----------------------------------------------------------------------------------


def test_a_sum_of_embeddings_is_one_lookup() -> None:
    d = Draft()
    x = d.add(d.embedding(), d.embedding(lookup=FromPosition(2), rows=42))
    graph = d.graph(d.norm(d.add(d.embedding(lookup=FromConstant(1)), x)))
    assert shape(graph) == ["embed", "norm"]
    (lookup,) = (s for s in fuse(graph) if isinstance(s, EmbedStep))
    assert len(lookup.tables) == 3
    right(graph)


def test_four_embeddings_are_more_than_a_lookup_takes() -> None:
    d = Draft()
    x = d.embedding()
    for _ in range(3):
        x = d.add(x, d.embedding())
    graph = d.graph(x)
    assert shape(graph).count("embed") == 2
    right(graph)


def test_pairs_of_embeddings() -> None:
    d = Draft()
    left = d.add(d.embedding(), d.embedding())
    graph = d.graph(d.add(left, d.add(d.embedding(), d.embedding())))
    assert shape(graph) == ["embed", "embed", "pair"]
    right(graph)


def test_an_embedding_read_twice_is_kept() -> None:
    d = Draft()
    a, b = d.embedding(), d.embedding()
    graph = d.graph(d.add(a, b), a)
    assert "pair" in shape(graph)
    right(graph)
    d = Draft()
    a = d.embedding()
    graph = d.graph(d.add(a, a))
    assert shape(graph) == ["embed", "pair"]
    right(graph)


# --- the rest ------------------------------------------------------------------------------------


def test_what_no_output_needs_is_dropped() -> None:
    d = Draft()
    x = d.embedding()
    d.attend(x)
    graph = d.graph(d.norm(x))
    assert shape(graph) == ["embed", "norm"]
    right(graph)


def test_a_reader_that_is_dropped_does_not_hinder() -> None:
    d = Draft()
    y = d.linear(d.embedding())
    d.norm(y)
    graph = d.graph(d.activation(y))
    assert shape(graph) == ["embed", "linear"]
    right(graph)


def test_one_value_under_two_names() -> None:
    d = Draft()
    y = d.linear(d.embedding())
    right(d.graph(y, y))


def test_an_input_that_is_an_output() -> None:
    d = rows_of(4)
    graph = d.graph("x", d.linear("x", 3))
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    got = agree(quick(graph), {"x": x})
    np.testing.assert_array_equal(got["out0"], x)


def test_products_and_sums_of_pairs() -> None:
    d = Draft()
    x = d.embedding()
    graph = d.graph(d.mul(d.add(x, d.norm(x)), d.normalize(x)))
    assert [s.op for s in fuse(graph) if isinstance(s, PairStep)] == ["add", "mul"]
    right(graph)
