"""The interpreter against formulas written out by hand; torch has no part in this."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from aerogel.core.errors import InputError
from aerogel.model.graph import (
    Activation,
    ActivationFn,
    Attention,
    Embedding,
    FromConstant,
    FromInput,
    FromPosition,
    FromUnpadded,
    Graph,
    Input,
    LayerNorm,
    Linear,
    Lookup,
    Mul,
    Normalize,
    Op,
    Output,
    Pool,
    PoolKind,
    Value,
)
from aerogel.model.reference import activate, evaluate

RANDOM = np.random.default_rng(1)
IDS = np.array([[3, 1, 4, 1], [5, 9, 1, 1]])
MASK = np.array([[1, 0, 1, 1], [1, 1, 0, 0]])
INPUTS = (Input("ids", "ids", 10), Input("mask", "mask", 2, optional=True))


def _table(rows: int, features: int) -> Any:
    return RANDOM.normal(size=(rows, features)).astype(np.float32)


def _tokens(*ops: Op, out: str, lookup: Lookup = FromInput("ids"), **weights: Any) -> Graph:  # noqa: B008
    first = Embedding(Value("x", 4, "tokens"), "table", lookup)
    tables = {"table": _table(12, 4), **weights}
    return Graph(INPUTS, (first, *ops), (Output("out", out),), tables, 6)


def _rows(*ops: Op, out: str, **weights: Any) -> Graph:
    return Graph((Input("x", "features", 4),), ops, (Output("out", out),), weights)


@pytest.mark.parametrize(
    ("lookup", "rows"),
    [
        (FromInput("ids"), IDS),
        (FromConstant(2), np.full((2, 4), 2)),
        (FromPosition(3), np.array([[3, 4, 5, 6]] * 2)),
        (FromUnpadded("ids", 1), np.array([[2, 1, 3, 1], [2, 3, 1, 1]])),
    ],
    ids=["input", "constant", "position", "unpadded"],
)
def test_each_lookup_reads_its_rows_and_padding_gives_zeros(lookup: Lookup, rows: Any):
    graph = _tokens(out="x", lookup=lookup)
    found = evaluate(graph, {"ids": IDS, "mask": MASK})["out"]
    assert found.shape == (2, 4, 4) and found.dtype == np.float64
    assert_array_equal(found, graph.weights["table"][rows] * MASK[..., None])


def test_a_mask_left_out_means_that_every_token_counts():
    graph = _tokens(out="x")
    assert_array_equal(evaluate(graph, {"ids": IDS})["out"], graph.weights["table"][IDS])


def test_optional_ids_left_out_are_zero():
    graph = _tokens(out="x", lookup=FromInput("kinds"))
    graph = replace(graph, inputs=(*INPUTS, Input("kinds", "ids", 2, optional=True)))
    assert_array_equal(evaluate(graph, {"ids": IDS})["out"][1, 2], graph.weights["table"][0])


@pytest.mark.parametrize("biased", [False, True])
def test_attention_against_the_sum_over_keys(biased: bool):
    bias = _table(2, 11) if biased else None
    op = Attention(Value("a", 4, "tokens"), "x", "x", "x", 2, 0.6, "near" if biased else None)
    graph = _tokens(op, out="a", **({"near": bias} if biased else {}))
    found = evaluate(graph, {"ids": IDS, "mask": MASK})["out"]
    x = graph.weights["table"][IDS].astype(np.float64)
    for b, i, h in np.ndindex(2, 4, 2):
        if not MASK[b, i]:
            assert_array_equal(found[b, i], 0)
            continue
        part = slice(2 * h, 2 * h + 2)
        keys = [j for j in range(4) if MASK[b, j]]
        near = [float(bias[h, j - i + 5]) if bias is not None else 0.0 for j in keys]
        weight = [
            math.exp(0.6 * (x[b, i, part] @ x[b, j, part]) + n) for j, n in zip(keys, near, strict=True)
        ]
        expected = sum(w * x[b, j, part] for w, j in zip(weight, keys, strict=True)) / sum(weight)
        assert_allclose(found[b, i, part], expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["first", "mean", "max"])
def test_pools_see_real_tokens_and_the_first_sees_position_zero(kind: PoolKind):
    mask = np.array([[0, 1, 1, 1], [1, 1, 0, 0]])
    graph = _tokens(Pool(Value("p", 4, "rows"), "x", kind), out="p")
    found = evaluate(graph, {"ids": IDS, "mask": mask})["out"]
    x = graph.weights["table"][IDS].astype(np.float64)
    expected = {
        "first": [x[0, 0], x[1, 0]],
        "mean": [x[0, 1:].mean(0), x[1, :2].mean(0)],
        "max": [x[0, 1:].max(0), x[1, :2].max(0)],
    }
    assert_allclose(found, expected[kind], rtol=1e-15)


def test_linear_layer_norm_product_and_unit_length_over_leading_dimensions():
    weights = {"w": _table(4, 4), "b": _table(1, 4)[0], "g": _table(1, 4)[0]}
    graph = _rows(
        Linear(Value("l", 4, "rows"), "x", "w", "b"),
        Linear(Value("k", 4, "rows"), "x", "w", None),
        Mul(Value("m", 4, "rows"), "l", "k"),
        LayerNorm(Value("n", 4, "rows"), "m", "g", "b", 0.1),
        Normalize(Value("u", 4, "rows"), "n", 1e-12),
        out="u",
        **weights,
    )
    x = RANDOM.normal(size=(2, 3, 4))
    plain = x @ weights["w"].T.astype(np.float64)
    product = (plain + weights["b"]) * plain
    scaled = (product - product.mean(-1, keepdims=True)) / np.sqrt(product.var(-1, keepdims=True) + 0.1)
    normed = scaled * weights["g"] + weights["b"]
    expected = normed / np.linalg.norm(normed, axis=-1, keepdims=True)
    assert_allclose(evaluate(graph, {"x": x})["out"], expected, rtol=1e-9)
    assert_allclose(evaluate(graph, {"x": x[0, 0]})["out"], expected[0, 0], rtol=1e-9)


def test_a_short_vector_is_divided_by_eps():
    graph = _rows(Normalize(Value("u", 4, "rows"), "x", 0.5), out="u")
    assert_array_equal(evaluate(graph, {"x": np.array([[0.1, 0, 0, 0]])})["out"], [[0.2, 0, 0, 0]])


FORMULAS: dict[ActivationFn, Any] = {
    "gelu": lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)),
    "gelu_tanh": lambda x: x / (1 + math.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: max(x, 0.0),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}


@pytest.mark.parametrize("fn", FORMULAS)
def test_activations_are_their_formulas(fn: ActivationFn):
    x = np.linspace(-5, 5, 41)
    assert_allclose(activate(fn, x), [FORMULAS[fn](float(v)) for v in x], rtol=1e-9, atol=1e-12)
    assert activate(fn, x.astype(np.float32)).dtype == np.float32


def test_float32_is_computed_in_float32():
    graph = _rows(Activation(Value("y", 4, "rows"), "x", "gelu"), out="y")
    assert evaluate(graph, {"x": np.ones((1, 4))}, np.float32)["out"].dtype == np.float32


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=6, max_size=6), st.integers(0, 5))
def test_what_stands_in_padding_changes_nothing(other: list[int], last: int):
    attention = Attention(Value("a", 4, "tokens"), "x", "x", "x", 2, 1.0)
    graph = _tokens(attention, Pool(Value("p", 4, "rows"), "a", "mean"), out="p")
    mask = (np.arange(6) <= last).astype(np.int64)[None]
    ids = np.array([[3, 1, 4, 1, 5, 9]])
    changed = np.where(mask == 1, ids, np.array([other]))
    expected = evaluate(graph, {"ids": ids[:, : last + 1]})["out"]
    for given_ids in (ids, changed):
        assert_allclose(evaluate(graph, {"ids": given_ids, "mask": mask})["out"], expected, rtol=1e-12)


def test_an_empty_batch_gives_empty_outputs():
    graph = _tokens(Pool(Value("p", 4, "rows"), "x", "mean"), out="p")
    assert evaluate(graph, {"ids": np.zeros((0, 3), np.int64)})["out"].shape == (0, 4)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"inputs \['ids'\] are missing"),
        ({"ids": IDS, "more": IDS}, r"no inputs \['more'\]"),
        ({"ids": IDS + 8}, "outside 0 to 9"),
        ({"ids": IDS - 2}, "outside 0 to 9"),
        ({"ids": IDS[0]}, r"\(4,\): token inputs are all \(B, S\)"),
        ({"ids": IDS[:, :0]}, "S at least 1"),
        ({"ids": IDS.astype(np.float64)}, "float64"),
        ({"ids": IDS, "mask": MASK[:1]}, r"input 'mask' is \(1, 4\)"),
        ({"ids": IDS, "mask": MASK * 2}, "outside 0 to 1"),
        ({"ids": IDS, "mask": MASK * 0}, "mask is 0 everywhere"),
        ({"ids": np.ones((1, 7), np.int64)}, "sequences of 7 tokens: the model's positions end at 6"),
    ],
    ids=["none", "unknown", "high", "low", "rank", "empty", "float", "shape", "two", "zero", "long"],
)
def test_unusable_token_inputs_are_refused(inputs: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        evaluate(_tokens(out="x"), inputs)


@pytest.mark.parametrize("x", [np.ones((2, 3)), np.float64(1.0)], ids=["width", "scalar"])
def test_unusable_features_are_refused(x: Any):
    graph = _rows(Activation(Value("y", 4, "rows"), "x", "relu"), out="y")
    with pytest.raises(InputError, match="last dimension must be 4"):
        evaluate(graph, {"x": x})
