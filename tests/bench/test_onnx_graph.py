"""A graph as ONNX, run by onnxruntime, against the interpreter of graphs: every operation, every input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.model.graphs import IDS, Draft, rows_of, tokens

from aerogel.bench import onnx_writer
from aerogel.bench.onnx_graph import given_inputs, onnx_model
from aerogel.core.errors import UnsupportedError
from aerogel.model.graph import (
    ActivationFn,
    Attention,
    Columns,
    FromConstant,
    FromPosition,
    FromUnpadded,
    Graph,
    Input,
    PoolKind,
    Value,
)
from aerogel.model.reference import evaluate

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
LENGTHS = (5, 1, 3)


def run(graph: Graph, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    session = onnxruntime.InferenceSession(onnx_model(graph), providers=["CPUExecutionProvider"])
    taken = {i.name for i in session.get_inputs()}
    assert taken == {i.name for i in given_inputs(graph)}
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(None, {n: inputs[n] for n in taken}), strict=True))


def agree(graph: Graph, inputs: dict[str, NDArray[Any]] | None = None, columns: Columns = "tokens") -> None:
    inputs = tokens(LENGTHS) if inputs is None else inputs
    inputs = {n: a.astype(np.int64 if a.dtype.kind in "iub" else a.dtype) for n, a in inputs.items()}
    found, wanted = run(graph, inputs), evaluate(graph, inputs)
    assert found.keys() == wanted.keys()
    for name, right in wanted.items():
        # The graph clears padding in outputs over tokens; other runtimes leave what they computed there.
        kept = inputs["mask"].astype(bool) if columns == "tokens" and "mask" in inputs else ...
        assert found[name].shape == right.shape
        np.testing.assert_allclose(found[name][kept], right[kept], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("fn", get_args(ActivationFn))
def test_activations(fn: ActivationFn) -> None:
    draft = Draft()
    x = draft.embedding()
    agree(draft.graph(draft.activation(draft.linear(x, 6), fn)))


def test_an_encoder_layer_hides_padding_from_attention() -> None:
    draft = Draft()
    x = draft.norm(draft.add(draft.embedding(), draft.embedding(lookup=FromPosition(2))))
    x = draft.norm(draft.add(x, draft.attend(x)))
    agree(draft.graph(draft.mul(x, draft.linear(x, bias=False))))


@pytest.mark.parametrize(
    "lookup", [FromPosition(0), FromPosition(3), FromUnpadded("ids", 1), FromConstant(4)]
)
def test_lookups(lookup: FromPosition | FromUnpadded | FromConstant) -> None:
    draft = Draft()
    given = tokens(LENGTHS)
    given["ids"][:, -2:] = 1
    agree(draft.graph(draft.add(draft.embedding(), draft.embedding(lookup=lookup))), given)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("kind", get_args(PoolKind))
def test_pools_and_normalised_rows(kind: PoolKind, masked: bool) -> None:
    draft = Draft() if masked else Draft(inputs=(IDS,))
    x = draft.normalize(draft.pool(draft.linear(draft.embedding()), kind))
    given = tokens(LENGTHS) if masked else {"ids": tokens((4, 4))["ids"]}
    agree(draft.graph(x), given, "rows")


def test_relative_positions() -> None:
    draft = Draft()
    x = draft.embedding()
    bias = draft.weight("bias", 2, 2 * 40 - 1)
    draft.ops.append(Attention(Value("mixed", 8, "tokens"), x, x, x, 2, 0.5, bias))
    agree(draft.graph("mixed"))


def test_features_and_an_output_without_a_dimension_of_its_own() -> None:
    draft = rows_of(8)
    graph = draft.graph(draft.linear(draft.inputs[0].name, 1))
    graph = replace(graph, outputs=(replace(graph.outputs[0], squeezed=True),))
    rng = np.random.default_rng(0)
    agree(graph, {draft.inputs[0].name: rng.standard_normal((7, 8), dtype=np.float32)}, "rows")


def test_inputs_that_may_be_left_out_are() -> None:
    draft = Draft(
        inputs=(IDS, Input("segments", "ids", 2, optional=True), Input("mask", "mask", 2, optional=True))
    )
    from aerogel.model.graph import FromInput

    x = draft.add(draft.embedding(), draft.embedding(lookup=FromInput("segments"), rows=2))
    graph = draft.graph(x)
    assert [i.name for i in given_inputs(graph)] == ["ids", "mask"]
    agree(graph)


def test_it_is_the_same_bytes_again_and_for_runtimes_of_long_ago() -> None:
    draft = Draft()
    graph = draft.graph(draft.attend(draft.embedding()))
    made = onnx_model(graph)
    assert made == onnx_model(graph)
    model = onnx.load_from_string(made)
    assert [o.version for o in model.opset_import] == [13] and model.ir_version == 7


def test_weights_that_no_onnx_file_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_writer, "_MOST_BYTES", 1000)
    draft = Draft()
    with pytest.raises(UnsupportedError, match="the most that one ONNX file holds"):
        onnx_model(draft.graph(draft.linear(draft.embedding(rows=50))))
