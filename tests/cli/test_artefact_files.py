"""``aerogel compile -o model.aero``, and every command on such a file: no torch, the same vectors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import aerogel
from aerogel.cli import main

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sentence encoder with its tokenizer."""
    path = tmp_path_factory.mktemp("models") / "little"
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=400, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=40,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(path)
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *"abcdefgh"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(path / "tokenizer.json"))
    (path / "1_Pooling").mkdir()
    (path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    kinds = ("Transformer", "Pooling", "Normalize")
    listed = [{"type": f"sentence_transformers.models.{k}", "path": "1_Pooling"} for k in kinds]
    (path / "modules.json").write_text(json.dumps(listed))
    return path


@pytest.fixture(scope="module")
def artefact(folder: Path) -> Path:
    path = folder.parent / "little.aero"
    assert main(["compile", str(folder), "-o", str(path), "--sparsity", "0.5"]) == 0
    return path


def vectors(words: list[str], to: Path) -> Any:
    assert main([*words, "-o", str(to)]) == 0
    with np.load(to) as outputs:
        return outputs["sentence_embedding"]


def test_the_file_is_told_with_its_size(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, dense = tmp_path / "m.aero", (folder / "model.safetensors").stat().st_size
    assert main(["compile", str(folder), "-o", str(path), "--sparsity", "0.5"]) == 0
    size = path.stat().st_size
    shown = capsys.readouterr().out.splitlines()
    assert shown[-2] == "source: little"
    assert shown[-1] == (
        f"wrote {path}: {size / 1e6:.1f} MB, {size / dense:.2f} of the dense checkpoint's "
        f"{dense / 1e6:.1f} MB (embeddings int8)"
    )
    assert size < 0.6 * dense


def test_as_json_too_and_with_exact_embeddings(
    folder: Path, artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.aero"
    words = ["compile", str(folder), "-o", str(path), "--sparsity", "0.5", "--embeddings", "fp32", "--json"]
    assert main(words) == 0
    read = json.loads(capsys.readouterr().out)
    written = read["written"]
    assert (written["path"], written["bytes"]) == (str(path), path.stat().st_size)
    assert written["dense_bytes"] == (folder / "model.safetensors").stat().st_size
    assert written["share"] == pytest.approx(written["bytes"] / written["dense_bytes"])
    assert written["embeddings"] == "fp32"
    assert written["bytes"] > artefact.stat().st_size


def test_the_file_says_where_it_came_from(artefact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = aerogel.load(artefact, plan="quick").provenance
    assert recorded["source"] == "little"
    assert recorded["versions"] == {"aerogel": aerogel.__version__, "torch": torch.__version__}
    assert recorded["pruning"]["requested"] == 0.5
    assert recorded["pruning"]["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert recorded["pruning"]["pattern"] == "unstructured"
    assert "layers" not in recorded["pruning"]
    assert main(["compile", str(artefact), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["provenance"] == recorded


def test_compile_of_a_file_shows_its_layers(artefact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", str(artefact), "--threads", "1"]) == 0
    shown = capsys.readouterr().out
    assert "64 x 32" in shown and "50 %" in shown
    assert "wrote" not in shown
    assert main(["compile", str(artefact), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert (read["model"], read["pruned"], read["written"]) == ("little.aero", None, None)


def test_a_file_gives_the_vectors_of_its_model(folder: Path, artefact: Path, tmp_path: Path) -> None:
    texts = ["--text", "a b c", "--text", "h", "--text", "b a d c e"]
    ours = vectors(["run", str(artefact), *texts], tmp_path / "a.npz")
    model = vectors(["run", str(folder), "--sparsity", "0.5", *texts], tmp_path / "b.npz")
    assert ours.shape == (3, 32)
    np.testing.assert_allclose(np.einsum("ij,ij->i", ours, model), 1, atol=1e-3)
    arrays = tmp_path / "x.npz"
    np.savez(arrays, input_ids=[[2, 3, 4]], attention_mask=[[1, 1, 1]])
    from_arrays = vectors(["run", str(artefact), "--input", str(arrays)], tmp_path / "c.npz")
    np.testing.assert_allclose(from_arrays[0], ours[0], atol=1e-6)


WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "onnxruntime"):
    sys.modules[name] = None
from aerogel.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("words", [["run", "--text", "a b"], ["compile"]], ids=["run", "compile"])
def test_a_file_needs_no_torch(artefact: Path, words: list[str]) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, words[0], str(artefact), *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_a_factory_is_written_against_its_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "made.py").write_text(
        "import torch\ndef f():\n    return torch.nn.Linear(64, 32), torch.ones(2, 64)\n"
    )
    words = [
        "compile",
        f"{tmp_path}/made.py:f",
        "-o",
        str(tmp_path / "m.aero"),
        "--sparsity",
        "0.9",
        "--json",
    ]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["written"]["dense_bytes"] == 4 * (64 * 32 + 32)
    np.savez(tmp_path / "x.npz", input=np.ones((2, 64), np.float32))
    assert main(["run", str(tmp_path / "m.aero"), "--input", str(tmp_path / "x.npz")]) == 0
    assert capsys.readouterr().out.startswith("output  float32 2 x 32\n")
    assert main(["run", str(tmp_path / "m.aero"), "--text", "a"]) == 2
    assert "m.aero has no tokenizer, so it takes no text" in capsys.readouterr().err


def spoilt(artefact: Path, to: Path) -> Path:
    content = bytearray(artefact.read_bytes())
    content[len(content) // 2] ^= 1
    to.write_bytes(content)
    return to


@pytest.mark.parametrize("command", ["compile", "run"])
def test_a_damaged_or_missing_file_is_one_line(
    command: str, artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--text", "a"] if command == "run" else []
    bad = spoilt(artefact, tmp_path / "bad.aero")
    for path, message in ((bad, "is damaged"), (tmp_path / "none.aero", "No such file")):
        assert main([command, str(path), *more]) == 2
        shown = capsys.readouterr()
        assert shown.out == "" and message in shown.err and shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compile", "FILE", "--sparsity", "0.5"], "is compiled already"),
        (["run", "FILE", "--text", "a", "--sparsity", "0.5"], "is compiled already"),
        (["compile", "FILE", "--embeddings", "int8"], "add -o MODEL.aero"),
        (["compile", "FILE", "-o", "model.bin"], "must end in .aero"),
        (["compile", "FILE", "-o", "no-such-folder/model.aero"], "there is no folder no-such-folder"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(
    words: list[str], message: str, artefact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(artefact) if word == "FILE" else word for word in words]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and message in shown.err and shown.err.count("\n") == 1


def test_shapes_a_file_has_no_positions_for(artefact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(artefact), "--against", "onnxruntime", "--shapes", "1x16,1x128"]) == 2
    shown = capsys.readouterr()
    assert "shape 1x128 has 128 tokens" in shown.err and "takes 40: give shorter shapes" in shown.err


def test_a_file_can_be_written_again(artefact: Path, tmp_path: Path) -> None:
    """Its embeddings are 8-bit integers already, and stay so."""
    again = tmp_path / "again.aero"
    assert main(["compile", str(artefact), "-o", str(again), "--embeddings", "fp32"]) == 0
    assert again.read_bytes() == artefact.read_bytes()


def test_other_encodings_of_embeddings_are_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compile", "m", "-o", "m.aero", "--embeddings", "int4"])
    assert ended.value.code == 2
    assert "--embeddings" in capsys.readouterr().err
