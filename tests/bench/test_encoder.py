from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aerogel.bench import encoder, native_program, torch_eager
from aerogel.bench.cases import lengths_case, token_batch
from aerogel.bench.encoder import DENSE, OURS, EncoderBench, Variant, compare_encoder, relative_error
from aerogel.bench.hugging_face import ModelFolder
from aerogel.bench.onnx_export import session
from aerogel.core.errors import InputError
from aerogel.measure import Settings
from aerogel.native import cores

QUICK = Settings(rounds=6, block_s=0.01, warm_s=0.0, min_runs=1)
WORDS = ["[PAD]", "[UNK]", *(f"w{i}" for i in range(1500))]
TEXTS = [f"w{i} w{3 * i % 1500} w{7 * i % 1500}" for i in range(12)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two narrow layers with random weights, saved as Hugging Face saves it."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel

    path = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=160,
    )
    BertModel(config).save_pretrained(path)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path / "tokenizer.json"))
    return path


def test_torch_contender_computes_what_the_model_computes(tiny: Path) -> None:
    import torch
    from transformers import BertModel

    case = lengths_case("c", [5, 2])
    subject = torch_eager.make(str(tiny))
    subject.prepare(case.params)
    batch = token_batch(case.params, len(WORDS))
    model = BertModel.from_pretrained(tiny).eval()
    with torch.no_grad():
        wanted = model(torch.from_numpy(batch.ids), torch.from_numpy(batch.mask))[0].numpy()
    np.testing.assert_allclose(subject.result(), wanted * batch.mask[:, :, None], rtol=1e-5, atol=1e-6)
    assert subject.facts()["size_bytes"] == (tiny / "model.safetensors").stat().st_size
    assert not subject.run().requires_grad


@pytest.fixture
def torch_threads() -> Iterator[None]:
    """Torch's own number of threads, as it was, after a contender changed it in this process."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("torch_threads")
def test_torch_has_the_threads_it_is_given_and_else_its_own(tiny: Path) -> None:
    import torch

    own = torch.get_num_threads()
    assert torch_eager.make(str(tiny)).facts()["threads"] == own
    assert (
        torch_eager.make(str(tiny), threads=own + 1).facts()["threads"] == own + 1 == torch.get_num_threads()
    )


def test_onnxruntime_has_the_threads_it_is_given_and_else_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    given: list[Any] = []

    def record(path: Path, options: Any, providers: list[str]) -> None:
        given.append(options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    session(Path("m"))
    session(Path("m"), 3)
    assert [options.intra_op_num_threads for options in given] == [0, 3]


def test_aerogel_has_the_threads_it_is_given_and_else_all(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    assert native_program.make(str(tiny), threads=3).facts()["threads"] == 3
    monkeypatch.delenv("AEROGEL_OVERSUBSCRIBE")
    assert native_program.make(str(tiny)).facts()["threads"] == cores.limit()


@pytest.mark.slow
def test_every_contender_runs_on_the_threads_asked_for(tiny: Path, tmp_path: Path) -> None:
    bench = EncoderBench(tiny, ("torch", "onnxruntime"), (DENSE,), ("1x8",), onnx_cache=tmp_path, threads=1)
    found = compare_encoder(bench, settings=QUICK)
    assert found.threads == 1
    assert {row: found.comparison.facts(row).facts["threads"] for row in found.rows} == dict.fromkeys(
        ("torch eager", "onnxruntime fp32", "aerogel dense"), 1
    )


@pytest.mark.slow
def test_onnx_is_exported_once_and_agrees_with_torch(tiny: Path, tmp_path: Path) -> None:
    bench = EncoderBench(
        tiny, ("torch", "onnxruntime", "onnxruntime-int8"), (), ("1x8", "2x16"), onnx_cache=tmp_path
    )
    found = compare_encoder(bench, TEXTS, QUICK)
    assert found.rows == ("torch eager", "onnxruntime fp32", "onnxruntime int8")
    assert found.comparison.reference == "onnxruntime fp32"
    assert found.errors["onnxruntime fp32"] < 1e-5 < found.errors["onnxruntime int8"] < 0.2
    assert found.qualities["torch eager"].top_overlap == 1.0
    assert found.qualities["onnxruntime fp32"].top_overlap == 1.0
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.onnx")}
    assert len(made) == 2
    compare_encoder(EncoderBench(tiny, ("onnxruntime",), (), ("1x8",), onnx_cache=tmp_path), settings=QUICK)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.onnx")} == made


@pytest.mark.slow
def test_aerogel_dense_agrees_with_torch_and_pruned_does_not(tiny: Path) -> None:
    variants = (DENSE, Variant(0.9, "block4x1"))
    found = compare_encoder(EncoderBench(tiny, ("torch",), variants, ("1x8",)), TEXTS, QUICK)
    assert found.own == {"aerogel dense", "aerogel 90 % block4x1"}
    assert found.errors["aerogel dense"] < 1e-4 < found.errors["aerogel 90 % block4x1"]
    assert found.qualities["aerogel dense"].top_overlap == 1.0


@pytest.mark.parametrize(
    ("config", "longest"),
    [
        ({"model_type": "bert", "max_position_embeddings": 64}, 64),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "bert"}, None),
    ],
)
def test_a_folder_tells_how_many_tokens_a_sequence_may_have(
    config: dict[str, Any], longest: int | None
) -> None:
    assert ModelFolder(Path("m"), config).longest == longest


def test_texts_for_a_folder_without_a_tokenizer_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"holds no tokenizer\.json: it cannot take texts"):
        encoder.require_comparable(EncoderBench(tmp_path, ()), ["a text"])


def test_shapes_are_those_that_the_model_has_positions_for() -> None:
    names = [case.name for case in encoder.shapes_of(EncoderBench(Path("m"), shapes=None), 100)]
    assert names == ["1x16"]
    assert [c.name for c in encoder.shapes_of(EncoderBench(Path("m"), shapes=None), 9)] == ["1x9"]
    assert len(encoder.shapes_of(EncoderBench(Path("m"), shapes=None), None)) == 3
    with pytest.raises(InputError, match="8x128 has 128 tokens, m takes 100: give shorter shapes"):
        encoder.shapes_of(EncoderBench(Path("m"), shapes=("1x16", "8x128")), 100)
    with pytest.raises(InputError, match="1x64 has 64 tokens, m takes 32"):
        encoder.shapes_of(EncoderBench(Path("m"), shapes=("1x16",), profile="1x64"), 32)


@pytest.mark.slow
def test_a_model_of_few_positions_is_checked_on_sequences_that_it_takes(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=100, max_position_embeddings=24, **sizes)).save_pretrained(tmp_path)
    found = compare_encoder(EncoderBench(tmp_path, ("torch",), (DENSE,), shapes=None), settings=QUICK)
    assert [case.name for case in found.timed] == ["1x16"]
    assert found.errors["aerogel dense"] < 1e-4


def test_contenders_are_described_without_loading_anything() -> None:
    bench = EncoderBench(Path("m"), ("onnxruntime",), (DENSE, Variant(0.8)), onnx_cache=Path("c"))
    runtime, dense, pruned = bench.contenders()
    assert runtime.args == {"model": "m", "precision": "fp32", "cache": "c"}
    assert (dense.factory, dense.name, dense.args["sparsity"]) == (OURS, "aerogel dense", None)
    assert (pruned.name, pruned.args["sparsity"]) == ("aerogel 80 %", 0.8)
    single = bench.ours(DENSE, "one thread", env={"AEROGEL_NUM_THREADS": "1"})
    assert (single.name, single.env) == ("one thread", {"AEROGEL_NUM_THREADS": "1"})


def test_the_environment_is_that_of_our_own_rows_alone() -> None:
    bench = EncoderBench(Path("m"), variants=(DENSE,), environment={"AEROGEL_TARGET": "avx2", "A": "1"})
    *others, ours = bench.contenders()
    assert ours.env == {"AEROGEL_TARGET": "avx2", "A": "1"}
    assert all(contender.env == {} for contender in others)
    assert bench.ours(DENSE, env={"A": "2"}).env == {"AEROGEL_TARGET": "avx2", "A": "2"}


def test_threads_go_to_every_contender_or_to_none() -> None:
    bench = EncoderBench(Path("m"), variants=(DENSE, Variant(0.8)))
    assert [contender.args.get("threads") for contender in replace(bench, threads=2).contenders()] == [2] * 5
    assert all("threads" not in contender.args for contender in bench.contenders())


@pytest.mark.parametrize("threads", [-1, 0, cores.MOST + 1])
def test_threads_that_not_every_runtime_can_have_are_refused(tiny: Path, threads: int) -> None:
    with pytest.raises(InputError, match=rf"threads={threads} .*: give 1 to {cores.limit()}, or nothing"):
        compare_encoder(EncoderBench(tiny, threads=threads))


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="runtime 'tensorflow' is unknown: choose from torch, onnxruntime"):
        EncoderBench(tmp_path, ("tensorflow",)).contenders()
    with pytest.raises(InputError, match="nothing to compare"):
        EncoderBench(tmp_path, (), ()).contenders()
    with pytest.raises(InputError, match="Hugging Face model directory"):
        compare_encoder(EncoderBench(tmp_path))


def test_relative_error() -> None:
    assert relative_error(np.array([1.0, -4.5]), np.array([1.0, -4.0])) == 0.125
    assert relative_error(np.ones(3), np.ones(2)) == np.inf
