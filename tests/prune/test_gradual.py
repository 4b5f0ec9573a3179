"""Pruning in steps: each goes on from the last, and zeros stay."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.trial.little import classifier, texts

from aerogel.model.source import load_model
from aerogel.prune.gradual import Gradual, Stage

pytest.importorskip("transformers")


def test_each_stage_goes_on_from_the_recovered_one(tmp_path: Path) -> None:
    source = load_model(str(classifier(tmp_path / "little")))
    dense = {name: value.clone() for name, value in source.module.state_dict().items()}
    told: list[tuple[str, float]] = []
    gradual = Gradual(source, texts(20), texts(40), lambda words, share: told.append((words, share)))
    zeros: dict[str, torch.Tensor] = {}
    found: list[tuple[float, bool]] = []
    for stage, result in gradual.stages((Stage(0.5, 0.2), Stage(0.75, 0.0)), tmp_path):
        now = {name: result.model.get_parameter(name) == 0 for name in result.masks}
        assert all(bool((now[name] | ~was).all()) for name, was in zeros.items()), "a zero stays one"
        assert result.report.sparsity == pytest.approx(stage.sparsity, abs=1e-3)
        zeros = now
        found.append((stage.sparsity, result.report.recovery is not None))
    assert found == [(0.5, True), (0.75, False)]
    assert [file.name for file in tmp_path.glob("*.safetensors")] == ["50.safetensors"]
    assert all(0 <= share <= 1 for _, share in told)
    assert any(words.startswith("pruning to 75%") for words, _ in told)
    assert any(words.startswith("recovering at 50%") for words, _ in told)
    assert all(torch.equal(value, dense[name]) for name, value in source.module.state_dict().items())
