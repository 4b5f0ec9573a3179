"""What a well-formed graph is, and what is said about one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from aerogel.core.errors import UnsupportedError
from aerogel.model.check import check
from aerogel.model.graph import (
    Activation,
    Add,
    Attention,
    Embedding,
    FromInput,
    Graph,
    Input,
    LayerNorm,
    Linear,
    Mul,
    Normalize,
    Op,
    Output,
    Pool,
    Value,
    operands,
    weight_names,
)

OPS: tuple[Op, ...] = (
    Embedding(Value("e", 4, "tokens"), "table", FromInput("ids")),
    LayerNorm(Value("n", 4, "tokens"), "e", "gamma", "beta", 1e-5),
    Attention(Value("a", 4, "tokens"), "n", "e", "n", 2, 0.7, "near"),
    Mul(Value("m", 4, "tokens"), "a", "e"),
    Add(Value("s", 4, "tokens"), "m", "n"),
    Activation(Value("g", 4, "tokens"), "s", "gelu"),
    Pool(Value("p", 4, "rows"), "g", "mean"),
    Linear(Value("l", 3, "rows"), "p", "weight", "bias"),
    Normalize(Value("u", 3, "rows"), "l", 1e-12),
)
WEIGHTS: Mapping[str, NDArray[np.float32]] = {
    name: np.ones(shape, np.float32)
    for name, shape in {
        "table": (10, 4),
        "gamma": (4,),
        "beta": (4,),
        "near": (2, 13),
        "weight": (3, 4),
        "bias": (3,),
    }.items()
}
GRAPH = Graph((Input("ids", "ids", 10),), OPS, (Output("out", "u"),), WEIGHTS, 7)


def test_a_graph_of_every_operation_is_well_formed():
    check(GRAPH)
    assert GRAPH.value("p") == Value("p", 4, "rows")
    assert [op.out.name for op in GRAPH.linears()] == ["l"]


def test_operands_and_weights_of_every_operation():
    read = [operands(op) for op in OPS]
    assert read == [(), ("e",), ("n", "e", "n"), ("a", "e"), ("m", "n"), ("s",), ("g",), ("p",), ("l",)]
    named = [weight_names(op) for op in OPS]
    assert named == [
        ("table",),
        ("gamma", "beta"),
        ("near",),
        (),
        (),
        (),
        (),
        ("weight", "bias"),
        (),
    ]
    plain = Linear(Value("l", 3, "rows"), "p", "weight", None)
    assert weight_names(plain) == ("weight",)


def test_an_unknown_value_is_named():
    with pytest.raises(UnsupportedError, match=r"no value 'z': it makes \['e'"):
        GRAPH.value("z")


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (replace(GRAPH, ops=OPS[1:]), "reads 'e', not made yet"),
        (replace(GRAPH, ops=(OPS[0], *OPS)), "'e' is made twice"),
        (replace(GRAPH, outputs=(Output("out", "z"),)), "output 'out' needs 'z', never made"),
        (replace(GRAPH, weights={n: w for n, w in WEIGHTS.items() if n != "bias"}), "no weight 'bias'"),
        (replace(GRAPH, weights={**WEIGHTS, "weight": WEIGHTS["weight"].T}), r"'weight' of shape \(4, 3\)"),
        (replace(GRAPH, weights={**WEIGHTS, "near": WEIGHTS["near"][:1]}), r"'near' of shape \(1, 13\)"),
        (replace(GRAPH, weights={**WEIGHTS, "table": WEIGHTS["table"][0]}), r"'table' of shape \(4,\)"),
        (replace(GRAPH, inputs=(Input("ids", "ids", 1000),)), r"may look up .* in row 1000 of table 'table'"),
    ],
    ids=["order", "twice", "output", "missing", "transposed", "heads", "rank", "table"],
)
def test_ill_formed_graphs_are_refused(graph: Graph, message: str):
    with pytest.raises(UnsupportedError, match=message):
        check(graph)


@pytest.mark.parametrize(
    ("op", "shape", "message"),
    [
        (Linear(Value("y", 0, "rows"), "x", "w", None), (0, 4), r"Linear 'y' has no outputs \(weight 'w'"),
        (Linear(Value("y", 3, "rows"), "none", "w", None), (3, 0), r"Linear 'y' has no inputs \(weight 'w'"),
        (
            Embedding(Value("y", 0, "tokens"), "w", FromInput("ids")),
            (9, 0),
            r"'y' has no features \(table 'w'",
        ),
    ],
    ids=["outputs", "inputs", "features"],
)
def test_layers_of_nothing_are_refused(op: Op, shape: tuple[int, int], message: str):
    inputs = (Input("x", "features", 4), Input("none", "features", 0), Input("ids", "ids", 9))
    weights = {"w": np.ones(shape, np.float32)}
    with pytest.raises(UnsupportedError, match=message):
        check(Graph(inputs, (op,), (Output("y", "y"),), weights))


def test_features_are_values_from_the_start():
    op = Linear(Value("y", 3, "rows"), "x", "weight", None)
    check(Graph((Input("x", "features", 4),), (op,), (Output("y", "y"),), WEIGHTS))
