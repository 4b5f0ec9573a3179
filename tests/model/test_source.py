"""Loading models: directories and factories, and every way they can be unusable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.model.pretrained import ARCHITECTURES
from aerogel.model.sentence import SentenceEncoder
from aerogel.model.sentence_settings import Settings
from aerogel.model.source import Source, load_model

transformers = pytest.importorskip("transformers")
SIZES = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
LITTLE = SIZES | {"intermediate_size": 16, "max_position_embeddings": 20}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("bert")
    transformers.BertModel(transformers.BertConfig(**LITTLE)).save_pretrained(path)
    return path


@pytest.fixture
def folder(bert: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(bert, tmp_path / "little"))


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def tokenizer(path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "a", "b", "c"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.enable_padding(length=12)
    made.enable_truncation(2)
    made.save(str(path / "tokenizer.json"))


def test_a_directory_gives_the_module_and_inputs_it_takes(folder: Path) -> None:
    source = load_model(str(folder))
    assert (source.name, source.tokenizer_path, source.max_tokens) == ("little", None, 20)
    assert not source.module.training
    original = transformers.BertModel.from_pretrained(folder).eval()
    with torch.no_grad():
        got, wanted = source.module(**source.example_inputs), original(**source.example_inputs)
    assert torch.equal(got.last_hidden_state, wanted.last_hidden_state)
    assert torch.equal(got.pooler_output, wanted.pooler_output)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_architecture(kind: str, tmp_path: Path) -> None:
    names = {"dim": 8, "hidden_dim": 16, "n_layers": 1, "n_heads": 2, "vocab_size": 40}
    config = transformers.AutoConfig.for_model(kind, **(names if kind == "distilbert" else LITTLE))
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    source = load_model(str(tmp_path))
    with torch.no_grad():
        assert source.module(**source.example_inputs).last_hidden_state.shape == (2, 16, 8)
        # The greatest length a model takes is what its positions allow.
        longest = torch.full((1, source.max_tokens or 0), 5)
        assert source.module(longest, torch.ones_like(longest)).last_hidden_state.shape[1] > 16
    behind = ("camembert", "data2vec-text", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta")
    special = {"distilbert": 512, "xlm-roberta-xl": 18}
    assert source.max_tokens == special.get(kind, 18 if kind in behind else 20)


def test_a_classifier_keeps_its_head(tmp_path: Path) -> None:
    config = transformers.BertConfig(**LITTLE, num_labels=3)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    source = load_model(str(tmp_path))
    with torch.no_grad():
        assert source.module(**source.example_inputs).logits.shape == (2, 3)


def test_a_checkpoint_without_a_pooler_gets_no_random_one(tmp_path: Path) -> None:
    transformers.BertForMaskedLM(transformers.BertConfig(**LITTLE)).save_pretrained(tmp_path)
    source = load_model(str(tmp_path))
    with torch.no_grad():
        assert source.module(**source.example_inputs).pooler_output is None


POOLINGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mean_tokens": lambda hidden: hidden.mean(0),
    "cls_token": lambda hidden: hidden[0],
    "max_tokens": lambda hidden: hidden.amax(0),
}


def sentence(path: Path, mode: str, kinds: tuple[str, ...]) -> None:
    (path / "1_Pooling").mkdir()
    (path / "1_Pooling" / "config.json").write_text(
        json.dumps({f"pooling_mode_{mode}": True, "dimension": 8})
    )
    listed = [{"type": f"sentence_transformers.models.{k}", "path": "1_Pooling"} for k in kinds]
    (path / "modules.json").write_text(json.dumps(listed))


@pytest.mark.parametrize("mode", list(POOLINGS))
@pytest.mark.parametrize("normalized", [False, True])
def test_pooling_is_part_of_the_module(folder: Path, mode: str, normalized: bool) -> None:
    sentence(folder, mode, ("Transformer", "Pooling", *(["Normalize"] if normalized else [])))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 7}')
    source = load_model(str(folder))
    assert isinstance(source.module, SentenceEncoder)
    assert source.max_tokens == 7
    ids, mask = torch.tensor([[3, 4, 5, 6, 7]]), torch.tensor([[1, 1, 1, 0, 0]])
    with torch.no_grad():
        got = source.module(ids, mask)["sentence_embedding"][0]
        hidden = source.module.encoder(input_ids=ids[:, :3]).last_hidden_state[0]
    wanted = POOLINGS[mode](hidden)
    wanted = wanted / wanted.norm() if normalized else wanted
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize(("mode", "kind"), [("mean", "mean"), ("cls", "first"), ("max", "max")])
def test_pooling_as_newer_versions_write_it(folder: Path, mode: str, kind: str) -> None:
    sentence(folder, "mean_tokens", ("base.modules.transformer.Transformer", "modules.pooling.Pooling"))
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"embedding_dimension": 8, "pooling_mode": mode, "include_prompt": True})
    )
    source = load_model(str(folder))
    assert isinstance(source.module, SentenceEncoder) and source.module.pooling == kind


@pytest.mark.parametrize("modes", ['["mean", "max"]', '"lasttoken"', "[]", "3"])
def test_unknown_pooling_of_newer_versions_is_refused(folder: Path, modes: str) -> None:
    sentence(folder, "mean_tokens", ("Transformer", "Pooling"))
    (folder / "1_Pooling" / "config.json").write_text(f'{{"pooling_mode": {modes}}}')
    with pytest.raises(UnsupportedError, match="give one of mean, cls, max"):
        load_model(str(folder))


@pytest.mark.parametrize(
    ("sentence_bert", "tokenizer_config", "most"),
    [
        ({"max_seq_length": 7}, None, 7),
        ({"max_seq_length": 7}, {"model_max_length": 5}, 7),
        ({}, {"model_max_length": 5}, 5),
        ({"max_seq_length": None}, {"model_max_length": 10**30}, 20),
        (None, {"model_max_length": 12}, 12),
        ({"max_seq_length": 99}, None, 20),
        ({"max_seq_length": "7"}, {}, 20),
    ],
)
def test_where_texts_are_cut(
    folder: Path, sentence_bert: object, tokenizer_config: object, most: int
) -> None:
    for name, content in (("sentence_bert", sentence_bert), ("tokenizer", tokenizer_config)):
        if content is not None:
            (folder / f"{name}_config.json").write_text(json.dumps(content))
    assert load_model(str(folder)).max_tokens == most


def test_capitals_that_should_be_lowered_and_are_not_are_refused(folder: Path) -> None:
    tokenizer(folder)
    (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    with pytest.raises(UnsupportedError, match=r"keeps capitals: add a Lowercase normalizer"):
        load_model(str(folder))
    rewrite(
        folder / "tokenizer.json", normalizer={"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}
    )
    assert load_model(str(folder)).tokenize(["A b"])[0].tolist() == [[2, 3]]


def test_settings_come_with_the_pooling(folder: Path) -> None:
    assert load_model(str(folder)).settings is None
    sentence(folder, "mean_tokens", ("Transformer", "Pooling"))
    assert load_model(str(folder)).settings == Settings()
    file = folder / "config_sentence_transformers.json"
    told = {"prompts": {"query": "q: "}, "default_prompt_name": "query", "similarity_fn_name": "dot"}
    file.write_text(json.dumps(told | {"truncate_dim": 4, "__version__": {}}))
    rewrite(folder / "1_Pooling" / "config.json", include_prompt=False)
    assert load_model(str(folder)).settings == Settings({"query": "q: "}, "query", "dot", 4, False)


def test_unknown_pooling_is_refused(folder: Path) -> None:
    sentence(folder, "weightedmean_tokens", ("Transformer", "Pooling"))
    with pytest.raises(UnsupportedError, match="pooling weightedmean_tokens"):
        load_model(str(folder))


def test_unknown_modules_are_refused(folder: Path) -> None:
    sentence(folder, "mean_tokens", ("Transformer", "Pooling", "Dense"))
    with pytest.raises(UnsupportedError, match="lists Transformer, Pooling, Dense"):
        load_model(str(folder))


def test_texts_are_padded_to_the_longest_and_cut_to_the_models_most(folder: Path) -> None:
    tokenizer(folder)
    ids, mask = load_model(str(folder)).tokenize(["a b c", "b"])
    np.testing.assert_array_equal(ids, [[2, 3, 4], [3, 0, 0]])
    np.testing.assert_array_equal(mask, [[1, 1, 1], [1, 0, 0]])
    long, _ = load_model(str(folder)).tokenize([" ".join("a" * 50)])
    assert long.shape == (1, 20)


def test_texts_are_refused_without_a_tokenizer_and_so_are_none(folder: Path) -> None:
    source = load_model(str(folder))
    with pytest.raises(InputError, match=r"little has no tokenizer\.json"):
        source.tokenize(["a"])
    with pytest.raises(InputError, match="no text"):
        source.tokenize([])


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def spoil_shape(folder: Path) -> None:
    rewrite(folder / "config.json", vocab_size=50)


def spoil_depth(folder: Path) -> None:
    rewrite(folder / "config.json", num_hidden_layers=2)


def spoil_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0nonsense")


def no_bytes_of_text(folder: Path) -> None:
    (folder / "modules.json").write_bytes(b"\xff")


def deep(folder: Path) -> None:
    (folder / "modules.json").write_text("[" * 100_000)


def no_pooling_config(folder: Path) -> None:
    sentence(folder, "mean_tokens", ("Transformer", "Pooling"))
    (folder / "1_Pooling" / "config.json").unlink()


def only_pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "config.json").unlink(), r"has no config\.json"),
        (spoil_config, "is not JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "JSON object"),
        (lambda f: (f / "model.safetensors").unlink(), r"has no model\.safetensors"),
        (only_pickled, r"only pickled weights \(pytorch_model\.bin\)"),
        (spoil_weights, "cannot be loaded"),
        (no_bytes_of_text, r"modules\.json is not JSON"),
        (deep, r"modules\.json is not JSON"),
        (lambda f: (f / "modules.json").write_text("{"), r"modules\.json is not JSON"),
        (lambda f: (f / "modules.json").write_text("{}"), r"modules\.json must hold a list"),
        (lambda f: (f / "modules.json").write_text('[{"path": ""}]'), r"modules\.json must hold a list"),
        (no_pooling_config, r"1_Pooling/config\.json cannot be read: No such file"),
        (lambda f: (f / "sentence_bert_config.json").write_text("[]"), r"bert_config\.json must hold a JSON"),
        (spoil_shape, "embeddings"),
        (spoil_depth, r"weights missing or of another shape: encoder\.layer\.1\."),
    ],
)
def test_a_spoilt_directory_is_refused(folder: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(folder)
    with pytest.raises(InputError, match=message):
        load_model(str(folder))


def test_a_file_that_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests may run as root, whom no file mode stops.
    def closed(path: Path, *, encoding: str) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", closed)
    with pytest.raises(InputError, match=r"config\.json cannot be read: Permission denied"):
        load_model(str(folder))


def test_what_a_configuration_leaves_out_is_what_the_library_assumes(tmp_path: Path) -> None:
    left_out = {"vocab_size": 30522, "max_position_embeddings": 512, "architectures": None}
    config = transformers.BertConfig(**LITTLE | left_out)
    transformers.BertModel(config).save_pretrained(tmp_path)
    kept = {k: v for k, v in json.loads((tmp_path / "config.json").read_text()).items() if k not in left_out}
    (tmp_path / "config.json").write_text(json.dumps(kept))
    source = load_model(str(tmp_path))
    assert source.max_tokens is None
    assert int(source.example_inputs["input_ids"].max()) == 34


def test_an_unknown_architecture_is_refused_by_name(folder: Path) -> None:
    rewrite(folder / "config.json", model_type="gpt2")
    with pytest.raises(UnsupportedError, match="'gpt2' is not one of albert, bert, camembert"):
        load_model(str(folder))


def test_what_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="there is no"):
        load_model(str(folder / "missing"))
    with pytest.raises(InputError, match="is neither a directory"):
        load_model(str(folder / "config.json"))


FACTORY = """
import torch
from beside_it import WIDTH
def good():
    return torch.nn.Linear(WIDTH, 2), torch.ones(1, WIDTH)
def named():
    return torch.nn.Linear(WIDTH, 2), {"input": torch.ones(1, WIDTH)}
def broken():
    return 1 / 0
def alone():
    return torch.nn.Linear(WIDTH, 2)
def other():
    return "model", ()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside_it.py").write_text("WIDTH = 3\n")
    path = tmp_path / "my_models.py"
    path.write_text(FACTORY)
    return path


def test_a_factory_gives_its_module(file: Path) -> None:
    source: Source = load_model(f"{file}:good")
    assert (source.name, source.tokenizer_path, source.module.training) == ("my_models:good", None, False)
    assert isinstance(source.example_inputs, tuple)
    assert source.module(*source.example_inputs).shape == (1, 2)
    assert list(load_model(f"{file}:named").example_inputs) == ["input"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("broken", "failed: ZeroDivisionError: division by zero"),
        ("alone", r"must return \(module, example inputs\), not Linear"),
        ("other", "returned a str first"),
        ("absent", "has no 'absent'"),
    ],
)
def test_a_spoilt_factory_is_refused(file: Path, function: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_model(f"{file}:{function}")


def test_a_file_without_a_function_or_without_a_file_is_refused(file: Path) -> None:
    with pytest.raises(InputError, match="names no function"):
        load_model(str(file))
    with pytest.raises(InputError, match="there is no"):
        load_model(f"{file.parent}/none.py:good")
