"""The inputs of an imported graph: their names, what may be left out, and examples of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.model.agreement import EXAMPLE, agree, imported  # noqa: E402
from tests.model.zoo import Over, as_torch, batch, hugging, masked, randomized  # noqa: E402
from torch import nn  # noqa: E402

from aerogel.core.errors import InputError, UnsupportedError  # noqa: E402
from aerogel.model.from_torch import from_torch  # noqa: E402
from aerogel.model.graph import Graph, Input  # noqa: E402


@pytest.fixture(scope="module")
def bert() -> nn.Module:
    return hugging("BertModel", layers=1)


@pytest.fixture(scope="module")
def graph(bert: nn.Module) -> Graph:
    return imported(bert)


def test_inputs_by_position_are_named_as_in_forward(bert: nn.Module, graph: Graph):
    assert imported(bert, tuple(EXAMPLE.values())).inputs == graph.inputs


def test_an_example_of_one_token_gives_the_same_graph(bert: nn.Module, graph: Graph):
    assert imported(bert, as_torch(batch((1,)))).ops == graph.ops


def test_without_a_mask_every_token_is_a_key(bert: nn.Module):
    graph = imported(bert, EXAMPLE["input_ids"])
    assert [i.name for i in graph.inputs] == ["input_ids"]
    agree(bert, graph, {"input_ids": batch((6, 6))["input_ids"]})


def test_token_types_passed_in_are_looked_up(bert: nn.Module):
    kinds = (batch((5, 3))["input_ids"] % 2).astype(np.int64)
    graph = imported(bert, {**EXAMPLE, "token_type_ids": torch.from_numpy(kinds)})
    assert graph.inputs[-1] == Input("token_type_ids", "ids", 2, optional=True)
    agree(bert, graph, {**batch((5, 3)), "token_type_ids": kinds})
    agree(bert, graph, batch((5, 3)))


def test_hidden_states_are_outputs_too():
    module = hugging("BertModel", layers=1, output_hidden_states=True)
    names = [o.name for o in imported(module).outputs]
    assert names == ["last_hidden_state", "pooler_output", "hidden_states_0", "hidden_states_1"]


def test_callers_dynamic_shapes_are_respected():
    module = randomized(Over(masked))
    ops = imported(module).ops
    dims = {0: torch.export.Dim("batch", min=2), 1: torch.export.Dim("length", min=2)}
    assert from_torch(module, EXAMPLE, dict.fromkeys(EXAMPLE, dims)).ops == ops
    assert from_torch(module, tuple(EXAMPLE.values()), (dims, dims)).ops == ops
    with pytest.raises(UnsupportedError, match="let batch and length be dynamic"):
        from_torch(module, EXAMPLE, {})


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"nope": torch.ones(2, 2)}, r"BertModel.forward has no named argument for \['nope'\]"),
        ((torch.ones(2, 0, dtype=torch.long),), r"'input_ids' of shape \(2, 0\) is empty"),
        ((1,) * 40, "example_inputs do not fit BertModel.forward"),
    ],
    ids=["unknown", "empty", "many"],
)
def test_unusable_examples_are_refused(bert: nn.Module, example: Any, message: str):
    with pytest.raises(InputError, match=message):
        from_torch(bert, example)
