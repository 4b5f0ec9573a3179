"""``aerogel prune`` of models that others made sparse, and of runs that were interrupted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.trial.little import sentence_encoder, texts

from aerogel.carbon.ledger import Ledger
from aerogel.cli import main
from aerogel.model.source import load_model
from aerogel.prune.interchange import write_checkpoint
from aerogel.trial import pruning
from aerogel.trial.forecast import Forecast

transformers = pytest.importorskip("transformers")


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is foretold of layers this small."""
    monkeypatch.setattr(pruning, "forecast", lambda *_: Forecast(1, 0, 0, None))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "texts.txt"
    path.write_text("\n".join(texts(60)))
    return path


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in which two of four are zero everywhere, as llm-compressor leaves it."""
    folder = sentence_encoder(tmp_path_factory.mktemp("models") / "two_of_four")
    model = transformers.BertModel.from_pretrained(folder)
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear) and "pooler" not in name:
                fours = module.weight.view(-1, 4)
                fours.scatter_(1, fours.abs().topk(2, dim=1, largest=False).indices, 0.0)
    model.save_pretrained(folder)
    (folder / "recipe.yaml").write_text("stage:\n  SparseGPTModifier: {sparsity: 0.5}\n")
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    status = main(["prune", *map(str, words), "--no-measure", "--json"])
    out, err = capsys.readouterr()
    assert status == 0, err
    return json.loads(out)


def test_dense_zeros_are_recognised(
    sparse: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--method", "magnitude", "--sparsity", "0.6", "--data", data, "-o", tmp_path / "out")
    found = run(capsys, sparse, *words)
    told = next(note for note in found["notes"] if "already sparse" in note)
    assert "zeros in these, 2:4; its recipe names SparseGPTModifier" in told


def test_another_layout_is_read(
    sparse: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = tmp_path / "stored"
    write_checkpoint(load_model(str(sparse)).module.encoder, stored, "sparse-bitmask")
    for name in ("config.json", "tokenizer.json"):
        whole = json.loads((sparse / name).read_text())
        if name == "config.json":
            whole |= json.loads((stored / name).read_text()) if (stored / name).exists() else {}
        (stored / name).write_text(json.dumps(whole))
    words = ("--method", "magnitude", "--sparsity", "0.6", "--data", data, "-o", tmp_path / "out")
    found = run(capsys, stored, *words)
    assert any("stores its weights as sparse-bitmask" in note for note in found["notes"])
    assert found["model"] == "stored"
    module = load_model(str(tmp_path / "out")).module
    weight = module.get_parameter("encoder.layer.0.intermediate.dense.weight")
    assert float((weight == 0).float().mean()) == pytest.approx(0.6, abs=0.01)


def test_a_run_that_was_interrupted_goes_on_and_says_so(
    sparse: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, saved = tmp_path / "ledger", tmp_path / "saved.safetensors"
    words = (sparse, "--sparsity", "0.7", "--data", data, "-o", tmp_path / "out", "--checkpoint", saved)
    first = run(capsys, *words, "--recover", "2steps", "--ledger", ledger, "--place", "FRA")
    assert (first["pruned"]["restored"], first["spent"]["resumed"]) == (0, False)
    kept = sorted((tmp_path / "saved.safetensors.layers").glob("*.safetensors"))
    assert len(kept) == len(first["pruned"]["layers"])
    for file in kept[3:]:
        file.unlink()
    again = run(capsys, *words, "--recover", "2steps")
    assert (again["pruned"]["restored"], again["spent"]["resumed"]) == (3, True)
    zeros = [[layer["zeros"] for layer in found["pruned"]["layers"]] for found in (first, again)]
    assert zeros[0] == zeros[1]
    runs = list(Ledger(ledger).runs())
    assert [(r.kind, r.label.split()[0]) for r in runs] == [
        ("pruning", "prune"), ("training", "recover"), ("pruning", "judge"),
    ]  # fmt: skip
    assert runs[0].seconds == pytest.approx(first["spent"]["pruning"]["seconds"])
