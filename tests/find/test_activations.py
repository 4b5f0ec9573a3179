"""Activations near zero: exact on hand-made networks, over real tokens only, and as torch sees them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.find.networks import encoder, factories, mlp, subject
from tests.model.graphs import tokens
from tests.model.zoo import as_torch, batch, hugging

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.find.activations import measure_activations
from aerogel.find.subject import Subject, open_subject
from aerogel.find.torch_module import linear_inputs, module_weights


def test_zeros_after_relu_and_at_the_input_of_each_layer() -> None:
    x = np.zeros((2, 8), np.float32)
    x[1] = 1
    found = measure_activations(subject(mlp(), example={"x": x}), None)
    assert found.tokens == 2
    assert "example inputs" in found.about and found.texts is None
    into_up, after, into_down = found.rows
    assert (into_up.place, into_up.names, into_up.zeros.count, into_up.zeros.zeros) == (
        "input",
        ("up.weight",),
        16,
        8,
    )
    # The row of zeros leaves the biases, three of which are negative; the other row is positive everywhere.
    assert (after.place, after.fn, after.zeros.count, after.zeros.zeros) == ("after", "relu", 12, 3)
    assert (into_down.names, into_down.zeros) == (("down.weight",), after.zeros)
    np.testing.assert_array_equal(found.live["up.weight"], np.full(8, 0.5, np.float32))
    np.testing.assert_array_equal(found.live["down.weight"], [0.5, 0.5, 0.5, 1, 1, 1])


def test_padding_does_not_count() -> None:
    short, long = tokens((3,)), tokens((3, 7))
    long["ids"][0, :3], long["mask"][1] = short["ids"][0], long["mask"][1]
    alone = measure_activations(subject(encoder(), example=short), None)
    assert alone.tokens == 3
    both = measure_activations(subject(encoder(), example=long), None)
    assert both.tokens == 10
    assert [row.columns for row in both.rows if row.names == ("up.weight",)] == [10]
    pooled = next(row for row in both.rows if row.names == ("head.weight",))
    assert pooled.columns == 2, "one column per sequence after pooling"


def test_one_entry_where_layers_share_their_input() -> None:
    found = measure_activations(subject(encoder(), example=tokens((4, 2))), None)
    assert found.rows[0].names == ("layer1.weight", "layer2.weight", "layer3.weight")


def test_the_interpreter_sees_what_torch_sees() -> None:
    module, given = hugging("BertModel"), batch((7, 3, 5))
    traced = open_subject(module, as_torch(given), lambda _: None)
    found = measure_activations(traced, None)
    seen = linear_inputs(module, [given], None)
    assert set(found.live) <= set(seen)
    for row in found.rows:
        if row.place == "input" and row.columns == 15:
            matrix = seen[row.names[0]]
            assert matrix.shape == (15, row.features), "real tokens only"
            assert row.zeros.zeros == int((matrix == 0).sum())
            assert row.zeros.rms == pytest.approx(float(np.sqrt(np.square(matrix).mean())), rel=1e-4)


def test_a_refused_module_is_watched_as_it_runs(tmp_path: Path) -> None:
    refused = open_subject(f"{factories(tmp_path)}:odd", None, lambda _: None)
    assert refused.graph is None
    found = measure_activations(refused, None)
    assert [row.names for row in found.rows] == [("up.weight",), ("down.weight",)]
    assert found.tokens == 3
    # Row 0 of `up` is zero: its output is its bias, the same for every token.
    bias = float(refused.module.up.bias.detach()[0])  # type: ignore[union-attr]
    assert found.live["down.weight"][0] == (1 if bias > 0 else 0)


def test_a_module_that_fails_says_so() -> None:
    class Picky(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise KeyError("no")

    module = Picky()
    picky = Subject("picky", "module", module_weights(module), None, "odd", module, (torch.ones(1, 2),))
    with pytest.raises(UnsupportedError, match="the module fails on them: KeyError"):
        measure_activations(picky, None)


def test_nothing_to_feed() -> None:
    with pytest.raises(UnsupportedError, match="neither a tokenizer nor example inputs"):
        measure_activations(subject(mlp()), None)


def test_texts_for_a_model_without_a_tokenizer() -> None:
    with pytest.raises(InputError, match="has no tokenizer"):
        measure_activations(subject(mlp(), example={"x": np.ones((1, 8), np.float32)}), ["a text"])


def test_json() -> None:
    found = measure_activations(subject(mlp(), example={"x": np.ones((2, 8), np.float32)}), None)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [row["place"] for row in document["rows"]] == ["input", "after", "input"]
    assert document["tokens"] == 2 and document["after"]["count"] == 12
