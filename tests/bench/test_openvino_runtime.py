"""OpenVINO as a contender: where it is installed it runs, and where not a stand-in shows what it is asked."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.model.graphs import Draft

from aerogel.bench.arrays import Fed, Signature
from aerogel.bench.onnx_graph import onnx_model
from aerogel.bench.openvino_runtime import OpenVino, make_given
from aerogel.core.errors import MissingDependencyError
from aerogel.model.reference import evaluate

SIGNATURE = Signature((Fed("ids", "ids", 50), Fed("mask", "mask", 2)), "out0", over_tokens=True)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    class Core:
        def compile_model(self, path: str, device: str, settings: dict[str, Any]) -> Any:
            assert device == "CPU"
            found.append(settings)
            return SimpleNamespace(create_infer_request=lambda: None)

    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=Core))
    monkeypatch.setitem(sys.modules, "openvino_telemetry", None)
    return found


def test_it_is_held_to_fp32_or_left_as_it_comes(asked: list[dict[str, Any]]) -> None:
    OpenVino(Path("m.onnx"), "f32", 2)
    OpenVino(Path("m.onnx"), None, None)
    latency = {"PERFORMANCE_HINT": "LATENCY"}
    assert asked == [
        {**latency, "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}, latency
    ]  # fmt: skip


def test_without_it_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setitem(sys.modules, "openvino_telemetry", None)
    with pytest.raises(MissingDependencyError, match=r"aerogel\[peers\]"):
        OpenVino(Path("m.onnx"), None, None)


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed")
def test_it_computes_what_the_graph_does_and_reports_to_nobody(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    draft = Draft()
    x = draft.norm(draft.embedding())
    graph = draft.graph(draft.add(x, draft.attend(x)))
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_model(graph))
    subject = make_given(str(path), SIGNATURE.to_json(), "f32", threads=1)
    case = {"lengths": [5, 1, 3]}
    subject.prepare(case)
    wanted = evaluate(graph, SIGNATURE.arrays(case))["out0"]
    np.testing.assert_allclose(subject.result(), wanted, rtol=1e-4, atol=1e-5)
    facts = subject.facts()
    assert (facts["threads"], facts["precision"]) == (1, "f32")
    assert facts["size_bytes"] == path.stat().st_size
    assert sys.modules.get("openvino_telemetry") is None
