"""Operations and bytes against counts made by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.find.networks import encoder, mlp, subject
from tests.model.graphs import quick
from tests.model.zoo import hugging

from aerogel.find.activations import measure_activations
from aerogel.find.cost import count_costs, lengths
from aerogel.find.subject import Subject
from aerogel.find.torch_module import module_weights
from aerogel.find.weights import measure_weights
from aerogel.formats.canonical import encode


def quiet(_: str) -> None:
    pass


def test_an_mlp_by_hand() -> None:
    made = subject(mlp())
    report = count_costs(made, measure_weights(made.weights, quiet), {})
    assert report.unit == "rows" and [cost.tokens for cost in report.costs] == [16, 128]
    up, down = report.costs[1].layers
    assert (up.flops, up.effective_flops) == (2 * 6 * 8 * 128, 2 * (48 - 9) * 128)
    assert (down.flops, down.effective_flops) == (2 * 4 * 6 * 128,) * 2
    assert up.bytes == 4 * (48 + (6 + 8) * 128)
    assert up.effective_bytes == encode(mlp().weight("up.weight")).nbytes + 4 * (6 + 8) * 128
    assert report.costs[1].total("flops") == 2 * 128 * (48 + 24)
    assert up.live_flops is None and report.costs[1].live_flops is None


def test_what_is_left_if_zero_inputs_were_skipped_too() -> None:
    x = np.zeros((4, 8), np.float32)
    x[0, 1] = x[1, 3] = 1
    made = subject(mlp(), example={"x": x})
    live = measure_activations(made, None).live
    up = count_costs(made, measure_weights(made.weights, quiet), live).costs[0].layers[0]
    # Input 1 is live at a quarter of the rows and meets 5 weights; so is input 3, with 5: one is -0.0.
    assert up.live_flops == 2 * 16 * (5 + 5) * 0.25


def test_an_encoder_by_hand() -> None:
    made = subject(encoder())
    report = count_costs(made, measure_weights(made.weights, quiet), {})
    assert report.unit == "tokens"
    assert lengths(made.graph) == (16, 40), "its positions end at 40"
    layers = {layer.name: layer for layer in report.costs[1].layers}
    assert layers["layer1.weight"].flops == 2 * 8 * 8 * 40
    attention = next(layer for layer in layers.values() if layer.kind == "attention")
    assert attention.flops == 4 * 40 * 40 * 8, "q k and weights v: 2 x 2 x length^2 x features"
    assert attention.shape == (2, 4), "2 heads of 4"
    assert layers["head.weight"].columns == 1, "one sequence after pooling"
    assert layers["head.weight"].flops == 2 * 3 * 12
    assert layers["table0"].flops == 0 and layers["table0"].bytes == 2 * 4 * 8 * 40


def test_a_bert_by_its_formula() -> None:
    from tests.model.zoo import as_torch, batch

    from aerogel.model.from_torch import from_torch

    graph = from_torch(hugging("BertModel"), as_torch(batch((7, 3))))
    made = subject(graph)
    cost = count_costs(made, measure_weights(made.weights, quiet), {}).costs[0]
    h, ff, n, blocks = 32, 64, 16, 2
    linear = blocks * 2 * n * (4 * h * h + 2 * h * ff) + 2 * h * h  # and the pooler, on one token
    assert sum(layer.flops for layer in cost.layers if layer.kind == "linear") == linear
    assert sum(layer.flops for layer in cost.layers if layer.kind == "attention") == blocks * 4 * n * n * h


def test_a_refused_module_is_counted_by_its_weights() -> None:
    module = hugging("BertModel")
    refused = Subject("bert", "module", module_weights(module), None, "why", module)
    report = count_costs(refused, measure_weights(refused.weights, quiet), {})
    assert report.assumed is not None and "every token" in report.assumed
    pooler = next(layer for layer in report.costs[0].layers if layer.name == "pooler.dense.weight")
    assert (pooler.columns, pooler.flops) == (16, 2 * 32 * 32 * 16)


@pytest.mark.parametrize("graph", [mlp(), encoder()])
def test_json(graph: object) -> None:
    made = subject(graph)  # type: ignore[arg-type]
    report = count_costs(made, measure_weights(made.weights, quiet), {})
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    for cost in document["costs"]:
        assert cost["total"]["flops"] == sum(layer["flops"] for layer in cost["layers"])
        assert cost["total"]["effective_flops"] <= cost["total"]["flops"]


def test_a_program_counts_the_same_operations() -> None:
    made = subject(encoder())
    program = quick(encoder())
    for cost in count_costs(made, measure_weights(made.weights, quiet), {}).costs:
        found = program.work(np.zeros((1, cost.tokens), int))
        assert found.flops_gross == cost.total("flops")
        assert found.flops_effective == cost.total("effective_flops")
