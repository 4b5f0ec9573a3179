"""``aerogel prune --what``: thresholds of activations, and models without some experts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.trial.little import sentence_encoder, texts, tokenizer

from aerogel.cli import main
from aerogel.prune.activation import apply_thresholds
from aerogel.prune.activation.report import NO_KERNEL
from aerogel.prune.experts.report import NO_FEWER_OPERATIONS

transformers = pytest.importorskip("transformers")
EXPERTS = 6
MIXTURE: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 24, "num_experts_per_tok": 2,
    "max_position_embeddings": 32, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
    "num_local_experts": EXPERTS,
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sentence_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "mixture"
    torch.manual_seed(0)
    transformers.MixtralForCausalLM(transformers.MixtralConfig(**MIXTURE)).save_pretrained(folder)
    tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "texts.txt"
    path.write_text("\n".join(texts(80)))
    return path


Captured = pytest.CaptureFixture[str]


def run(capsys: Captured, *words: object) -> tuple[int, dict[str, Any]]:
    status = main(["prune", *map(str, words), "--json"])
    out, err = capsys.readouterr()
    assert status in (0, 1), err
    return status, json.loads(out)


def refused(capsys: Captured, *words: object) -> str:
    status = main(["prune", *map(str, words)])
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    return err.splitlines()[-1]


def test_thresholds_are_written_and_can_be_applied(
    encoder: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "thresholds.json"
    asked = ("--what", "inputs", "--sparsity", 0.4, "--data", data, "--layers", "intermediate", "-o", out)
    status, found = run(capsys, encoder, *asked)
    assert status == 0 and found["ok"] and found["written"] == str(out)
    assert found["pruned"]["speed"] == NO_KERNEL
    assert found["pruned"]["achieved"] == pytest.approx(0.4, abs=0.05)
    assert found["calibration"]["held_out"] == found["accuracy"]["texts"] == 20
    assert set(found["accuracy"]["pruned"]) == {"rank correlation", "top-10 overlap"}

    said = json.loads(out.read_text())
    assert said["found"] == found["pruned"] and said["asked"]["what"] == "inputs"
    # The names are those of the model as transformers loads it, without the pooling around it.
    model = apply_thresholds(transformers.AutoModel.from_pretrained(encoder).eval(), said["thresholds"])
    assert set(said["thresholds"]) == {f"encoder.layer.{i}.intermediate.dense" for i in (0, 1)}
    fed: list[torch.Tensor] = []
    inside = model.encoder.layer[1].intermediate
    inside.dense.register_forward_pre_hook(lambda _, args: fed.append(args[0]))
    model(input_ids=torch.arange(2, 18).view(1, 16), attention_mask=torch.ones(1, 16, dtype=torch.long))
    assert 0.2 < float((fed[0] == 0).float().mean()) < 0.6


def test_gates_with_shares_of_their_own(encoder: Path, data: Path, tmp_path: Path, capsys: Captured) -> None:
    asked = ("--what", "gates", "--allocation", "greedy", "--sparsity", 0.5, "--data", data)
    status = main(["prune", str(encoder), *map(str, asked), "-o", str(tmp_path / "gates.json")])
    out, _ = capsys.readouterr()
    assert status == 0
    assert "zeros among outputs of activation functions, greedy: 50.0% asked" in out
    assert NO_KERNEL in out and "rank correlation" in out and out.endswith("gates.json\n")


def test_a_model_without_some_experts(mixture: Path, data: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "smaller"
    asked = ("--what", "experts", "--sparsity", 0.5, "--data", data, "-o", out)
    status, found = run(capsys, mixture, *asked)
    assert status == 0 and found["pruned"]["speed"] == NO_FEWER_OPERATIONS
    assert [len(m["removed"]) for m in found["pruned"]["mixtures"]] == [EXPERTS // 2] * 2
    assert found["pruned"]["measured_on"] == "held_out"
    assert found["accuracy"]["dense"] == {"same answer": 1.0}
    assert 0 < found["accuracy"]["pruned"]["same answer"] <= 1

    smaller = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert smaller.config.num_local_experts == EXPERTS // 2
    assert sum(p.numel() for p in smaller.parameters()) == found["pruned"]["parameters"]
    assert (out / "tokenizer.json").is_file()
    record = json.loads((out / "aerogel.json").read_text())
    assert record["found"] == found["pruned"] and record["source"] == "mixture"


def test_below_a_bound_nothing_is_written_but_by_force(
    mixture: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    judge = tmp_path / "judge.py"
    judge.write_text("def experts(model):\n    return model.config.num_local_experts\n")
    out = tmp_path / "smaller"
    asked = ("--what", "experts", "--sparsity", 0.5, "--data", data, "-o", out)
    asked = (*asked, "--eval", f"{judge}:experts", "--keep", 0.9)
    status, found = run(capsys, mixture, *asked)
    assert (status, found["ok"], found["written"]) == (1, False, None) and not out.exists()
    assert found["missed"] == ["score is 3, below 0.9 of the dense 6 (5.4)"]
    status, found = run(capsys, mixture, *asked, "--force")
    assert (status, found["written"]) == (1, str(out)) and (out / "config.json").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--what", "inputs"), "how many inputs shall go"),
        (("--what", "inputs", "--sparsity", 0.5, "--method", "wanda"), "--method: of weights alone"),
        (("--what", "inputs", "--sparsity", 0.5, "--recover", "1m"), "--recover: of weights alone"),
        (("--what", "inputs", "--sparsity", 0.5, "--against", "torch"), "--against: of weights alone"),
        (("--what", "inputs", "--sparsity", 0.5), "give -o FILE.json"),
        (("--what", "inputs", "--sparsity", 0.5, "-o", "more.json"), "give -o once"),
        (("--what", "experts", "--sparsity", 0.5, "--layers", "mlp"), "--layers is of activations"),
        (("--what", "experts", "--sparsity", 0.5, "--allocation", "greedy"), "--allocation is of activat"),
        (("--what", "experts", "--sparsity", 0.5), "is a BertModel: give a causal language model"),
        (("--allocation", "greedy", "--sparsity", 0.5), "add --what inputs or --what gates"),
    ],
)
def test_what_does_not_go_together(
    words: tuple[object, ...], told: str, encoder: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    place = tmp_path / "out"
    assert told in refused(capsys, encoder, "--data", data, "-o", place, *words)
    assert not place.exists()


def test_a_model_made_by_a_function_is_for_python(tmp_path: Path, capsys: Captured) -> None:
    asked = ("--what", "inputs", "--sparsity", 0.5, "-o", tmp_path / "t.json")
    told = refused(capsys, tmp_path / "model.py:make", *asked)
    assert "call aerogel.sparsify_activations in Python" in told


def test_experts_go_in_a_directory_of_their_own(
    mixture: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    asked = ("--what", "experts", "--data", data)
    told = refused(capsys, mixture, *asked, "--sparsity", 0.5, "-o", tmp_path / "m.aero")
    assert "give -o DIRECTORY" in told
    assert "would be lost" in refused(capsys, mixture, *asked, "--sparsity", 0.5, "-o", mixture)
    assert "a token goes to 2" in refused(capsys, mixture, *asked, "--sparsity", 0.9, "-o", tmp_path / "m")
