"""A whole inspection: what is handed out, in which order, what it says where it cannot look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.find.networks import factories, mlp
from tests.model.graphs import rows_of

from aerogel.core.errors import InputError
from aerogel.find.inspect import inspect
from aerogel.find.paymap import scattered
from aerogel.find.result import VERSION, Inspection, Section
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.model.artefact import Artefact, save


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return factories(tmp_path_factory.mktemp("models"))


def document(found: Inspection) -> Any:
    return json.loads(json.dumps(found.to_json(), allow_nan=False))


def test_a_tiny_model_is_looked_at_in_full_and_timed_not_at_all(file: Path) -> None:
    sections: list[Section] = []
    told: list[str] = []
    found = inspect(f"{file}:net", progress=told.append, found=sections.append)
    assert [type(s).__name__ for s in sections] == [
        "Header", "WeightReport", "ActivationReport", "CostReport", "Timing", "Verdict",
    ]  # fmt: skip
    assert tuple(sections) == found.sections()
    assert told[0] == "loading the model"
    # Row 0 and input 0 of `up`: 8 + 15 zeros, those of the input spelt -0.0.
    up = found.weights.of("linear")[0]
    assert (up.name, up.zeros.zeros) == ("up.weight", 8 + 15)
    assert found.activations is not None and found.activations.tokens == 3
    assert found.verdict.pays == "neither"
    assert found.timing.pay.rows == () and len(found.timing.pay.small) == 2


def test_the_document(file: Path) -> None:
    found = document(inspect(f"{file}:net"))
    assert found["version"] == VERSION
    assert set(found) == {
        "version", "model", "kind", "refusal", "history", "verdict", "weights", "activations", "costs",
        "timing", "sensitivity", "skipped", "machine", "seconds",
    }  # fmt: skip
    assert set(found["timing"]) == {"map", "splits", "estimates", "gains", "missing", "whole_controls"}
    assert found["refusal"] is None and found["skipped"] == {}


def test_a_refused_model(file: Path) -> None:
    found = inspect(f"{file}:odd")
    assert found.header.refusal is not None and "fft" in found.header.refusal
    assert found.weights.total("linear").zeros == 8 + 15
    assert found.activations is not None
    assert found.costs.assumed is not None
    assert Skipped("the whole model", "compile would refuse it") in found.timing.missing
    assert "compile would refuse this model" in str(found)


def test_an_artefact_without_anything_to_feed_it(tmp_path: Path) -> None:
    save(tmp_path / "m.aero", Artefact(mlp()))
    found = inspect(tmp_path / "m.aero")
    assert found.activations is None
    assert document(found)["skipped"] == {"activations": "it has neither a tokenizer nor example inputs"}
    assert "ACTIVATIONS: not looked at" in str(found)
    assert found.weights.total("linear").zeros == 9


def test_a_module_in_memory() -> None:
    layer = torch.nn.Linear(4, 3)
    with torch.no_grad():
        layer.weight[1] = 0
    found = inspect(torch.nn.Sequential(layer, torch.nn.ReLU()), torch.ones(2, 4))
    assert found.weights.total("linear").zeros == 4
    assert found.activations is not None
    assert [row.place for row in found.activations.rows] == ["input", "after"]


def test_data_for_a_model_that_takes_no_texts(file: Path) -> None:
    with pytest.raises(InputError, match="has no tokenizer"):
        inspect(f"{file}:net", data=["a text"])


@pytest.mark.parametrize("budget_s", [0, -1, float("nan")])
def test_a_budget_that_is_none(file: Path, budget_s: float) -> None:
    with pytest.raises(InputError, match="budget_s"):
        inspect(f"{file}:net", budget_s=budget_s)


def test_layers_without_time_are_named(file: Path) -> None:
    found = inspect(f"{file}:large", budget_s=1e-3)
    assert found.timing.pay.rows == ()
    assert Skipped("128 x 64 unstructured", NO_TIME) in found.timing.pay.missing
    assert found.verdict.pays == "not measured"
    assert Skipped("the whole model at 16 columns", NO_TIME) in found.timing.missing


@pytest.mark.slow
def test_a_sparse_model_is_timed_in_full(tmp_path: Path) -> None:
    draft = rows_of(128)
    draft.weights["up.weight"] = scattered((256, 128), 0.9, "block4x1")
    graph = draft.graph(draft.linear(draft.activation(draft.linear("x", 256, weight="up"), "relu"), 4))
    save(tmp_path / "m.aero", Artefact(graph))
    found = inspect(tmp_path / "m.aero", budget_s=110)
    timing = found.timing
    assert [(row.name, row.pattern) for row in found.weights.sparse] == [("up.weight", "block4x1")]
    assert {str(row.curve.way) for row in timing.pay.rows} >= {"dense int8", "unstructured"}
    assert [s.tokens for s in timing.splits] == [16, 128] and [g.tokens for g in timing.gains] == [16, 128]
    assert {e.sparsity for e in timing.estimates} == {0.0, 0.5, 0.7, 0.8, 0.9}
    for each in timing.estimates:
        assert each.whole is not None
        assert each.whole.low <= each.whole.value <= each.whole.high
    assert "Its linear layers hold 87 % zeros already" in "\n".join(found.verdict.reasons)
    document(found)
